/** Selects the read policy of a read: the first that can probably be met now, judged by recent lag and latency. */
import { requiredSince } from "../shard/eligibility.js";
import type { PendingRead } from "./read.js";
import { selectReplica } from "./server-selection.js";

/** Gives `read` the first of its read policies that can be met now, or the last one if none can. */
export function useAttainablePolicy(read: PendingRead, now: number): void {
  while (read.policy.next !== undefined && !canBeMet(read, now)) read.usePolicy(read.policy.next);
}

/**
 * Gives `read` a later read policy when no replica can meet the present one. Returns false if there is no later policy, or if the
 * primary can answer in time.
 */
export function useNextPolicy(read: PendingRead, now: number): boolean {
  const { next } = read.policy;
  if (next === undefined || primaryIsInTime(read, now)) return false;
  read.usePolicy(next);
  useAttainablePolicy(read, now);
  return true;
}

/** Whether Tidemark may ask the primary and will probably get the answer in time. The primary can meet every requirement. */
function primaryIsInTime({ policy, shard, primaryOnly, givenAt }: PendingRead, now: number): boolean {
  const mayAsk = primaryOnly !== undefined || policy.fallback === "primary";
  return mayAsk && shard.isPrimaryReady && shard.primary.latency.at(now) <= policy.withinMs - (now - givenAt);
}

/** Whether a server can probably answer in time. */
function canBeMet(read: PendingRead, now: number): boolean {
  const { policy, shard, primaryOnly, givenAt, waitUntil } = read;
  if (primaryIsInTime(read, now)) return true;
  if (primaryOnly !== undefined) return false;
  const choice = selectReplica(read, now);
  if (choice?.node !== undefined) return choice.node.latency.at(now) <= policy.withinMs - (now - givenAt);
  const soonest =
    requiredSince(shard, read.requirement, read.session.requirement.issuedAt, now) + shard.catchUp.leastLagMs;
  return Math.max(now, soonest) < waitUntil;
}
