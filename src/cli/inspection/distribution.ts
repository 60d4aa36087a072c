/** Quantiles and shares of measured values. */

/** The value that the share `q` of the values does not exceed. NaN if there are none. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((one, other) => one - other);
  return sorted[Math.max(Math.ceil(q * sorted.length) - 1, 0)] ?? Number.NaN;
}

/** The share of the values that are at most `limit`. NaN if there are none. */
export function shareWithin(values: readonly number[], limit: number): number {
  return values.filter((value) => value <= limit).length / values.length;
}
