/** Estimates a share of reads from a sample, with an interval that allows for reads which are alike. */

/** An estimated share, from 0 to 1, and the interval that it lies in with a probability of 95 %. NaN if nothing was looked at. */
export interface Estimate {
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

/** Reads within this time meet the same lag, so they are no evidence of their own. */
const blockMs = 1_000;
/** How many standard errors an interval of 95 % extends to each side. */
const standardErrors = 1.96;

/**
 * Counts how many reads have a property. A read may count in part, for example 0.5 if one of two replicas would have been stale.
 *
 * Reads of the same moment are not independent: when a replica lags, it lags for all of them. So the reads are divided into blocks
 * of one second, and the spread between the blocks widens the interval.
 */
export class ShareTally {
  #reads = 0;
  #sum = 0;
  #blocks = 0;
  #block = 0;
  #blockReads = 0;
  #blockSum = 0;
  /** The sums of the squares and products of the blocks that are over. */
  #readsSquared = 0;
  #sumSquared = 0;
  #product = 0;

  /** Counts a read at `at`, in milliseconds. `value` is from 0 to 1. */
  add(at: number, value: number): void {
    const block = Math.floor(at / blockMs);
    if (block !== this.#block) this.#closeBlock(block);
    this.#blockReads += 1;
    this.#blockSum += value;
    this.#reads += 1;
    this.#sum += value;
  }

  /** How many reads were counted. */
  get reads(): number {
    return this.#reads;
  }

  get estimate(): Estimate {
    if (this.#reads === 0) return { value: Number.NaN, low: Number.NaN, high: Number.NaN };
    const value = this.#sum / this.#reads;
    return { value, ...wilson(value, this.#reads / this.#designEffect(value)) };
  }

  /** How many times as many reads it takes as if the reads were independent. */
  #designEffect(share: number): number {
    const blocks = this.#blocks + (this.#blockReads > 0 ? 1 : 0);
    const variance = (share * (1 - share)) / this.#reads;
    if (blocks < 2 || variance === 0) return 1;
    const sumSquared = this.#sumSquared + this.#blockSum ** 2;
    const product = this.#product + this.#blockSum * this.#blockReads;
    const readsSquared = this.#readsSquared + this.#blockReads ** 2;
    const residuals = sumSquared - 2 * share * product + share ** 2 * readsSquared;
    const between = ((blocks / (blocks - 1)) * residuals) / this.#reads ** 2;
    return Math.max(1, between / variance);
  }

  #closeBlock(next: number): void {
    if (this.#blockReads > 0) {
      this.#blocks += 1;
      this.#sumSquared += this.#blockSum ** 2;
      this.#product += this.#blockSum * this.#blockReads;
      this.#readsSquared += this.#blockReads ** 2;
    }
    this.#block = next;
    this.#blockReads = 0;
    this.#blockSum = 0;
  }
}

/** The interval of Wilson for a share of `reads` independent reads. */
function wilson(share: number, reads: number): { readonly low: number; readonly high: number } {
  const z = standardErrors;
  const middle = share + z ** 2 / (2 * reads);
  const spread = z * Math.sqrt((share * (1 - share)) / reads + z ** 2 / (4 * reads ** 2));
  const scale = 1 + z ** 2 / reads;
  return { low: Math.max(0, (middle - spread) / scale), high: Math.min(1, (middle + spread) / scale) };
}
