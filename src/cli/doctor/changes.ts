/** Compares the findings of two rounds. */
import type { Terminal } from "../terminal/terminal.js";
import { wrapped } from "../terminal/wrapped.js";
import type { Finding, Verdict } from "./finding.js";
import { paintedWord, titleOf } from "./report.js";

/** A verdict that changed. `before` is undefined for a server or a check that is new, `after` for one that is gone. */
export interface Change {
  readonly before: Finding | undefined;
  readonly after: Finding | undefined;
}

const severity: readonly Verdict[] = ["pass", "skip", "hidden", "warn", "fail"];

/** The changes from one round to the next. */
export function changesBetween(earlier: readonly Finding[], later: readonly Finding[]): Change[] {
  const before = worstOf(earlier);
  const after = worstOf(later);
  const keys = new Set([...before.keys(), ...after.keys()]);
  return [...keys].flatMap((key) => {
    const change = { before: before.get(key), after: after.get(key) };
    return change.before?.verdict === change.after?.verdict ? [] : [change];
  });
}

/** One line for each change: the time, the verdicts, and what was found. */
export function changeLines(changes: readonly Change[], time: Date, terminal: Terminal): string[] {
  const clock = time.toTimeString().slice(0, 8);
  return changes.flatMap(({ before, after }) => {
    const finding = after ?? before;
    if (finding === undefined) return [];
    const wordOf = (one: Finding | undefined, other: string): string =>
      one === undefined ? other : paintedWord(one.verdict, terminal);
    const server = finding.server === undefined ? "" : ` (${finding.server})`;
    const found = after === undefined ? "" : `: ${after.found}`;
    const head = `${clock}  ${wordOf(before, "new")} -> ${wordOf(after, "gone")}`;
    return [head, ...wrapped(`${titleOf(finding)}${server}${found}`, terminal.width, "          ")];
  });
}

/** The worst finding of each check for each server. */
function worstOf(findings: readonly Finding[]): Map<string, Finding> {
  const worst = new Map<string, Finding>();
  for (const finding of findings) {
    const key = `${finding.check} ${finding.server ?? ""}`;
    const known = worst.get(key);
    if (known === undefined || severity.indexOf(finding.verdict) > severity.indexOf(known.verdict))
      worst.set(key, finding);
  }
  return worst;
}
