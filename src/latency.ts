/** How long a server takes to answer, guessed from what it was asked: it decides who is asked, never what is true. */

const rise = 0.3;
const fall = 0.1;

/** A running estimate in milliseconds, of questions that are asked anyway. */
export class Latency {
  #mean: number | undefined;
  #askedAt: number | undefined;

  /** Takes in that a question leaves, if none is on its way. */
  asked(at: number): void {
    this.#askedAt ??= at;
  }

  /** Takes in that what was asked at `askedAt` was answered at `at`. */
  answered(askedAt: number, at: number): void {
    const took = Math.max(0, at - askedAt);
    const error = took - (this.#mean ?? took);
    this.#mean = (this.#mean ?? took) + (error > 0 ? rise : fall) * error;
    this.#askedAt = undefined;
  }

  /** Forgets what is on its way: it will not be answered. */
  forget(): void {
    this.#askedAt = undefined;
  }

  /** What the next answer will probably take; a question that is still unanswered at `now` counts with its age. */
  at(now: number): number {
    const age = this.#askedAt === undefined ? 0 : now - this.#askedAt;
    return Math.max(this.#mean ?? 0, age);
  }
}
