/** The report of the doctor as text. */
import type { Deployment } from "../inspection/deployment.js";
import type { Terminal } from "../terminal/terminal.js";
import { wrapped } from "../terminal/wrapped.js";
import { checks } from "./checks.js";
import { countsOf } from "./doctor.js";
import type { Finding, Group, Verdict } from "./finding.js";
import { lagChart } from "./lag-chart.js";
import { countText } from "./quantities.js";

const words: Readonly<Record<Verdict, string>> = {
  pass: "PASS",
  warn: "WARN",
  fail: "FAIL",
  skip: "SKIP",
  hidden: "HIDDEN",
};
const margin = "  ";
const wordWidth = 8;
const indent = " ".repeat(margin.length + wordWidth);
const titles = new Map(checks.map(({ id, title }) => [id, title]));

/** What a check looks at, as a short phrase. */
export function titleOf({ check }: Finding): string {
  return titles.get(check) ?? check;
}

/** The word for a verdict, with its colour. */
export function paintedWord(verdict: Verdict, { colors }: Terminal): string {
  const paint = {
    pass: colors.green,
    warn: colors.yellow,
    fail: colors.red,
    skip: colors.dim,
    hidden: colors.cyan,
  };
  return paint[verdict](words[verdict]);
}

/** Several findings that one line of the report shows. */
interface Entry {
  readonly finding: Finding;
  /** The checks of this entry, if they are not only that of the finding. */
  readonly titles: readonly string[];
  readonly servers: readonly string[];
}

/** The lines of the report. */
export function reportOf(deployment: Deployment, findings: readonly Finding[], terminal: Terminal): string[] {
  const lines: string[] = [];
  for (const group of new Set(findings.map((finding) => finding.group))) {
    lines.push(terminal.colors.bold(group));
    const entries = entriesOf(findings.filter((finding) => finding.group === group));
    for (const entry of entries) lines.push(...linesOf(entry, terminal));
    lines.push("", ...chartsOf(group, deployment, terminal));
  }
  return [...lines, ...problemLines(findings, terminal), ...summaryOf(findings, terminal)];
}

/** Names the failures and warnings once more, because they may stand far above in a long report. */
function problemLines(findings: readonly Finding[], terminal: Terminal): string[] {
  const problems = (["fail", "warn"] as const).flatMap((verdict) =>
    entriesOf(findings.filter((finding) => finding.verdict === verdict)),
  );
  if (problems.length === 0) return [];
  const lines = problems.flatMap((entry) => {
    const { group } = entry.finding;
    return firstLines(entry, terminal, `${subjectOf(entry)}, see ${group}`);
  });
  return [terminal.colors.bold("To correct"), ...lines, ""];
}

function chartsOf(group: Group, { lag = [], settings }: Deployment, terminal: Terminal): string[] {
  return group === "Lag" ? lag.flatMap((one) => lagChart(one, settings.thinkMs, terminal)) : [];
}

/** Puts findings together that say the same of several servers, and those that lack the same ACL rule. */
function entriesOf(findings: readonly Finding[]): Entry[] {
  const entries = new Map<string, Entry>();
  for (const finding of findings) {
    const { check, verdict, server, found, why = "", fix = "" } = finding;
    const key = verdict === "hidden" ? `hidden ${fix} ${why}` : [check, verdict, found, why, fix].join("\n");
    const known = entries.get(key);
    const all = new Set([...(known?.titles ?? []), titleOf(finding)]);
    const servers = new Set([...(known?.servers ?? []), ...(server === undefined ? [] : [server])]);
    entries.set(key, { finding: known?.finding ?? finding, titles: [...all], servers: [...servers] });
  }
  return [...entries.values()];
}

/** What was checked, and on which server. */
function subjectOf({ titles: about, servers }: Entry): string {
  const where = servers.length > 1 ? countText(servers.length, "server") : servers[0];
  return `${about.join("; ")}${where === undefined ? "" : ` (${where})`}`;
}

/** The verdict and a text beside it. */
function firstLines({ finding: { verdict } }: Entry, terminal: Terminal, text: string): string[] {
  const word = words[verdict].padEnd(wordWidth);
  const [first = "", ...rest] = wrapped(text, terminal.width, `${margin}${word}`, indent);
  return [first.replace(words[verdict], paintedWord(verdict, terminal)), ...rest];
}

function linesOf(entry: Entry, terminal: Terminal): string[] {
  const { finding } = entry;
  const { verdict, found, why, fix } = finding;
  const { colors, width } = terminal;
  const subject = subjectOf(entry);
  const text =
    verdict === "hidden" && entry.titles.length > 1
      ? `${subject}: this user may not see what these checks need`
      : `${subject}: ${found}`;
  return [
    ...firstLines(entry, terminal, text),
    ...(why === undefined ? [] : wrapped(why, width, indent).map((line) => colors.dim(line))),
    // The fix is not wrapped, so that it can be pasted.
    ...(fix === undefined ? [] : [`${indent}${colors.bold(fix)}`]),
  ];
}

/** The last lines: how many findings there are of each verdict. */
function summaryOf(findings: readonly Finding[], terminal: Terminal): string[] {
  const { fail, warn, pass, skip, hidden } = countsOf(findings);
  const counts = [
    `${fail} failed`,
    countText(warn, "warning").replace("one ", "1 "),
    `${pass} passed`,
    ...(skip > 0 ? [`${skip} skipped`] : []),
    ...(hidden > 0 ? [`${hidden} hidden from this user`] : []),
  ];
  const paint = fail > 0 ? terminal.colors.red : warn > 0 ? terminal.colors.yellow : terminal.colors.green;
  return wrapped(counts.join(", "), terminal.width).map(paint);
}
