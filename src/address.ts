/** How people call a server. */
import type { RedisOptions } from "ioredis";

/** `host:port`, or the path of its socket. */
export function addressOf({ path, host = "localhost", port = 6379 }: RedisOptions): string {
  return path ?? `${host}:${port}`;
}
