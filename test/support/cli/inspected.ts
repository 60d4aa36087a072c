/** A deployment of real servers as the doctor sees it. */
import { onTestFinished } from "vitest";
import { type TargetOptions, targetOf } from "../../../src/cli/arguments/target.js";
import type { Check } from "../../../src/cli/doctor/check.js";
import { examine } from "../../../src/cli/doctor/doctor.js";
import type { Finding } from "../../../src/cli/doctor/finding.js";
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

/** The findings of one check, as `verdict server: found`. */
export function findingsOf(deployment: Deployment, id: string, list?: readonly Check[]): readonly Finding[] {
  return examine(deployment, list).filter(({ check }) => check === id);
}
