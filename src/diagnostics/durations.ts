/** Counts durations in classes, so that percentiles of many take little memory. */

/** Each class is a twelfth longer than the one before, which is the error of a percentile. */
const classFactor = 13 / 12;
const leastMs = 0.05;
const mostMs = 60_000;
const classes = Math.ceil(Math.log(mostMs / leastMs) / Math.log(classFactor)) + 1;

export class Durations {
  readonly #counts = new Uint32Array(classes);
  count = 0;

  add(ms: number): void {
    const at = Math.ceil(Math.log(Math.max(ms, leastMs) / leastMs) / Math.log(classFactor));
    const index = Math.min(at, classes - 1);
    this.#counts[index] = (this.#counts[index] ?? 0) + 1;
    this.count += 1;
  }

  /** How many durations are in the class at `index`. */
  at(index: number): number {
    return this.#counts[index] ?? 0;
  }
}

/** A part of a mixture of durations. */
export interface WeightedDurations {
  readonly durations: Durations;
  /** How much each duration of this part counts. */
  readonly weight: number;
}

/** The upper bound of the class that the duration of this rank is in, in milliseconds. NaN without durations. */
export function percentileOf(parts: readonly WeightedDurations[], rank: number): number {
  const total = parts.reduce((sum, { durations, weight }) => sum + weight * durations.count, 0);
  let passed = 0;
  for (let index = 0; index < classes && total > 0; index += 1) {
    for (const { durations, weight } of parts) passed += weight * durations.at(index);
    if (passed > 0 && passed >= rank * total) return leastMs * classFactor ** index;
  }
  return Number.NaN;
}
