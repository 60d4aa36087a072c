/** How long a replica takes to apply a write, guessed from what was seen: it decides what is worth a try, never what is true. */

const gain = 0.6;
const margin = 1.25;
const doubt = 0.01;
const reserve = 1.05;

/**
 * A running estimate of one replica's lag in milliseconds. Each look at the replica bounds the lag from below (a
 * write of that age was not there yet) and from above (one of that age was). A bound that contradicts the estimate
 * moves it, down as fast as up: one that only hiccuped is as good as before. Looks that agree with it lower it a little,
 * or one hiccup would keep reads away that nobody tries again.
 */
export class LagEstimate {
  #mean = 0;
  #deviation = 0;

  /** The lag that most writes stay under. */
  get ms(): number {
    return (this.#mean + margin * this.#deviation) * reserve;
  }

  /** Takes in that the lag was at least `atLeastMs` and, where a write is known to have arrived, at most `atMostMs`. */
  observe(atLeastMs: number, atMostMs: number): void {
    const lag = Math.max(atLeastMs, Math.min(this.#mean, atMostMs));
    const error = lag - this.#mean;
    this.#mean += error === 0 ? -doubt * this.#mean : gain * error;
    this.#deviation += gain * (Math.abs(error) - this.#deviation);
  }

  /** Whether a write made `ageMs` ago has probably arrived. */
  hasPassed(ageMs: number): boolean {
    return ageMs >= this.ms;
  }
}
