/** Estimates how long a server takes to answer. The estimate decides which server is asked, never what is true. */

/**
 * How many answers are remembered. A server counts as slow only if all of them were slow, because a pause of this process may have
 * delayed a single answer.
 */
const remembered = 4;

/** The shortest time of the last few answers, in milliseconds. Tidemark measures only questions that it asks anyway. */
export class LatencyEstimate {
  readonly #times: number[] = [];
  /** The place of the oldest time. */
  #oldest = 0;
  #askedAt: number | undefined;

  /** Called when a question is sent. The question is ignored if an earlier one is unanswered. */
  asked(at: number): void {
    this.#askedAt ??= at;
  }

  /** Called when a question that was sent at `askedAt` was answered at `at`. */
  answered(askedAt: number, at: number): void {
    this.#times[this.#oldest] = Math.max(0, at - askedAt);
    this.#oldest = (this.#oldest + 1) % remembered;
    this.#askedAt = undefined;
  }

  /** Forgets the unanswered question, because no answer will come. */
  forget(): void {
    this.#askedAt = undefined;
  }

  /**
   * How long the next answer will probably take, in milliseconds. At least the age of the question that is unanswered at `now`, if
   * there is one.
   */
  at(now: number): number {
    let least = Number.POSITIVE_INFINITY;
    for (const time of this.#times) least = Math.min(least, time);
    const age = this.#askedAt === undefined ? 0 : now - this.#askedAt;
    return Math.max(least === Number.POSITIVE_INFINITY ? 0 : least, age);
  }
}
