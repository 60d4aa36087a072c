/** Sends reads to a replica without any proof, because the primary is gone and their level or read policy allows it. */
import { Command } from "ioredis";
import { traceAs } from "../commands/command-tracing.js";
import { isDenial, isStateError } from "../commands/server-reply.js";
import { absenceMs } from "../connection/connection.js";
import { type Reason, staleReadChannel } from "../diagnostics/channels.js";
import type { Node } from "../node/node.js";
import { hasOffset } from "../replication/lineage.js";
import type { Shard } from "../shard/shard.js";
import type { PendingRead, ReadCallbacks } from "./read.js";
import { noteAnswer, noteRoute } from "./route-record.js";

/** Sends `read` to the freshest replica, if a stale answer is allowed now and there is a replica. Returns whether it did. */
export function answerStale(read: PendingRead): boolean {
  const isAllowed = mayBeStale(read) && read.shard.availability.absentMs >= absenceMs;
  return isAllowed && sendToFreshest(read, read.callbacks);
}

/**
 * Whether a replica may answer without proof. It may not answer a step of an iteration, because the next step would meet another
 * server.
 */
function mayBeStale({ policy, rules, iteration, session }: PendingRead): boolean {
  if (!session.isLive) return false;
  return iteration === undefined && (policy.staleIfPrimaryGone || rules.acceptsUnproven);
}

/** The callbacks of `read` for the primary. They do not wait for an answer that never comes. */
export function callbacksForPrimary(read: PendingRead): ReadCallbacks {
  const { callbacks } = read;
  if (!mayBeStale(read)) return callbacks;
  let isOver = false;
  let isTried = false;
  let isDue = false;
  /** The error with which the primary failed before a replica could be asked. */
  let failure: Error | undefined;
  const once = <Given, Result>(end: (given: Given) => Result) => {
    return (given: Given): Result | undefined => {
      clearTimeout(deadline);
      if (isOver) return undefined;
      isOver = true;
      return end(given);
    };
  };
  const resolve = once((reply: unknown) => callbacks.resolve(reply));
  const reject = once((error: Error) => callbacks.reject(error));
  const goElsewhere = (): boolean => {
    isTried = sendToFreshest(read, { resolve, reject });
    return isTried;
  };
  const failed = (error: Error): void => {
    if (isOver || isTried) return;
    const isRefusal = error === read.shard.primary.connection.refusal?.error;
    if (error.name === "ReplyError" && !isRefusal) reject(error);
    else if (goElsewhere()) return;
    // Replicas may be about to connect.
    else if (isDue) reject(error);
    else failure = error;
  };
  const deadline = setTimeout(() => {
    isDue = true;
    if (!goElsewhere() && failure !== undefined) reject(failure);
  }, absenceMs - read.shard.availability.absentMs);
  return { resolve, reject: failed };
}

/** Sends `read` to the freshest replica that is not among those `tried`. Returns whether there is one. */
function sendToFreshest(read: PendingRead, callbacks: ReadCallbacks, tried: readonly Node[] = []): boolean {
  const { command, session, shard, policy } = read;
  const node = freshestOf(shard, tried);
  if (node === undefined) return false;
  // The replica gets a new command, because the primary may still have the original and answer it.
  const again = new Command(command.name, [...command.args]);
  traceAs(again, command);
  // The trace of a command ends with its promise.
  again.promise = command.promise;
  again.resolve = (reply) => {
    node.aclDenials.answered();
    session.markStale();
    shard.counts.staleReads += 1;
    if (staleReadChannel.hasSubscribers) {
      const { address } = node.connection;
      const { tidemark } = shard.counts;
      staleReadChannel.publish({ tidemark, session, command: command.name.toLowerCase(), node: address });
    }
    noteAnswer(command, sent);
    return callbacks.resolve(reply);
  };
  again.reject = (error) => {
    const isAnswer = error.name === "ReplyError" && !isStateError(error) && !isDenial(error);
    if (!isAnswer && sendToFreshest(read, callbacks, [...tried, node])) return;
    noteAnswer(command, sent);
    callbacks.reject(error);
  };
  node.aclDenials.tries();
  const reason: Reason = policy.staleIfPrimaryGone ? "primary-gone" : "unproven";
  const sent = noteRoute(shard.counts, command, node, "replica", reason, policy.level);
  node.connection.sendGiven(again);
  return true;
}

/** The replica with data that has come farthest. Among several, the one with the least to do. */
function freshestOf(shard: Shard, tried: readonly Node[]): Node | undefined {
  const { replid } = shard.history;
  const now = performance.now();
  let freshest: Node | undefined;
  let farthest = -1;
  for (const node of shard.replicas) {
    const known = node.lastReport?.replication;
    if (
      !node.connection.ready ||
      tried.includes(node) ||
      !node.aclDenials.mayTry(now) ||
      known?.role !== "replica" ||
      known.syncing ||
      !hasOffset(known)
    )
      continue;
    const offset = known.replid === replid ? known.offset : 0;
    const isLessBusy = offset === farthest && node.connection.inFlight < (freshest?.connection.inFlight ?? 0);
    if (offset <= farthest && !isLessBusy) continue;
    freshest = node;
    farthest = offset;
  }
  return freshest;
}
