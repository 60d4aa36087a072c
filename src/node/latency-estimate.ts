/** How long a server takes to answer, guessed from what it was asked: it decides who is asked, never what is true. */

/** A server is slow when all of so many answers were: one alone may have met a pause of this process. */
const remembered = 4;

/** The least of the last few answers' times, of questions that are asked anyway; in milliseconds. */
export class LatencyEstimate {
  readonly #times: number[] = [];
  #askedAt: number | undefined;

  /** Takes in that a question leaves, if none is on its way. */
  asked(at: number): void {
    this.#askedAt ??= at;
  }

  /** Takes in that what was asked at `askedAt` was answered at `at`. */
  answered(askedAt: number, at: number): void {
    this.#times.push(Math.max(0, at - askedAt));
    if (this.#times.length > remembered) this.#times.shift();
    this.#askedAt = undefined;
  }

  /** Forgets what is on its way: it will not be answered. */
  forget(): void {
    this.#askedAt = undefined;
  }

  /** What the next answer will probably take; a question that is still unanswered at `now` counts with its age. */
  at(now: number): number {
    let least = Number.POSITIVE_INFINITY;
    for (const time of this.#times) least = Math.min(least, time);
    const age = this.#askedAt === undefined ? 0 : now - this.#askedAt;
    return Math.max(least === Number.POSITIVE_INFINITY ? 0 : least, age);
  }
}
