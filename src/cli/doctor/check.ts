/** A check of a deployment. */
import type { Deployment } from "../inspection/deployment.js";
import type { Finding, Group } from "./finding.js";

export interface Check {
  /** Kebab-case. It never changes, because scripts look for it in the output of `--json`. */
  readonly id: string;
  readonly group: Group;
  /** What is checked, as a short noun phrase: "size of the replication backlog". */
  readonly title: string;
  /** Looks only at what was collected, and sends nothing. Returns one finding for each server, or one for all. */
  examine(deployment: Deployment): readonly Finding[];
}
