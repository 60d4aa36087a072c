/**
 * Finds which writes keep a read on the primary. Tidemark does this when it sends the read there, so that other reads pay
 * nothing.
 */
import type { Reason } from "../diagnostics/channels.js";
import type { KeptReads, Statistics } from "../diagnostics/statistics.js";
import { narrowed, type Position } from "../replication/position.js";
import { ineligibility, noRequirement, type ReadRequirement } from "../shard/eligibility.js";
import { judgedAt, stateOf } from "../shard/node-state.js";
import type { Shard } from "../shard/shard.js";
import type { ReadQuery } from "./server-selection.js";

/** The reasons why a read goes to the primary when the replicas may only have to catch up with the session's writes. */
const reasonsOfWrites: ReadonlySet<Reason> = new Set([
  ...(["write-in-flight", "position-unknown"] as const),
  ...(["behind", "read-ahead", "check-failed"] as const),
]);

/**
 * Counts a read that goes to the primary for `reason`, if writes keep it there. Returns the group that counts the read, or
 * undefined if the read was not counted.
 */
export function countKept(read: ReadQuery, reason: Reason, now: number): KeptReads | undefined {
  const { statistics } = read.session;
  if (!read.rules.requiresSession || !reasonsOfWrites.has(reason)) return undefined;
  const kept = keptBy(read, reason, statistics, now);
  if (kept !== undefined) statistics.countKept(kept, read.touched.keys);
  return kept;
}

function keptBy(read: ReadQuery, reason: Reason, statistics: Statistics, now: number): KeptReads | undefined {
  const { session, shard, touched, requirement } = read;
  if (reason === "position-unknown") return statistics.keptBy(undefined);
  const latest = session.latestWrite(touched);
  if (reason === "write-in-flight") return statistics.keptBy(latest?.named);
  // The read would require these positions if its request had done nothing else.
  const own = narrowed(session.requirement.positions, touched).filter(
    (position) => !shard.belongsToOtherShard(position),
  );
  if (own.length > 0 && !isMet(shard, { ...noRequirement, positions: own }, now))
    return keptByOwn(read, own, statistics);
  const progress = session.progressIn(shard, touched);
  // The staleness bound of the read's level keeps the read on the primary.
  if (!progress.ahead && isMet(shard, { ...requirement, maxStalenessMs: noRequirement.maxStalenessMs }, now))
    return undefined;
  return latest === undefined ? progress.kept : statistics.keptBy(latest.named);
}

/**
 * The group that counts a read that requires the `positions` by itself. Such a read is kept by writes to its own keys, or by
 * writes to unknown keys. Tidemark can name unknown keys only for writes of the read's own request, by the keys that a script
 * declares. A token says nothing about unknown keys.
 */
function keptByOwn(
  { session, touched }: ReadQuery,
  positions: readonly Position[],
  statistics: Statistics,
): KeptReads | undefined {
  const written = touched.keys?.filter((_key, index) => {
    const hash = touched.hashes?.[index];
    return (
      hash !== undefined && session.requirement.positions.some(({ keys }) => keys?.hashes.includes(hash))
    );
  });
  if (written !== undefined && written.length > 0) return statistics.keptBy(written);
  // With monotonic reads, the session need not have written anything.
  return positions.every(({ read }) => read) ? undefined : statistics.keptBy(session.latestOfAnyKey?.named);
}

/** Whether a replica is known to meet `requirement`. */
function isMet(shard: Shard, requirement: ReadRequirement, now: number): boolean {
  return shard.replicas.some((node) => {
    const state = stateOf(shard, node, now);
    if (state !== "serving" && state !== "behind") return false;
    const at = judgedAt(shard, node, now);
    return ineligibility(shard, node.lastReport, node.suspect, requirement, at) === undefined;
  });
}
