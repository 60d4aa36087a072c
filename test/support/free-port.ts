/** A port to start a server on. */

import { once } from "node:events";
import { createServer } from "node:net";

const HOST = "127.0.0.1";
/** Left alone: whatever listens there is somebody's real Redis. */
const DEFAULT_REDIS_PORT = 6379;

/** A port that was free a moment ago; another process can still be faster, so be ready to try again. */
export async function freePort(): Promise<number> {
  const listener = createServer().listen(0, HOST);
  await once(listener, "listening");
  const address = listener.address();
  listener.close();
  await once(listener, "close");
  const port = address !== null && typeof address === "object" ? address.port : 0;
  return port === DEFAULT_REDIS_PORT ? freePort() : port;
}
