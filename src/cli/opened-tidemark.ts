/** Opens a Tidemark for the doctor, in the way in which an app does. */
import { Tidemark, type TidemarkOptions } from "../index.js";
import type { OpensTidemark, TidemarkServers } from "./doctor/observed-tidemark.js";

export const openTidemark: OpensTidemark = (servers, settings) => {
  const tidemark = new Tidemark({ ...placesIn(servers), ...settings });
  // The doctor reports the error of `ready()`.
  tidemark.redis.on("error", () => {});
  const session = tidemark.session();
  return {
    ready: (options) => tidemark.ready(options),
    probe: () => session.redis.exists("tidemark:doctor"),
    topology: () => tidemark.topology(),
    close: (options) => tidemark.close(options),
  };
};

function placesIn({
  primary,
  replicas,
  sentinels,
  name = "",
  cluster,
  redis,
}: TidemarkServers): TidemarkOptions {
  if (sentinels !== undefined) return { sentinels, name, redis };
  if (cluster !== undefined) return { cluster, redis };
  return { primary: primary ?? {}, ...(replicas === undefined ? {} : { replicas }), redis };
}
