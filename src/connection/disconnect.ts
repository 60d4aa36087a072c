/** Ends clients of ioredis so that nothing of them keeps the process alive. */
import type { Redis } from "ioredis";

/** Between two attempts to connect ioredis has no connection that it could close, so it would never end. */
export function disconnect(redis: Redis): void {
  if (redis.status === "end") return;
  if (redis.status === "reconnecting") redis.status = "wait";
  redis.disconnect();
}

/**
 * Has `redis` forget each connection that has closed. ioredis ends it once more when it gives up a handshake or is ended itself,
 * with a timer that nothing stops and that keeps the process alive for `disconnectTimeout`.
 */
export function forgetClosed(redis: Redis): void {
  redis.on("close", () => {
    const connector: unknown = Reflect.get(redis, "connector");
    if (typeof connector === "object" && connector !== null && redis.stream?.destroyed)
      Reflect.set(connector, "stream", undefined);
  });
}
