/** Reads that are answered without any proof, where the primary is gone and their terms allow it. */
import { Command } from "ioredis";
import { staleReadChannel } from "./channels.js";
import type { Node } from "./node.js";
import { isPlaced } from "./position.js";
import { announce } from "./primary.js";
import type { Read } from "./read.js";
import type { Shard } from "./shard.js";

/** A primary that has not been there, or has not answered, for so long is taken to be gone. */
const goneAfterMs = 1_000;

/** Has the freshest replica answer `read`, if it may now and there is one; whether it will. */
export function answerStale(read: Read): boolean {
  const { terms, shard } = read;
  return terms.staleIfPrimaryGone && goneForMs(shard) >= goneAfterMs && sendToFreshest(read);
}

/** The same read for the primary, with ends that do not wait for an answer that does not come. */
export function unlessGone(read: Read): Read {
  if (!read.terms.staleIfPrimaryGone) return read;
  let isOver = false;
  let isTried = false;
  const once = <Given, Result>(end: (given: Given) => Result) => {
    return (given: Given): Result | undefined => {
      clearTimeout(deadline);
      if (isOver) return undefined;
      isOver = true;
      return end(given);
    };
  };
  const resolve = once((reply: unknown) => read.ends.resolve(reply));
  const reject = once((error: Error) => read.ends.reject(error));
  const goElsewhere = (): boolean => {
    isTried = sendToFreshest({ ...read, ends: { resolve, reject } });
    return isTried;
  };
  const failed = (error: Error): void => {
    if (isOver || isTried) return;
    if (error.name === "ReplyError" || !goElsewhere()) reject(error);
  };
  const deadline = setTimeout(goElsewhere, goneAfterMs - goneForMs(read.shard));
  return { ...read, ends: { resolve, reject: failed } };
}

function goneForMs({ hasPrimary, primary: { connection }, demotedAt }: Shard): number {
  if (hasPrimary) return 0;
  // A primary that hands over is followed by another in a moment.
  return performance.now() - (connection.ready ? (demotedAt ?? performance.now()) : connection.downSince);
}

function sendToFreshest(read: Read): boolean {
  const { command, ends, session, shard, level } = read;
  const node = freshestOf(shard);
  if (node === undefined) return false;
  // The primary may still have the command itself, and answer it.
  const again = new Command(command.name, [...command.args]);
  again.resolve = (reply) => {
    session.answeredStale();
    if (staleReadChannel.hasSubscribers) {
      const { address } = node.connection;
      staleReadChannel.publish({ session, command: command.name.toLowerCase(), node: address });
    }
    return ends.resolve(reply);
  };
  again.reject = (error) => ends.reject(error);
  announce(command, node, "replica", "primary-gone", level);
  node.connection.send(again);
  return true;
}

/** Of the replicas that have data the one that has come farthest. */
function freshestOf(shard: Shard): Node | undefined {
  const { replid } = shard.history;
  let freshest: Node | undefined;
  let farthest = -1;
  for (const node of shard.replicas) {
    const known = node.seen?.replication;
    if (!node.connection.ready || known?.role !== "replica" || known.syncing || !isPlaced(known)) continue;
    const offset = known.replid === replid ? known.offset : 0;
    if (offset <= farthest) continue;
    freshest = node;
    farthest = offset;
  }
  return freshest;
}
