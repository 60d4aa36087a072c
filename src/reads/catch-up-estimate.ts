/** Estimates when a replica can probably answer a read that none may answer now, from the lag and the rate of the replicas. */
import type { NodeState } from "../diagnostics/channels.js";
import { type CatchUpEstimate, noEstimate } from "../errors/errors.js";
import type { NodeReport } from "../node/incarnation.js";
import type { Node } from "../node/node.js";
import { isOfHistory } from "../replication/lineage.js";
import { requiredSince } from "../shard/eligibility.js";
import { stateOf } from "../shard/node-state.js";
import type { PendingRead } from "./read.js";
import { mayBeOverstated, requiredAsOf } from "./read-requirement.js";

/** The expected progress of one replica. */
interface Prospect {
  readonly node: Node;
  readonly behindBytes: number | undefined;
  /** In milliseconds. Undefined if nothing supports an estimate. */
  readonly waitMs: number | undefined;
  /** Whether the replica receives data from its primary now. */
  readonly isFed: boolean;
}

/** The goal that a replica has yet to reach. All times are on the monotonic clock. */
interface Target {
  /** Undefined until the primary is sampled after the required moment. */
  readonly offset: number | undefined;
  /** The time by which all required data had been written. */
  readonly madeAt: number;
}

/** A replica in one of these states may still answer: the state passes by itself, or the replica answers with the data it has. */
const mayAnswerLater: readonly NodeState[] = ["serving", "behind", "starting", "link-down", "syncing"];
/** A replica that has stood still may do so for as long again. No caller is asked to wait longer than this. */
const maxStandstillMs = 30_000;
/** A shorter standstill says nothing about a replica whose lag was never seen, because every replica takes a moment. */
const leastStandstillMs = 50;
/** A write that is late by less than this part of the usual lag is normal. */
const jitter = 0.125;
/** A lag is steady if it grows or shrinks by less than this in each millisecond. Samples of the primary are no more exact. */
const steadyGrowth = 0.25;

/**
 * Added to each wait. Otherwise half of all waits would be a moment too short, and a retry that comes too early is refused again.
 */
const reserve = 1.05;
const reserveMs = 2;

/** Returns the replica that can probably answer `read` first, and when. */
export function estimateCatchUp(read: PendingRead, now: number): CatchUpEstimate {
  const { shard, primaryOnly } = read;
  if (primaryOnly !== undefined || !shard.isPrimaryReady) return noEstimate;
  // While two servers report that they are the primary, Tidemark cannot prove that any replica has newer data.
  if (shard.promotion.withoutRivalUntil < requiredAsOf(read.requirement, now)) return noEstimate;
  let first: Prospect | undefined;
  for (const node of shard.replicas) {
    const prospect = prospectOf(read, node, now);
    if (prospect !== undefined && (first === undefined || isSooner(prospect, first))) first = prospect;
  }
  if (first === undefined) return noEstimate;
  const { node, behindBytes, waitMs } = first;
  return {
    node: node.connection.address,
    behindBytes,
    retryAfterMs: waitMs === undefined ? undefined : Math.max(1, Math.ceil(waitMs)),
  };
}

/**
 * A replica with an estimate comes before a replica without one. Among replicas with an estimate, a replica that receives data
 * from its primary comes first.
 */
function isSooner(one: Prospect, other: Prospect): boolean {
  if (one.waitMs === undefined || other.waitMs === undefined) {
    if (one.waitMs !== other.waitMs) return one.waitMs !== undefined;
    return (one.behindBytes ?? Number.POSITIVE_INFINITY) < (other.behindBytes ?? Number.POSITIVE_INFINITY);
  }
  return one.isFed === other.isFed ? one.waitMs < other.waitMs : one.isFed;
}

/** Undefined for a replica that will not answer the read, however far it catches up. */
function prospectOf(read: PendingRead, node: Node, now: number): Prospect | undefined {
  const { shard, session, touched, rules } = read;
  const { lastReport } = node;
  if (lastReport === undefined || !mayAnswerLater.includes(stateOf(shard, node, now))) return undefined;
  const { replication } = lastReport;
  if (replication.role !== "replica" || replication.replid !== shard.history.replid) return undefined;
  // Until the primary reports again, a rounded position may stand for any position up to this one.
  if (mayBeOverstated(read)) return { node, behindBytes: undefined, waitMs: undefined, isFed: false };
  // The session may be bound to one replica that it has tried. The next request, with the token of the session, is not bound.
  const isAhead = rules.requiresSession && session.progressIn(shard, touched).ahead;
  const target = isAhead ? { offset: undefined, madeAt: now } : targetOf(read, lastReport, now);
  if (target === undefined) return undefined;
  // While the replica copies all data, its offset does not show which data it has.
  const isKnown = target.offset !== undefined && !replication.syncing;
  const behindBytes = isKnown ? Math.max(0, target.offset - replication.offset) : undefined;
  const isFed = replication.linkUp && !replication.syncing;
  const waitMs = isFed
    ? waitOf(read, node, lastReport, target, now)
    : standstillOf(read, node, lastReport, now);
  return { node, behindBytes, waitMs, isFed };
}

