/** A deployment of real servers as the doctor sees it, and the findings of single checks. */
import { Redis } from "ioredis";
import { expect, onTestFinished } from "vitest";
import { type TargetOptions, targetOf } from "../../../src/cli/arguments/target.js";
import { examine } from "../../../src/cli/doctor/doctor.js";
import type { Finding, Verdict } from "../../../src/cli/doctor/finding.js";
import { type Deployment, type InspectOptions, inspect } from "../../../src/cli/inspection/deployment.js";

export interface Inspected extends InspectOptions, TargetOptions {
  readonly password?: string;
}

/** Looks at the servers once. The connections close when the test ends. */
export async function inspected(urls: readonly string[], options: Inspected = {}): Promise<Deployment> {
  const deployment = await inspect(targetOf(urls, options, options.password), options);
  onTestFinished(() => deployment.close());
  return deployment;
}

/** The findings of one check. */
export function findingsOf(deployment: Deployment, check: string): readonly Finding[] {
  return examine(deployment).filter((finding) => finding.check === check);
}

/** The verdicts of one check. */
export function verdictsOf(deployment: Deployment, check: string): readonly Verdict[] {
  return findingsOf(deployment, check).map(({ verdict }) => verdict);
}

/** The findings of one check that are not `pass`. */
export function faultsOf(deployment: Deployment, check: string): readonly Finding[] {
  return findingsOf(deployment, check).filter(({ verdict }) => verdict !== "pass");
}

/** Does what the fix of a finding says, as a user would by pasting it. */
export async function applyFix({ fix = "" }: Finding): Promise<void> {
  const [, host = "", port = "", line = ""] = /^redis-cli -h (\S+) -p (\d+) (.+)$/.exec(fix) ?? [];
  const words = [...line.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map(
    (match) => match[1] ?? match[2] ?? match[3] ?? "",
  );
  const [command = "", ...args] = words;
  const admin = new Redis({ host, port: Number(port) });
  try {
    await admin.call(command, ...args);
  } finally {
    admin.disconnect();
  }
}

/** The findings of one check about the servers at `urls`. */
export async function checked(
  check: string,
  urls: readonly string[],
  options: Inspected = {},
): Promise<readonly Finding[]> {
  return findingsOf(await inspected(urls, options), check);
}

/** Matches a finding with this verdict whose text has all of the words, in this order. */
export function finding(verdict: Verdict, ...words: readonly string[]): unknown {
  const pattern = words.map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join(".*");
  return expect.objectContaining({ verdict, found: expect.stringMatching(new RegExp(pattern, "s")) });
}
