/** Finds what a read requires of the replica that answers it, from what its session has written and read. */
import type { Touched } from "../commands/touched-keys.js";
import type { LevelRules } from "../consistency/level.js";
import type { Presence } from "../replication/lineage.js";
import type { Position } from "../replication/position.js";
import type { ReplicationInfo } from "../replication/replication-info.js";
import type { ReadProgress } from "../session/read-progress.js";
import type { Session } from "../session/session.js";
import type { SessionRequirement } from "../session/session-requirement.js";
import { noRequirement, ReadRequirement } from "../shard/eligibility.js";
import type { Shard } from "../shard/shard.js";
import type { ReadQuery } from "./server-selection.js";

/**
 * The requirement that a replica has to meet. At level eventual it covers only the replica's health. At other levels it also
 * covers everything that the session requires.
 */
export function requirementOf(
  shard: Shard,
  session: Session,
  touched: Touched,
  rules: LevelRules,
  maxStalenessMs: number,
): ReadRequirement {
  const least = Math.min(rules.maxStalenessMs, maxStalenessMs);
  if (!rules.requiresSession) return new ReadRequirement(noRequirement.positions, noRequirement.since, least);
  const progress = session.progressIn(shard, touched);
  if (progress.ahead) anchorTo(shard, session, touched, progress);
  const { requirement } = session;
  const required = progress.requirement(requirement.requiredIn(touched.scope), touched);
  const since = Math.max(freshAsOf(requirement), shard.slotsGainedAt);
  // Most reads require only writes of the primary's own history, which need no further look.
  if (areWritesOf(shard.history.replid, required)) return new ReadRequirement(required, since, least);
  return requirementByHistory(shard, session, touched, new ReadRequirement(required, since, least));
}

/** Whether all `positions` are of writes in the history `replid`. Such a position is neither lost nor ahead of the primary. */
function areWritesOf(replid: string | undefined, positions: readonly Position[]): boolean {
  for (const position of positions)
    if (position.replid !== replid || position.read !== undefined) return false;
  return true;
}

/**
 * Replaces the positions by which no replica of `shard` can be judged.
 *
 * - A position that a failover has lost is replaced by the last position that survived it. Those of a session's writes were
 *   replaced before. But the position that stands for what the session has read may be of a primary that is gone, and no replica
 *   would ever reach it.
 * - An overstated position is replaced by all that the primary had when the position was known.
 * - A position of another shard says nothing about this shard. But data that was written there may have moved to this shard
 *   since. A replica may also have missed that a slot left and came back. Such a replica still has the slot's keys
 *   as they were before the slot left.
 */
function requirementByHistory(
  shard: Shard,
  session: Session,
  touched: Touched,
  given: ReadRequirement,
): ReadRequirement {
  const knownAt = knownAtOf(session, shard, touched);
  const positions: Position[] = [];
  let { since } = given;
  let isSpread = false;
  for (const position of given.positions) {
    const outcome = shard.outcome(position);
    if (outcome === "lost") positions.push({ ...shard.survivor(position), read: true });
    else if (outcome === "unknown" && shard.belongsToOtherShard(position)) isSpread = true;
    else if (isOverstated(shard, position, outcome, knownAt)) since = Math.max(since, knownAt);
    else positions.push(position);
  }
  if (isSpread) since = Math.max(since, monotonic(session.requirement.issuedAt));
  return new ReadRequirement(positions, since, given.maxStalenessMs);
}

/**
 * Whether `position`, which was known at `knownAt`, is ahead of the primary. This is true if the primary was asked after that
 * moment and had not reached the position, or if the primary's history did not contain the position. Such a position was rounded
 * up, or its history ended with a restart. Every write that the position stands for had been made by `knownAt`. A replica
 * therefore has all these writes once it has the data that the primary had then.
 */
function isOverstated({ history }: Shard, position: Position, outcome: Presence, knownAt: number): boolean {
  if (outcome === "unknown") return history.latestAt >= knownAt;
  if (history.replid !== position.replid || position.read === undefined) return false;
  const had = history.offsetAsOf(knownAt);
  return had !== undefined && position.offset > had;
}

/** Whether the primary's next report may show that a position which `read` requires is overstated. */
export function mayBeOverstated({ shard, session, touched, requirement }: ReadQuery): boolean {
  const { history } = shard;
  const { positions } = requirement;
  if (positions.length === 0 || history.latestAt >= knownAtOf(session, shard, touched)) return false;
  return positions.some((position) =>
    history.replid === position.replid
      ? position.read === true && position.offset > history.latestOffset
      : shard.outcome(position) === "unknown" && !shard.belongsToOtherShard(position),
  );
}

/**
 * Whether a replica with this report lacks a write that `read` requires. Positions that the session has only read do not count,
 * because those of a rounded token are marked as such and require slightly more than the user has written.
 */
export function lacksWrite({ requirement }: ReadQuery, { replid, offset }: ReplicationInfo): boolean {
  return requirement.positions.some(
    (position) => position.read !== true && position.replid === replid && position.offset > offset,
  );
}

/** When everything that a read of `touched` requires was known, on the monotonic clock. The primary had all of it by then. */
export function knownAtOf(session: Session, shard: Shard, touched: Touched): number {
  return Math.max(session.requirement.learntAt, session.progressIn(shard, touched).anchoredAt);
}

/** The moment as of which a replica must have every write to answer at `now`. Both are on the monotonic clock. */
export function requiredAsOf({ since, maxStalenessMs }: ReadRequirement, now: number): number {
  return Math.max(since, now - maxStalenessMs);
}

/**
 * Whether the primary must prove that it still is the primary before its answer to `session` counts. A token with a history that
 * no primary is known to have may be the first sign of a failover.
 */
export function primaryMustProve(shard: Shard, { positions }: Session): boolean {
  return positions.some(
    (position) => shard.outcome(position) !== "valid" && !shard.belongsToOtherShard(position),
  );
}

/**
 * The moment as of which the session requires every write, on the monotonic clock. If a token names a moment after its arrival,
 * the arrival counts. Data from after the arrival cannot have been written before the token was issued.
 */
function freshAsOf({ freshAsOf: moment, learntAt }: SessionRequirement): number {
  return moment > 0 ? Math.min(monotonic(moment), learntAt) : Number.NEGATIVE_INFINITY;
}

/** Makes a position of the primary stand for the data that was read, once Tidemark has a position that it asked for later. */
function anchorTo(shard: Shard, session: Session, { scope }: Touched, progress: ReadProgress): void {
  const { latest } = shard.history;
  if (latest === undefined || latest.at <= session.addedAt) return;
  if (!progress.anchor(latest.at, latest.position, session.requirement.requiredIn(scope))) return;
  // If there are several primaries, a position that this primary does not know may belong to another primary.
  if (shard.holdsAllKeys)
    session.requirement.replaceUnknown(latest.position, (position) =>
      stands(shard, position, latest.position),
    );
}

/**
 * Whether the primary's history judges `position`. Then `latest` need not replace `position`, because a lost position is
 * reported.
 */
function stands(shard: Shard, position: Position, latest: Position): boolean {
  if (position.replid === latest.replid) return position.offset <= latest.offset;
  return shard.outcome(position) !== "unknown";
}

function monotonic(epochMs: number): number {
  return performance.now() - (Date.now() - epochMs);
}
