/** A key that is written all the time, and when each of its values was acknowledged: the truth about how old a read is. */

import { setImmediate as turn } from "node:timers/promises";
import { Redis } from "ioredis";

export class StampedWrites implements AsyncDisposable {
  readonly key = "stamped";
  readonly #redis: Redis;
  /** By the value that was written. */
  readonly #acknowledgedAt: number[] = [];
  #isOver = false;
  readonly #writing: Promise<void>;

  /** Writes over a connection of its own; resolves when the first value is there. */
  static async to(url: string): Promise<StampedWrites> {
    const redis = new Redis(url);
    await redis.set("stamped", 0);
    return new StampedWrites(redis);
  }

  private constructor(redis: Redis) {
    this.#redis = redis;
    this.#acknowledgedAt.push(performance.now());
    this.#writing = this.#write();
  }

  /** How old an answer was when it was asked for: the age of the oldest acknowledged write that it lacks. */
  staleness(value: string | null, sentAt: number): number {
    const missedAt = this.#acknowledgedAt[Number(value) + 1];
    return missedAt === undefined ? 0 : Math.max(0, sentAt - missedAt);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    await this.#writing;
    this.#redis.disconnect();
  }

  async #write(): Promise<void> {
    while (!this.#isOver) {
      const value = this.#acknowledgedAt.length;
      await this.#redis.set(this.key, value);
      this.#acknowledgedAt[value] = performance.now();
      await turn();
    }
  }
}
