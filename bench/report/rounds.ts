/** Repeats rounds until the medians of what they measure are known closely enough. */
import { type Figure, figureOf } from "./section.js";

export interface RoundLimits {
  /** Fewer rounds than this are never taken. With fewer than 6, an interval is as wide as the range of all rounds. */
  readonly least: number;
  /** After so many rounds the interval is taken as it is. */
  readonly most: number;
  /** How far the ends of each interval may be from its median, as a share of the median. */
  readonly tolerance: number;
}

/** Calls `takeRound` until the interval of each list of `measured` is within the tolerance. Resolves with the number of rounds. */
export async function takeRounds(
  { least, most, tolerance }: RoundLimits,
  takeRound: (round: number) => Promise<void>,
  measured: () => Iterable<readonly number[]>,
): Promise<number> {
  for (let taken = 1; ; taken++) {
    await takeRound(taken);
    if (taken >= most) return taken;
    if (taken >= least && [...measured()].every((values) => isWithin(tolerance, intervalOf(values))))
      return taken;
  }
}

function isWithin(tolerance: number, { least, median, most }: Figure): boolean {
  return least >= median * (1 - tolerance) && most <= median * (1 + tolerance);
}

/**
 * The median, with the ends of its 95 % interval in place of the least and the most. The interval is made of order statistics, so
 * it assumes nothing about how the values are distributed. It is the range of all values when there are fewer than 6.
 */
export function intervalOf(values: readonly number[]): Figure {
  const sorted = values.toSorted((a, b) => a - b);
  const left = leftOut(sorted.length);
  const { least, most } = figureOf(sorted.slice(left, sorted.length - left));
  return { least, median: medianOf(sorted), most };
}

function medianOf(sorted: readonly number[]): number {
  const [low = Number.NaN, high = Number.NaN] = [
    sorted[(sorted.length - 1) >> 1],
    sorted[sorted.length >> 1],
  ];
  return (low + high) / 2;
}

/** How many values to leave out at each end: as many as still have the median between the others 19 times out of 20. */
function leftOut(count: number): number {
  // Each value is below the median as often as a coin shows heads.
  let chance = 0.5 ** count;
  let outside = 2 * chance;
  let left = 0;
  for (; outside <= 0.05; left++) {
    chance *= (count - left) / (left + 1);
    outside += 2 * chance;
  }
  return Math.max(0, left - 1);
}
