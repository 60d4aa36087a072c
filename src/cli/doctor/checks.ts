/** All checks, in the order of the report. */
import type { Check } from "./check.js";
import { connectionChecks } from "./checks/connection.js";
import { durabilityChecks } from "./checks/durability.js";
import { lagChecks } from "./checks/lag.js";
import { memoryChecks } from "./checks/memory.js";
import { replicationChecks } from "./checks/replication.js";
import { replicationSettingsChecks } from "./checks/replication-settings.js";
import { tidemarkChecks } from "./checks/tidemark.js";

export const checks: readonly Check[] = [
  ...connectionChecks,
  ...replicationChecks,
  ...replicationSettingsChecks,
  ...lagChecks,
  ...durabilityChecks,
  ...memoryChecks,
  ...tidemarkChecks,
];
