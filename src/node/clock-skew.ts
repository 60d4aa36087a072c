/** How far a server's clock is from those of others: keys expire by each server's own. */

/** How long a measurement stands, in milliseconds. */
export const clockIntervalMs = 10_000;

/** What `TIME` has shown of one server. All times are in milliseconds, `at` on this process's monotonic clock. */
export class ClockSkew {
  /** When the server was last asked. */
  askedAt = Number.NEGATIVE_INFINITY;
  #offset: number | undefined;
  #error = 0;

  /** Takes the reply of a `TIME` that was sent at `sentAt` and answered at `at`; what is none is passed over. */
  take(reply: unknown, sentAt: number, at: number): void {
    const [seconds, micros] = Array.isArray(reply) ? reply.slice(0, 2).map(numberIn) : [];
    if (seconds === undefined || micros === undefined) return;
    // It was carried out at some moment between: in the middle, give or take half of the way.
    this.#offset = seconds * 1000 + micros / 1000 - (sentAt + at) / 2;
    this.#error = (at - sentAt) / 2;
  }

  /** Forgets what was told: behind the next connection there may be another server. */
  forget(): void {
    this.#offset = undefined;
    this.askedAt = Number.NEGATIVE_INFINITY;
  }

  /** How far this clock is ahead of `other`; undefined while one of them is not known. */
  aheadOf(other: ClockSkew): number | undefined {
    if (this.#offset === undefined || other.#offset === undefined) return undefined;
    return this.#offset - other.#offset;
  }

  /** Whether the two are certain to differ by more than `limitMs`. */
  differsFrom(other: ClockSkew, limitMs: number): boolean {
    const ahead = this.aheadOf(other);
    return ahead !== undefined && Math.abs(ahead) - this.#error - other.#error > limitMs;
  }
}

function numberIn(word: unknown): number | undefined {
  return typeof word === "string" && /^\d{1,15}$/.test(word) ? Number(word) : undefined;
}
