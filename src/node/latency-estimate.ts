/** Estimates how long a server takes to answer. The estimate decides which server is asked, never what is true. */

/** A server counts as slow if all of its last answers were slow, because a single one may have met a pause of this process. */
const remembered = 4;

/** The shortest time of the last few answers, in milliseconds. Only questions count that are asked anyway. */
export class LatencyEstimate {
  readonly #times: number[] = [];
  #askedAt: number | undefined;

  /** Called when a question is sent. It counts only if no earlier one is unanswered. */
  asked(at: number): void {
    this.#askedAt ??= at;
  }

  /** Called when a question that was sent at `askedAt` was answered at `at`. */
  answered(askedAt: number, at: number): void {
    this.#times.push(Math.max(0, at - askedAt));
    if (this.#times.length > remembered) this.#times.shift();
    this.#askedAt = undefined;
  }

  /** Forgets the unanswered question, because no answer will come. */
  forget(): void {
    this.#askedAt = undefined;
  }

  /** How long the next answer will probably take, in milliseconds. A question that is unanswered at `now` counts with its age. */
  at(now: number): number {
    let least = Number.POSITIVE_INFINITY;
    for (const time of this.#times) least = Math.min(least, time);
    const age = this.#askedAt === undefined ? 0 : now - this.#askedAt;
    return Math.max(least === Number.POSITIVE_INFINITY ? 0 : least, age);
  }
}
