/** Finds positions by which no replica can be judged, because the primary has not reached them or does not know their history. */
import type { Position } from "../replication/position.js";
import type { Shard } from "../shard/shard.js";

/**
 * Whether `position`, which was known at `learntAt`, is ahead of the primary. This is true if the primary was asked after that
 * moment and had not reached the position, or if the primary's history did not contain the position. Such a position was rounded
 * up, or its history ended with a restart. Every write that the position stands for had been made by `learntAt`. A replica
 * therefore has all these writes once it has the data that the primary had then.
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

/** Whether {@link isOverstated} may become true for `position` when the primary is asked again. */
export function mayBeOverstated(shard: Shard, learntAt: number, position: Position): boolean {
  const { history } = shard;
  if (history.latestAt >= learntAt) return false;
  if (history.replid !== position.replid) return isUnknown(shard, position);
  return position.read === true && position.offset > history.latestOffset;
}

function isUnknown(shard: Shard, position: Position): boolean {
  return shard.outcome(position) === "unknown" && !shard.belongsToOtherShard(position);
}