/** Undefined if a required position is not in the history of the replica. */
function targetOf(read: PendingRead, { replication }: NodeReport, now: number): Target | undefined {
  const { shard, requirement } = read;
  const asOf = requiredAsOf(read.requirement, now);
  const sampled = asOf === Number.NEGATIVE_INFINITY ? 0 : shard.history.offsetAsOf(asOf);
  let offset = sampled;
  for (const position of requirement.positions) {
    if (!isOfHistory(replication, position, shard.lineage)) return undefined;
    if (offset !== undefined) offset = Math.max(offset, position.offset);
  }
  const written = writtenAt(read, now);
  return { offset, madeAt: sampled === undefined ? Math.max(written, asOf, now) : written };
}

/**
 * The time by which all required data had been written. A process that rarely asks the primary sees a write late. The time in the
 * token counts if it is earlier.
 */
function writtenAt({ shard, session, touched, requirement }: PendingRead, now: number): number {
  const seenAt = requiredSince(shard, requirement, session.requirement.issuedAt, now);
  const isByToken = requirement.positions.length > 0 && requirement.since === Number.NEGATIVE_INFINITY;
  // Data that was read since then has another time.
  if (!isByToken || session.progressIn(shard, touched).anchored !== undefined) return seenAt;
  return Math.min(seenAt, now - (Date.now() - session.requirement.issuedAt));
}

/**
 * The time in milliseconds until `node` has reached `target` and can prove that it is fresh enough. `node` receives the writes of
 * its primary.
 */
function waitOf(
  read: PendingRead,
  node: Node,
  seen: NodeReport,
  target: Target,
  now: number,
): number | undefined {
  const { latestAt, latestOffset } = read.shard.history;
  // The primary itself has not reached this offset yet. The rate of a replica cannot predict when the primary will.
  if (target.offset !== undefined && target.offset > latestOffset && latestAt > target.madeAt)
    return undefined;
  const freshAt = freshAtOf(read, node, seen, now);
  if (freshAt === undefined) return undefined;
  const reachesAt = reachesAtOf(read, node, seen, target, now);
  if (reachesAt === undefined) return undefined;
  // Tidemark has to ask the replica, whatever data the replica has by then.
  const roundTripMs = Math.max(
    node.latency.at(now),
    target.offset === undefined ? read.shard.primary.latency.at(now) : 0,
  );
  const waitMs = Math.max(reachesAt - now, freshAt - now, node.avoidUntil - now, roundTripMs);
  return waitMs * reserve + reserveMs;
}

/** The moment at which `node` has probably reached `target`. Undefined if nothing shows that moment. */
function reachesAtOf(
  read: PendingRead,
  node: Node,
  seen: NodeReport,
  target: Target,
  now: number,
): number | undefined {
  const { pace, usualLagMs } = node.applyRate;
  const lagMs = pace === undefined ? usualLagMs : Math.max(node.lag.ms, usualLagMs ?? 0);
  const byLag = lagMs === undefined ? undefined : target.madeAt + lagMs;
  if (target.offset === undefined) return byLag;
  const missing = target.offset - seen.replication.offset;
  if (missing <= 0) return now;
  if (pace === undefined || byLag === undefined) return movesAt(read, node, seen, now) ?? byLag;
  // While the replica keeps pace with the primary, its rate only shows how fast the primary writes.
  const keepsPace = Math.abs(pace.lagGrowth) < steadyGrowth;
  return keepsPace && seen.at < byLag ? byLag : seen.at + missing / pace.bytesPerMs;
}

/**
 * The moment at which `node` will probably move, if it stands still for longer than usual. Undefined if it does not. `node` will
 * probably be late by as much again as it is late now. The time of its usual lag is over and does not count.
 */
function movesAt(read: PendingRead, node: Node, seen: NodeReport, now: number): number | undefined {
  const { usualLagMs } = node.applyRate;
  const since = standsSinceOf(read, node, seen);
  if (usualLagMs === undefined)
    return now - since < leastStandstillMs ? undefined : now + standstillOf(read, node, seen, now);
  const dueAt = since + usualLagMs;
  if (seen.at <= dueAt) return undefined;
  return now + Math.min(Math.max(now - dueAt, usualLagMs * jitter), maxStandstillMs);
}

/** The moment at which `node` is probably as fresh as the level requires. Undefined if nothing shows that `node` will be. */
function freshAtOf(read: PendingRead, node: Node, seen: NodeReport, now: number): number | undefined {
  const { shard, requirement } = read;
  const { pace } = node.applyRate;
  const missingSince = shard.history.passedAt(seen.replication) ?? now;
  const overMs = now - missingSince - requirement.maxStalenessMs;
  if (overMs <= 0 || (node.applyRate.usualLagMs ?? 0) <= requirement.maxStalenessMs) return now;
  if (pace === undefined) return now + standstillOf(read, node, seen, now);
  return pace.lagGrowth <= -steadyGrowth ? now + overMs / -pace.lagGrowth : undefined;
}

/** Since when `node` has stood still while it lacked data, or while it could not report that. */
function standsSinceOf({ shard }: PendingRead, { applyRate }: Node, { replication }: NodeReport): number {
  return Math.max(applyRate.standsSince, shard.history.passedAt(replication) ?? Number.NEGATIVE_INFINITY);
}

/** How much longer `node` will probably stand still, in milliseconds: for as long as it already has. */
function standstillOf(read: PendingRead, node: Node, seen: NodeReport, now: number): number {
  return Math.min(now - standsSinceOf(read, node, seen), maxStandstillMs);
}
