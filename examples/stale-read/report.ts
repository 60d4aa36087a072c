/** Writes what the demo prints: a table, and a sentence about it. */
import { maxLagMs } from "./lag-swing.js";
import { replicasAtRandom, stickyAfterWrite, tidemark } from "./routing.js";
import { type Outcome, users } from "./trial.js";

const headings = ["routing", "reads", "stale reads", "read from the primary", "p50", "p99"];

/** Says what was run. */
export function introduction(seconds: number): string {
  return (
    `${users} users fill carts over HTTP and reload them, ${seconds} s for each routing, on a primary and two ` +
    `replicas\nwhose lag swings between 0 and ${maxLagMs} ms. A read is stale if it lacks an item that its user has added.`
  );
}

/** One row for each routing. */
export function table(outcomes: readonly Outcome[]): string {
  const rows = outcomes.map(({ name, readMs, staleReads, primaryShare }) => [
    name,
    count(readMs.length),
    staleReads === 0 ? "0" : `${count(staleReads)} (${percent(staleReads / readMs.length)})`,
    percent(primaryShare),
    milliseconds(quantile(readMs, 0.5)),
    milliseconds(quantile(readMs, 0.99)),
  ]);
  const lines = [headings, ...rows];
  const widths = headings.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)));
  const align = (cell: string, column: number): string =>
    column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0);
  const rule = widths.map((width) => "─".repeat(width));
  return [headings, rule, ...rows].map((line) => `  ${line.map(align).join("   ")}`).join("\n");
}

/** The result in two sentences. */
export function reading(outcomes: readonly Outcome[]): string {
  const [random, sticky, ours] = [replicasAtRandom, stickyAfterWrite, tidemark].map(({ name }) =>
    outcomes.find((outcome) => outcome.name === name),
  );
  if (random === undefined || sticky === undefined || ours === undefined) return "";
  return (
    `Reading replicas at random, users missed their own write in ${percent(staleShare(random))} of reads, with Tidemark ` +
    `in ${ours.staleReads === 0 ? "none" : percent(staleShare(ours))}.\n` +
    `Replicas answered ${percent(1 - ours.primaryShare)} of the reads with Tidemark, and ` +
    `${percent(1 - sticky.primaryShare)} with "${sticky.name}".`
  );
}

/** Why the run does not show what it should, a sentence for each reason. Empty if it does. */
export function complaints(outcomes: readonly Outcome[]): readonly string[] {
  const found: string[] = [];
  for (const { name, staleReads, errors } of outcomes) {
    if (name === tidemark.name && staleReads > 0)
      found.push(`Tidemark had ${count(staleReads)} stale reads.`);
    if (name === replicasAtRandom.name && staleReads === 0) {
      found.push(`"${name}" had no stale read, so this run proves nothing.`);
    }
    if (errors.length > 0)
      found.push(`"${name}" had ${count(errors.length)} errors; the first: ${errors[0]}`);
  }
  return found;
}

function staleShare({ staleReads, readMs }: Outcome): number {
  return staleReads / readMs.length;
}

/** The quantile of sorted values. */
function quantile(sorted: readonly number[], part: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN;
}

function count(value: number): string {
  return value.toLocaleString("en-US");
}

/** Rounded to whole percents, but never to "0 %" or "100 %" if the share is neither. */
function percent(share: number): string {
  const digits = (share > 0 && share < 0.01) || (share > 0.99 && share < 1) ? 1 : 0;
  return `${(share * 100).toFixed(digits)} %`;
}

function milliseconds(ms: number): string {
  return `${ms.toFixed(1)} ms`;
}
