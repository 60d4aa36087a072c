/** What most of some measurements stay under. */

/** The least of `values` that the `share` of them does not exceed; 0 when there are none. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
}

/** A line of a table; every column is as wide as its heading. */
export function row(headings: readonly string[], cells: readonly (string | number)[]): string {
  return cells
    .map((cell, i) => (typeof cell === "number" ? cell.toFixed(1) : cell).padStart(headings[i]?.length ?? 0))
    .join("  ");
}
