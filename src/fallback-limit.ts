/** How many reads that belong on replicas may go to the primary instead: what keeps writes alive while replicas lag. */

/** For one process. */
export interface FallbackLimits {
  /** How many may be on their way at a time; fewer do while the primary answers more slowly than when it was calm. */
  readonly concurrency: number;
  /** How many may be sent in a second; as many at once after a calm second. */
  readonly perSecond: number;
}

const slower = 0.7;
const tolerance = 2;
const slackMs = 1;
const calmAfterMs = 250;
const adjustEveryMs = 10;
const least = 0.05;
const drift = 0.05;

/**
 * A bucket of `perSecond` and a number of slots. The slots follow the primary's own answers: fewer by a factor while it takes
 * more than twice as long as when no such read was on its way, one more for each round of answers else. Less than one slot is
 * one with a pause behind each read.
 */
export class FallbackLimit {
  readonly #limits: FallbackLimits;
  #slots: number;
  #inFlight = 0;
  #credit: number;
  #creditAt = Number.NEGATIVE_INFINITY;
  #calmMs: number | undefined;
  #leftAt = Number.NEGATIVE_INFINITY;
  #adjustedAt = Number.NEGATIVE_INFINITY;
  #pausedUntil = Number.NEGATIVE_INFINITY;

  constructor(limits: FallbackLimits) {
    this.#limits = limits;
    this.#slots = limits.concurrency;
    this.#credit = limits.perSecond;
  }

  /** Whether one more may go now, where the primary answers within `latencyMs`; it has to {@link leave} then. */
  enter(now: number, latencyMs: number): boolean {
    const { perSecond } = this.#limits;
    if (this.#inFlight === 0 && now - this.#leftAt > calmAfterMs) this.#learnCalm(latencyMs);
    const earned =
      this.#creditAt === Number.NEGATIVE_INFINITY ? 0 : ((now - this.#creditAt) / 1000) * perSecond;
    this.#credit = Math.min(perSecond, this.#credit + earned);
    this.#creditAt = now;
    if (this.#credit < 1 || this.#inFlight >= Math.max(1, this.#slots) || now < this.#pausedUntil)
      return false;
    this.#credit -= 1;
    this.#inFlight += 1;
    return true;
  }

  /** Told that one has been answered, `tookMs` after it was sent. */
  leave(now: number, tookMs: number, latencyMs: number): void {
    this.#inFlight -= 1;
    this.#leftAt = now;
    const isSlow = latencyMs > tolerance * (this.#calmMs ?? latencyMs) + slackMs;
    if (!isSlow) this.#slots = Math.min(this.#limits.concurrency, this.#slots + 1 / Math.max(1, this.#slots));
    else if (now - this.#adjustedAt > adjustEveryMs) {
      this.#adjustedAt = now;
      this.#slots = Math.max(least, Math.min(this.#slots, this.#inFlight + 1) * slower);
    }
    if (this.#slots < 1) this.#pausedUntil = now + tookMs * (1 / this.#slots - 1);
  }

  #learnCalm(latencyMs: number): void {
    this.#slots = Math.max(this.#slots, 1);
    if (this.#calmMs === undefined || latencyMs < this.#calmMs) this.#calmMs = latencyMs;
    else this.#calmMs += drift * (latencyMs - this.#calmMs);
  }
}
