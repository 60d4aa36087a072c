/** A primary and its replicas in containers. */

import type { ServerGroup } from "./backend.js";
import { ContainerServer } from "./container-server.js";
import { InnerNetwork } from "./inner-network.js";
import { caughtUp } from "./replication-group.js";

export interface ContainerGroupOptions {
  readonly replicas: number;
  readonly image: string;
}

/** Resolves when every replica is connected and in sync. */
export async function startContainers({
  replicas: count,
  image,
}: ContainerGroupOptions): Promise<ServerGroup> {
  const network = await InnerNetwork.create();
  const starts = await Promise.allSettled(
    Array.from({ length: count + 1 }, (_, index) =>
      ContainerServer.start(image, network, network.addressOf(index)),
    ),
  );
  const servers = starts.flatMap((start) => (start.status === "fulfilled" ? [start.value] : []));
  const stop = async (): Promise<void> => {
    await Promise.all(servers.map((server) => server.stop())).finally(() => network.remove());
  };
  try {
    const failure = starts.find((start) => start.status === "rejected");
    const [primary, ...replicas] = servers;
    if (primary === undefined || failure) throw failure?.reason;
    await Promise.all(replicas.map((replica) => replica.replicate(primary)));
    await caughtUp(primary, replicas);
    return { primary, replicas, stop, [Symbol.asyncDispose]: stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
