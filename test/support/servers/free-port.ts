/** A port to start a server on. */

import { once } from "node:events";
import { createServer } from "node:net";

const HOST = "127.0.0.1";
/** Left alone: whatever listens there is somebody's real Redis. */
const DEFAULT_REDIS_PORT = 6379;
/** From the port of a cluster node to that of its bus, unless it is told another. */
export const BUS_OFFSET = 10_000;

/** A port that was free a moment ago; another process can still be faster, so be ready to try again. */
export async function freePort(): Promise<number> {
  const port = await listenOnce(0);
  return port === DEFAULT_REDIS_PORT ? freePort() : port;
}

/** The same for a cluster node, whose bus listens on another port, so far above. */
export async function freeNodePort(): Promise<number> {
  const port = await freePort();
  // A port beyond the last one is refused as well.
  const isBusFree = (await listenOnce(port + BUS_OFFSET).catch(() => 0)) > 0;
  return isBusFree ? port : freeNodePort();
}

async function listenOnce(port: number): Promise<number> {
  const listener = createServer().listen(port, HOST);
  await once(listener, "listening");
  const address = listener.address();
  listener.close();
  await once(listener, "close");
  return address !== null && typeof address === "object" ? address.port : 0;
}
