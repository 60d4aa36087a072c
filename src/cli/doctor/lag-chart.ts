/** Draws how long replicas took to catch up. */
import { quantile, shareWithin } from "../inspection/distribution.js";
import type { LagOfReplica } from "../inspection/measurements.js";
import type { Terminal } from "../terminal/terminal.js";
import { bytesText, countText, durationText, percentText } from "./quantities.js";

/** The upper ends of the bars, in milliseconds. */
const bounds = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, Number.POSITIVE_INFINITY];
const blocks = ["▏", "▎", "▍", "▌", "▋", "▊", "▉"];
const indent = "  ";
const labelWidth = 16;
const maxBar = 40;
/** For the share behind each bar. */
const shareWidth = 10;
const quantiles = [0.5, 0.9, 0.99, 1] as const;
const quantileNames = ["p50", "p90", "p99", "max"];
const columnWidth = 10;

/** The lines about one replica: its distribution, its quantiles, and the reads that it can take. Empty if nothing was sampled. */
export function lagChart(lag: LagOfReplica, thinkMs: readonly number[], terminal: Terminal): string[] {
  const { replica, ms, bytes } = lag;
  if (ms.length === 0) return [];
  const shares = thinkMs.map((think) => [durationText(think), percentText(shareWithin(ms, think))] as const);
  const widths = shares.map(([think, share]) => Math.max(think.length, share.length) + 2);
  const shareLine = (at: 0 | 1): string =>
    shares.map((pair, i) => pair[at].padStart(widths[i] ?? 0)).join("");
  return [
    `${indent}${terminal.colors.bold(replica)} caught up (${countText(ms.length, "sample")})`,
    ...bars(ms, terminal),
    "",
    row("", quantileNames),
    row(
      "time",
      quantiles.map((q) => durationText(quantile(ms, q))),
    ),
    row(
      "behind by",
      quantiles.map((q) => bytesText(quantile(bytes, q))),
    ),
    "",
    `${indent}${"read after".padEnd(labelWidth)}${shareLine(0)}`,
    `${indent}${"can take".padEnd(labelWidth)}${shareLine(1)}`,
    "",
  ].map((line) => line.trimEnd());
}

function row(label: string, cells: readonly string[]): string {
  return `${indent}${label.padEnd(labelWidth)}${cells.map((cell) => cell.padStart(columnWidth)).join("")}`;
}

function bars(ms: readonly number[], { width, hasUnicode, colors }: Terminal): string[] {
  const counts = bounds.map((bound, i) => {
    const from = bounds[i - 1] ?? -1;
    return ms.filter((value) => value > from && value <= bound).length;
  });
  const first = counts.findIndex((count) => count > 0);
  const last = counts.findLastIndex((count) => count > 0);
  const most = Math.max(...counts);
  const room = Math.max(Math.min(width - indent.length - labelWidth - shareWidth, maxBar), 5);
  return counts.slice(first, last + 1).map((count, i) => {
    const bar = barOf((count / most) * room, hasUnicode);
    const share = count === 0 ? "" : ` ${percentText(count / ms.length)}`;
    return `${indent}${labelOf(first + i).padEnd(labelWidth)}${colors.cyan(bar)}${share}`;
  });
}

function labelOf(index: number): string {
  const bound = bounds[index] ?? Number.POSITIVE_INFINITY;
  return bound === Number.POSITIVE_INFINITY ? "never (5 s)" : `up to ${durationText(bound)}`;
}

function barOf(length: number, hasUnicode: boolean): string {
  if (!hasUnicode) return "#".repeat(length > 0 ? Math.max(Math.round(length), 1) : 0);
  const whole = Math.floor(length);
  const eighths = Math.round((length - whole) * 8);
  if (eighths === 8) return "█".repeat(whole + 1);
  const rest = blocks[eighths - 1] ?? "";
  return length > 0 && whole === 0 && rest === "" ? "▏" : `${"█".repeat(whole)}${rest}`;
}
