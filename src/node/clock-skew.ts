/** Measures how far the clocks of servers differ, because each server expires keys by its own clock. */

/** How long a measurement is valid, in milliseconds. */
export const clockIntervalMs = 10_000;

/** The clock of one server, measured by `TIME`. All times are in milliseconds, and `at` is on this process's monotonic clock. */
export class ClockSkew {
  /** When the server was last asked. */
  askedAt = Number.NEGATIVE_INFINITY;
  #offset: number | undefined;
  #error = 0;

  /** Records the reply of a `TIME` that was sent at `sentAt` and answered at `at`. Ignores any other reply. */
  record(reply: unknown, sentAt: number, at: number): void {
    const [seconds, micros] = Array.isArray(reply) ? reply.slice(0, 2).map(parseNumber) : [];
    if (seconds === undefined || micros === undefined) return;
    // The server executed TIME at some moment between `sentAt` and `at`: in the middle, plus or minus half of the time between
    // them.
    this.#offset = seconds * 1000 + micros / 1000 - (sentAt + at) / 2;
    this.#error = (at - sentAt) / 2;
  }

  /** Forgets the measurement, because the next connection may lead to another server. */
  forget(): void {
    this.#offset = undefined;
    this.askedAt = Number.NEGATIVE_INFINITY;
  }

  /** How far this clock is ahead of `other`; undefined while one of the two clocks is unknown. */
  aheadOf(other: ClockSkew): number | undefined {
    if (this.#offset === undefined || other.#offset === undefined) return undefined;
    return this.#offset - other.#offset;
  }

  /** Whether this clock and `other` are certain to differ by more than `limitMs`. */
  differsFrom(other: ClockSkew, limitMs: number): boolean {
    const ahead = this.aheadOf(other);
    return ahead !== undefined && Math.abs(ahead) - this.#error - other.#error > limitMs;
  }
}

function parseNumber(word: unknown): number | undefined {
  return typeof word === "string" && /^\d{1,15}$/.test(word) ? Number(word) : undefined;
}
