/** The tables of what was measured, as Markdown. */
import { inShort } from "./in-short.js";
import type { Results } from "./results.js";
import type { Figure, Goal, Section, Table } from "./section.js";

/** All of it, with where and when it was measured. */
export function pageOf(results: Results): string {
  const parts = Object.values(results.sections);
  const how =
    "`npm run bench:report` makes this page from `bench/results.json`. `npm run bench` measures everything again. All processes of " +
    "a run share one machine. Compare the ratios within a run, not the numbers of different runs.";
  const goals = ["## Goals", '"A, to B" is A divided by B.', goalsOf(parts.flatMap((part) => part.goals))];
  const bodies = parts.map((part) => markdownOf({ ...part, goals: [] }).trimEnd());
  const chart = "![Operations a second](benchmarks.svg)";
  const short = ["## In short", ...inShort(results).flatMap(partsOf)];
  return `${["# Benchmarks", whereOf(results), how, ...short, chart, ...goals, ...bodies].join("\n\n")}\n`;
}

/** Where and when something was measured. */
export function whereOf({ date, machine, versions }: Omit<Results, "sections">): string {
  const with_ = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  return `Measured on ${date}: ${machine}; ${with_.join(", ")}.`;
}

/** One part: its tables, and how it stands to its goals. */
export function markdownOf({ title, where, tables, goals }: Section): string {
  const ends = goals.length > 0 ? ["### Goals", goalsOf(goals)] : [];
  const parts = tables.flatMap(partsOf);
  return `${[`## ${title}`, ...(where === undefined ? [] : [where]), ...parts, ...ends].join("\n\n")}\n`;
}

function partsOf({ title, how, columns, rows }: Table): readonly string[] {
  return [`### ${title}`, how, tableOf([columns, ...rows.map((cells) => cells.map(cellOf))])];
}

export function goalsOf(goals: readonly Goal[]): string {
  const rows = goals.map((goal) => [
    goal.what,
    `${goal.is} ${goal.limit}`,
    cellOf(goal.measured),
    isMeasured(goal) ? (isMet(goal) ? "met" : "**missed**") : "not measured",
  ]);
  return tableOf([["goal", "limit", "measured", ""], ...rows]);
}

/** Messages between processes have null in place of what is no number. */
function isMeasured({ measured }: Goal): boolean {
  return Number.isFinite(measured.median);
}

export function isMet({ is, limit, measured }: Goal): boolean {
  return is === "at least" ? measured.median >= limit : measured.median <= limit;
}

function cellOf(cell: string | number | Figure): string {
  if (typeof cell === "string") return cell;
  if (typeof cell === "number") return rounded(cell);
  return `${rounded(cell.median)} (${rounded(cell.least)} to ${rounded(cell.most)})`;
}

/** Three digits that count are as much as such a measurement is good for. */
function rounded(value: number): string {
  if (!Number.isFinite(value)) return "-";
  return Math.abs(value) >= 100 ? String(Math.round(value)) : String(Number(value.toPrecision(3)));
}

function tableOf([head = [], ...rows]: readonly (readonly string[])[]): string {
  const lines = [head, head.map((_, i) => (i === 0 ? "---" : "---:")), ...rows];
  return lines.map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}
