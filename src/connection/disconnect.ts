/** Ends clients of ioredis so that they do not keep the process alive. */
import type { Redis } from "ioredis";

/** Ends `redis`. Between two attempts to connect ioredis has no connection to close, so by itself it would never end. */
export function disconnect(redis: Redis): void {
  if (redis.status === "end") return;
  if (redis.status === "reconnecting") redis.status = "wait";
  redis.disconnect();
}

/**
 * Makes `redis` forget each connection that has closed. Without this, ioredis would end the closed connection again when ioredis
 * gives up a handshake or is ended itself. It would then start a timer that nothing stops and that keeps the process alive for
 * `disconnectTimeout`.
 */
export function forgetClosed(redis: Redis): void {
  redis.on("close", () => {
    const connector: unknown = Reflect.get(redis, "connector");
    if (typeof connector === "object" && connector !== null && redis.stream?.destroyed)
      Reflect.set(connector, "stream", undefined);
  });
}
