/** The lag of the last minute as one line of bars. */
import type { LagSample } from "./snapshot.js";

/** How much time a sparkline shows. */
export const sparklineMs = 60_000;

const bars = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];
const asciiBars = ["_", ".", "-", "=", "+", "*", "%", "#"];
const unknown = "·";
const asciiUnknown = "?";

/** The shortest lag that has a bar of its own. */
const leastMs = 1;

/**
 * `width` characters, the newest on the right. Each stands for the longest lag of its part of the minute. The scale is
 * logarithmic, and the same in each row: the lowest bar is no lag, the highest is `maxStalenessMs` or more. A dot is a time in
 * which the lag was not known. A time before the first sample is blank.
 */
export function sparkline(
  samples: readonly LagSample[],
  { width, maxStalenessMs, hasUnicode }: { width: number; maxStalenessMs: number; hasUnicode: boolean },
): string {
  const cells = Array.from({ length: width }, () => " ");
  const highest = Array.from({ length: width }, () => -1);
  for (const { ageMs, lagMs } of samples) {
    const at = width - 1 - Math.floor((Math.max(ageMs, 0) / sparklineMs) * width);
    if (at < 0 || at >= width) continue;
    const height = lagMs === undefined ? -1 : heightOf(lagMs, maxStalenessMs);
    highest[at] = Math.max(highest[at] ?? -1, height);
    const bar = (hasUnicode ? bars : asciiBars)[highest[at] ?? -1];
    cells[at] = bar ?? (hasUnicode ? unknown : asciiUnknown);
  }
  return cells.join("");
}

function heightOf(lagMs: number, maxStalenessMs: number): number {
  const top = bars.length - 1;
  if (lagMs < leastMs) return 0;
  if (lagMs >= maxStalenessMs) return top;
  return 1 + Math.floor((Math.log(lagMs / leastMs) / Math.log(maxStalenessMs / leastMs)) * (top - 1));
}
