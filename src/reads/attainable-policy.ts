/** Selects the read policy of a read: the first that can probably be met now, judged by recent lag and latency. */

import { requiredSince } from "../shard/eligibility.js";
import { type PendingRead, withPolicy } from "./read.js";
import { selectReplica } from "./server-selection.js";

/** Returns `read` with the first of its read policies that can be met now, or with the last one if none can. */
export function firstAttainable(read: PendingRead, maxStalenessMs: number, now: number): PendingRead {
  let attainable = read;
  while (attainable.policy.next !== undefined && !canBeMet(attainable, now))
    attainable = withPolicy(attainable, attainable.policy.next, maxStalenessMs);
  return attainable;
}

/**
 * Returns `read` with a later read policy when no replica can meet the present one. Undefined if there is no later policy, or if
 * the primary can answer in time.
 */
export function nextAttainable(
  read: PendingRead,
  maxStalenessMs: number,
  now: number,
): PendingRead | undefined {
  const { next } = read.policy;
  if (next === undefined || primaryIsInTime(read, now)) return undefined;
  return firstAttainable(withPolicy(read, next, maxStalenessMs), maxStalenessMs, now);
}

/** Whether Tidemark may ask the primary and will probably get the answer in time. The primary can meet every requirement. */
function primaryIsInTime({ policy, shard, certain, givenAt }: PendingRead, now: number): boolean {
  const mayAsk = certain !== undefined || policy.fallback === "primary";
  return mayAsk && shard.isPrimaryReady && shard.primary.latency.at(now) <= policy.withinMs - (now - givenAt);
}

/** Whether a server can probably answer in time. */
function canBeMet(read: PendingRead, now: number): boolean {
  const { policy, shard, certain, givenAt, waitUntil } = read;
  if (primaryIsInTime(read, now)) return true;
  if (certain !== undefined) return false;
  const choice = selectReplica(read, now);
  if (choice?.node !== undefined) return choice.node.latency.at(now) <= policy.withinMs - (now - givenAt);
  const soonest =
    requiredSince(shard, read.requirement, read.session.requirement.issuedAt, now) + shard.catchUp.leastLagMs;
  return Math.max(now, soonest) < waitUntil;
}
