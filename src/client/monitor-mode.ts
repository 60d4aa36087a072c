/** Opens an ioredis connection in MONITOR mode whose errors cannot end the process. */
import type { Redis } from "ioredis";
import { addressOf } from "../address.js";

const defaultConnectTimeoutMs = 10_000;

/**
 * Resolves with `redis` once its server is in MONITOR mode. `redis` must be a client that was made with the option `monitor`.
 * Rejects and closes the client if its first connection fails or takes longer than `connectTimeout` (0 for no limit).
 */
export function monitored(redis: Redis): Promise<Redis> {
  return new Promise((resolve, reject) => {
    const patienceMs = redis.options.connectTimeout ?? defaultConnectTimeoutMs;
    const problem = `${addressOf(redis.options)} did not answer MONITOR within ${patienceMs} ms`;
    const late = (): void => giveUp(new Error(`${problem}. Check the server, or raise connectTimeout.`));
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

/**
 * Prints an error that nobody else listens to. If MONITOR is refused after a reconnect, ioredis emits an error, and without a
 * listener Node would throw it.
 */
function printUnheard(redis: Redis, error: Error): void {
  if (redis.listenerCount("error") === 1) console.error("[ioredis] Unhandled error event:", error.stack);
}
