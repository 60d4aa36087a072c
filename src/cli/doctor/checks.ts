/** All checks, in the order of the report. */
import type { Check } from "./check.js";
import { clockChecks } from "./checks/clocks-and-expiry.js";
import { clusterChecks } from "./checks/cluster.js";
import { commandChecks, extensionChecks, versionChecks } from "./checks/compatibility.js";
import { connectionChecks } from "./checks/connection.js";
import { durabilityChecks } from "./checks/durability.js";
import { failoverChecks, promotionChecks } from "./checks/failover.js";
import { lagChecks } from "./checks/lag.js";
import { bufferChecks, loadChecks } from "./checks/load.js";
import { memoryChecks } from "./checks/memory.js";
import { networkChecks, zoneChecks } from "./checks/network.js";
import { replicationChecks } from "./checks/replication.js";
import { replicationSettingsChecks } from "./checks/replication-settings.js";
import { rightsChecks } from "./checks/rights.js";
import { sentinelChecks } from "./checks/sentinel.js";
import { durabilityModeChecks, settingsChecks } from "./checks/settings.js";
import { tidemarkChecks } from "./checks/tidemark.js";
import { tlsChecks } from "./checks/tls.js";

export const checks: readonly Check[] = [
  ...connectionChecks,
  ...networkChecks,
  ...commandChecks,
  ...replicationChecks,
  ...failoverChecks,
  ...replicationSettingsChecks,
  ...versionChecks,
  ...bufferChecks,
  ...lagChecks,
  ...loadChecks,
  ...durabilityChecks,
  ...durabilityModeChecks,
  ...promotionChecks,
  ...memoryChecks,
  ...clockChecks,
  ...sentinelChecks,
  ...clusterChecks,
  ...tlsChecks,
  ...rightsChecks,
  ...tidemarkChecks,
  ...settingsChecks,
  ...zoneChecks,
  ...extensionChecks,
];
