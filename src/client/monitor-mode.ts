/** A connection in MONITOR mode: ioredis's own, kept from ending the process by errors that nobody expects. */
import type { Redis } from "ioredis";

const defaultConnectTimeoutMs = 10_000;

/**
 * Resolves with `redis`, a client that was made with the option `monitor`, once its server monitors. Rejects and closes
 * the client when its first connection fails, or is not there within `connectTimeout` (0: waits on).
 */
export function monitored(redis: Redis): Promise<Redis> {
  return new Promise((resolve, reject) => {
    const patienceMs = redis.options.connectTimeout ?? defaultConnectTimeoutMs;
    const late = (): void => giveUp(new Error(`MONITOR was not answered within ${patienceMs} ms`));
    const timer = patienceMs > 0 ? setTimeout(late, patienceMs) : undefined;
    const closed = (): void => giveUp(new Error("Connection is closed."));
    const settle = (): void => {
      clearTimeout(timer);
      redis.off("error", giveUp).off("close", closed).off("monitoring", succeed);
    };
    const giveUp = (error: Error): void => {
      settle();
      redis.on("error", () => {});
      redis.disconnect();
      reject(error);
    };
    const succeed = (): void => {
      settle();
      redis.on("error", (error: Error) => printUnheard(redis, error));
      resolve(redis);
    };
    redis.on("error", giveUp).on("close", closed).on("monitoring", succeed);
  });
}

/** ioredis throws what it emits when MONITOR is refused after a reconnect, unless somebody listens. */
function printUnheard(redis: Redis, error: Error): void {
  if (redis.listenerCount("error") === 1) console.error("[ioredis] Unhandled error event:", error.stack);
}
