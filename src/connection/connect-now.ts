/** Connects clients of ioredis that wait for their next attempt to reconnect. */
import type { Redis } from "ioredis";

/**
 * Stops the timer that ioredis has set for its next attempt. Call this before `connect()`. Otherwise ioredis would connect once
 * more when the timer fires, even if the client has been ended meanwhile, and would then reconnect for ever.
 */
export function cancelReconnect(redis: Redis): void {
  clearTimeout(Reflect.get(redis, "reconnectTimeout"));
  Reflect.set(redis, "reconnectTimeout", null);
}

/** Connects `redis` at once. Rejects like ioredis if it is connected or connecting already. */
export function connectNow(redis: Redis): Promise<void> {
  cancelReconnect(redis);
  return redis.connect();
}
