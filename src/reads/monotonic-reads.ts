/** Finds positions for the data that a session has read, so that its later requests see nothing older. */
import type { Node } from "../node/node.js";
import type { Position } from "../replication/position.js";
import type { ReadProgress } from "../session/read-progress.js";
import type { Session } from "../session/session.js";
import type { Shard } from "../shard/shard.js";

const deadlineMs = 1_000;

/**
 * Makes `session` require the data that it has read in `shards`. Returns undefined if the positions are known. The position of a
 * replica comes from an INFO that followed the reads on its connection. The position of the primary comes from a sample that was
 * taken later. Otherwise returns a promise. The promise rejects if the positions cannot be learned within a second.
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

/** Whether all data that was read in `shard` has a position by now. True if nothing was read. */
function anchorNow(session: Session, shard: Shard): boolean {
  let isOver = true;
  for (const progress of session.progressesIn(shard))
    if (!anchorOne(session, shard, progress)) isOver = false;
  return isOver;
}

function anchorOne(session: Session, shard: Shard, progress: ReadProgress): boolean {
  const { latest } = shard.history;
  // A position that was added since may be ahead of the sample.
  if (latest !== undefined && latest.at > session.addedAt)
    progress.anchor(latest.at, latest.position, session.positions);
  const { only, anchored } = progress;
  if (only !== undefined && !progress.ahead) {
    const position = positionBehind(shard, only.reader, only.sentAt);
    if (position !== undefined) session.requireRead(position);
    return position !== undefined;
  }
  if (anchored !== undefined) session.requireRead(anchored);
  return !progress.ahead;
}

/** The position that a connection reported when it was asked after `sentAt`. Undefined if it was not asked since. */
function positionBehind(shard: Shard, reader: object, sentAt: number): Position | undefined {
  const seen = nodeOf(shard, reader)?.lastReport;
  if (seen === undefined || seen.at <= sentAt) return undefined;
  const { replid, offset } = seen.replication;
  return { replid, offset };
}

function nodeOf(shard: Shard, reader: object): Node | undefined {
  return shard.replicas.find(({ incarnation }) => incarnation === reader);
}

/** Asks the node that the session read from, and in the end the primary, which is ahead of all nodes. */
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
    // If the server forbids INFO, Tidemark knows that without asking. The loop would then not end before the deadline.
    if (node.connection.ready && (node.lastReport === undefined || node.lastReport.at < askedAt)) break;
  }
  throw new Error("Tidemark could not learn the replication position of the data that this session read");
}
