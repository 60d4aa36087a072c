/** Positions for what was read, so that later requests of a session see nothing older. */
import type { Node } from "../node/node.js";
import type { Position } from "../replication/position.js";
import type { ReadProgress } from "../session/read-progress.js";
import type { Session } from "../session/session.js";
import type { Shard } from "../shard/shard.js";

const deadlineMs = 1_000;

/**
 * Has `session` require what it has read in `shards`. Undefined when the positions are known: those of a replica by an INFO
 * that followed the reads on its connection, those of the primary by a sample that was taken later. Else a promise, which
 * rejects when they cannot be learnt within a second.
 */
export function settleReads(session: Session, shards: readonly Shard[]): Promise<void> | undefined {
  let open: Promise<void>[] | undefined;
  for (const shard of shards) {
    if (anchorNow(session, shard)) continue;
    open ??= [];
    open.push(ask(session, shard));
  }
  return open && Promise.all(open).then(() => {});
}

/** Whether all that was read in `shard` has a position by now, or nothing was. */
function anchorNow(session: Session, shard: Shard): boolean {
  let isOver = true;
  for (const progress of session.progressesIn(shard))
    if (!anchorOne(session, shard, progress)) isOver = false;
  return isOver;
}

function anchorOne(session: Session, shard: Shard, progress: ReadProgress): boolean {
  const { latest } = shard.history;
  // What was added since may be ahead of it.
  if (latest !== undefined && latest.at > session.addedAt)
    progress.anchor(latest.at, latest.position, session.positions);
  const { only, floor } = progress;
  if (only !== undefined && !progress.ahead) {
    const position = positionBehind(shard, only.reader, only.sentAt);
    if (position !== undefined) session.requireRead(position);
    return position !== undefined;
  }
  if (floor !== undefined) session.requireRead(floor);
  return !progress.ahead;
}

/** Where a connection was when it was asked after `sentAt`. */
function positionBehind(shard: Shard, reader: object, sentAt: number): Position | undefined {
  const seen = nodeOf(shard, reader)?.lastReport;
  if (seen === undefined || seen.at <= sentAt) return undefined;
  const { replid, offset } = seen.replication;
  return { replid, offset };
}

function nodeOf(shard: Shard, reader: object): Node | undefined {
  return shard.replicas.find(({ incarnation }) => incarnation === reader);
}

/** Asks the node that was read from, in the end the primary, which is ahead of all. */
async function ask(session: Session, shard: Shard): Promise<void> {
  const until = performance.now() + deadlineMs;
  while (performance.now() < until) {
    const open = session.progressesIn(shard).find((progress) => !anchorOne(session, shard, progress));
    if (open === undefined) return;
    const only = open.ahead ? undefined : open.only;
    const node = (only && nodeOf(shard, only.reader)) ?? shard.primary;
    const askedAt = performance.now();
    if (!node.connection.ready) break;
    await node.afterProbe();
    if (anchorNow(session, shard)) return;
    // Who is forbidden to tell says so without being asked: there would be no end to it before time is over.
    if (node.connection.ready && (node.lastReport === undefined || node.lastReport.at < askedAt)) break;
  }
  throw new Error("no position was told for what was read");
}
