/** Estimates how long a replica takes to apply a write. The estimate decides which replica is worth a try, never what is true. */

const gain = 0.6;
const margin = 1.25;
const doubt = 0.01;
const reserve = 1.05;

/**
 * A running estimate of one replica's lag in milliseconds. Each report of the replica gives a lower bound (a write of that age was
 * missing) and an upper bound (a write of that age was there). A bound that contradicts the estimate moves the estimate. It moves
 * down as fast as up, because a replica that lagged only for a moment is as good as before. A report that agrees with the estimate
 * lowers it a little. Without this, a moment of lag could keep reads away from a replica for good, because without reads nothing
 * shows that the replica has recovered.
 */
export class LagEstimate {
  #mean = 0;
  #deviation = 0;

  /** The lag that most writes stay below, in milliseconds. */
  get ms(): number {
    return (this.#mean + margin * this.#deviation) * reserve;
  }

  /** Records that the lag was at least `atLeastMs` and, if a write is known to have arrived, at most `atMostMs`. */
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
