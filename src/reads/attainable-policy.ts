/** Which of several wishes is granted: the first that can be met now, by what was seen of lag and latency. */

import { requiredSince } from "../shard/eligibility.js";
import { type PendingRead, withPolicy } from "./read.js";
import { selectReplica } from "./server-selection.js";

/** `read` on the first of its terms that can be met now, else on the last. */
export function firstAttainable(read: PendingRead, maxStalenessMs: number, now: number): PendingRead {
  let wished = read;
  while (wished.terms.next !== undefined && !canBeMet(wished, now))
    wished = withPolicy(wished, wished.terms.next, maxStalenessMs);
  return wished;
}

/** What is wished for when no replica could meet the present terms, nor can the primary in time; undefined for nothing. */
export function nextAttainable(
  read: PendingRead,
  maxStalenessMs: number,
  now: number,
): PendingRead | undefined {
  const { next } = read.terms;
  if (next === undefined || primaryIsInTime(read, now)) return undefined;
  return firstAttainable(withPolicy(read, next, maxStalenessMs), maxStalenessMs, now);
}

/** The primary can meet whatever is asked, if it may be asked. */
function primaryIsInTime({ terms, shard, certain, givenAt }: PendingRead, now: number): boolean {
  const mayAsk = certain !== undefined || terms.fallback === "primary";
  return mayAsk && shard.isPrimaryReady && shard.primary.latency.at(now) <= terms.withinMs - (now - givenAt);
}

/** Whether somebody can probably answer in time. */
function canBeMet(read: PendingRead, now: number): boolean {
  const { terms, shard, certain, givenAt, waitUntil } = read;
  if (primaryIsInTime(read, now)) return true;
  if (certain !== undefined) return false;
  const choice = selectReplica(read, now);
  if (choice?.node !== undefined) return choice.node.latency.at(now) <= terms.withinMs - (now - givenAt);
  const soonest =
    requiredSince(shard, read.requirement, read.session.demand.issuedAt, now) + shard.catchUp.leastLagMs;
  return Math.max(now, soonest) < waitUntil;
}
