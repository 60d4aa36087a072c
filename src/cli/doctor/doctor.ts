/** Runs all checks on a deployment. */
import type { Deployment } from "../inspection/deployment.js";
import type { Check } from "./check.js";
import { checks } from "./checks.js";
import type { Finding, Verdict } from "./finding.js";
import { Subject } from "./subject.js";

/** The findings of all checks, in their order. A check that throws is reported as skipped. */
export function examine(deployment: Deployment, list: readonly Check[] = checks): readonly Finding[] {
  return list.flatMap((check) => {
    try {
      return check.examine(deployment);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      return [
        new Subject(check).skip(`${check.title}: the check itself failed (${why}). Please report this.`),
      ];
    }
  });
}

/** How many findings there are of each verdict. */
export function countsOf(findings: readonly Finding[]): Readonly<Record<Verdict, number>> {
  const counts = { pass: 0, warn: 0, fail: 0, skip: 0, hidden: 0 };
  for (const { verdict } of findings) counts[verdict] += 1;
  return counts;
}

/** 0 if all is well, 1 for a FAIL, and with `strict` also for a WARN, 2 if no server could be reached. */
export function exitCodeOf(deployment: Deployment, findings: readonly Finding[], strict: boolean): 0 | 1 | 2 {
  const isReached = deployment.servers.some(({ connection }) => connection.kind === "value");
  if (!isReached) return 2;
  const { fail, warn } = countsOf(findings);
  return fail > 0 || (strict && warn > 0) ? 1 : 0;
}
