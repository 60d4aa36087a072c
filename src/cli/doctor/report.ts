/** The report of the doctor as text. */
import type { Terminal } from "../terminal/terminal.js";
import { wrapped } from "../terminal/wrapped.js";
import { countsOf } from "./doctor.js";
import type { Finding, Verdict } from "./finding.js";

const words: Readonly<Record<Verdict, string>> = {
  pass: "PASS",
  warn: "WARN",
  fail: "FAIL",
  skip: "SKIP",
  hidden: "HIDDEN",
};
const columns = 8;

/** The lines of the report. */
export function reportOf(findings: readonly Finding[], terminal: Terminal): string[] {
  const { colors } = terminal;
  const lines: string[] = [];
  for (const group of new Set(findings.map((finding) => finding.group))) {
    lines.push(colors.bold(group));
    for (const finding of findings) if (finding.group === group) lines.push(...linesOf(finding, terminal));
    lines.push("");
  }
  return [...lines, summaryOf(findings)];
}

function linesOf(finding: Finding, { colors, width }: Terminal): string[] {
  const { verdict, server, found, check, why, fix } = finding;
  const indent = " ".repeat(columns);
  const word = words[verdict].padEnd(columns - 2);
  const [first = "", ...rest] = wrapped(
    `${check}${server === undefined ? "" : ` ${server}`}: ${found}`,
    width,
    `  ${word}`,
    indent,
  );
  const paint = {
    pass: colors.green,
    warn: colors.yellow,
    fail: colors.red,
    skip: colors.dim,
    hidden: colors.cyan,
  };
  return [
    first.replace(word, paint[verdict](word)),
    ...rest,
    ...(why === undefined ? [] : wrapped(why, width, indent)),
    ...(fix === undefined ? [] : [`${indent}${fix}`]),
  ];
}

function summaryOf(findings: readonly Finding[]): string {
  const counts = countsOf(findings);
  const { pass, warn, fail, skip, hidden } = counts;
  return `${fail} failed, ${warn} warnings, ${pass} passed, ${skip} skipped, ${hidden} hidden`;
}
