/** All checks, in the order of the report. */
import type { Check } from "./check.js";
import { connectionChecks } from "./checks/connection.js";
import { replicationChecks } from "./checks/replication.js";

export const checks: readonly Check[] = [...connectionChecks, ...replicationChecks];
