/** Positions by which no replica can be judged: the primary itself has not got there, or does not know their history. */
import type { Position } from "../replication/position.js";
import type { Shard } from "../shard/shard.js";

/**
 * Whether `position`, which was known at `learntAt`, says more than the primary has: when it was asked after that moment, it had
 * not reached the position, or its history did not have it. Such a position was rounded up, or is of a history that ended with a
 * restart. Every write it stands for had been made by `learntAt`, so a replica has them all once it has what the primary had then.
 */
export function isOverstated(shard: Shard, learntAt: number, position: Position): boolean {
  const { history } = shard;
  if (history.replid === position.replid) {
    if (position.read === undefined) return false;
    const had = history.offsetAsOf(learntAt);
    return had !== undefined && position.offset > had;
  }
  return history.latestAt >= learntAt && isUnknown(shard, position);
}

/** Whether {@link isOverstated} may turn out to be true of `position` when the primary is asked again. */
export function mayBeOverstated(shard: Shard, learntAt: number, position: Position): boolean {
  const { history } = shard;
  if (history.latestAt >= learntAt) return false;
  if (history.replid !== position.replid) return isUnknown(shard, position);
  return position.read === true && position.offset > history.latestOffset;
}

function isUnknown(shard: Shard, position: Position): boolean {
  return shard.outcome(position) === "unknown" && !shard.belongsToOtherShard(position);
}
