/** How long a replica takes to apply a write, guessed from what was seen: it decides what is worth a try, never what is true. */

const rise = 0.6;
const fall = 0.25;
const margin = 1.5;

/**
 * A running estimate of one replica's lag in milliseconds. Each look at the replica bounds the lag from below (a
 * write of that age was not there yet) and from above (one of that age was); only a bound that contradicts the
 * estimate moves it.
 */
export class LagEstimate {
  #mean = 0;
  #deviation = 0;

  /** The lag that most writes stay under. */
  get ms(): number {
    return this.#mean + margin * this.#deviation;
  }

  /** Takes in that the lag was at least `atLeastMs` and, where a write is known to have arrived, at most `atMostMs`. */
  observe(atLeastMs: number, atMostMs: number): void {
    const lag = Math.max(atLeastMs, Math.min(this.#mean, atMostMs));
    const error = lag - this.#mean;
    if (error === 0) return;
    this.#mean += (error > 0 ? rise : fall) * error;
    this.#deviation += fall * (Math.abs(error) - this.#deviation);
  }

  /** Whether a write made `ageMs` ago has probably arrived. */
  hasPassed(ageMs: number): boolean {
    return ageMs >= this.ms;
  }
}
