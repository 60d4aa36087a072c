/** Sends reads to replicas. An answer counts with the proof that the replica has what the read requires. */

import {
  isDenial,
  isReadOnlyError,
  isRedirection,
  isStateError,
  mayBeMissingKey,
} from "../commands/server-reply.js";
import type { Reason } from "../diagnostics/channels.js";
import { withoutSecrets } from "../errors/secrets.js";
import type { PendingProbe } from "../node/incarnation.js";
import type { Node } from "../node/node.js";
import { ineligibility } from "../shard/eligibility.js";
import { confirmsMisses, type PendingRead } from "./read.js";
import { publishRoute } from "./route-record.js";
import type { ReplicaReason } from "./server-selection.js";

/** How Tidemark handles reads that replicas do not answer, and which proof their answers need. */
export interface ReplicaReadOutcomes {
  /** Whether a transaction has to prove that the replica meets the requirement. */
  readonly always: boolean;
  /** Whether an error reply to the command itself ends the read. `proven` says whether the replica met the requirement. */
  isFinal(read: PendingRead, proven: boolean): boolean;
  fallBack(read: PendingRead, reason: Reason): void;
  toPrimary(read: PendingRead, reason: Reason): void;
}

/** Sends a read to the replica that was selected for it. `inFull` is true for a script that is resent with its text. */
export function sendToReplica(
  read: PendingRead,
  node: Node,
  reason: ReplicaReason,
  fallbacks: ReplicaReadOutcomes,
  inFull = false,
): void {
  const { command, session, shard, touched, level, iteration } = read;
  const { incarnation, era } = node;
  const ordered = level !== "eventual";
  if (ordered) session.progressIn(shard, touched).readFrom(incarnation);
  let probe: PendingProbe | undefined;
  command.resolve = (reply) => {
    node.aclDenials.answered();
    if (!proves(probe, read, node)) {
      node.failedProof(performance.now());
      return fallbacks.fallBack(read, "check-failed");
    }
    // Since the read was sent, the server has reported that it has gone back, or may have gone back.
    if (node.era !== era) return fallbacks.fallBack(read, "check-failed");
    if (mayHideKey(read, reply)) return fallbacks.toPrimary(read, "missing-key");
    if (ordered) session.progressIn(shard, touched).readBy(incarnation);
    if (reason === "unproven") session.markStale();
    iteration?.answeredBy(node);
    return read.callbacks.resolve(reply);
  };
  command.reject = (error) => {
    // If a server does not know a script of `defineCommand`, ioredis sends the script in full.
    const again = error.message.startsWith("NOSCRIPT") && command.isReadOnly && !inFull;
    if (again && node.era === era) sendToReplica(read, node, reason, fallbacks, true);
    else failed(read, node, error, isProvable(reason) && proves(probe, read, node), fallbacks);
  };
  node.aclDenials.tries();
  publishRoute(command, node, "replica", reason, level);
  if (fallbacks.always && isProvable(reason)) probe = node.readVerified(command);
  else {
    if (reason === "checked") probe = node.probeBefore();
    node.connection.send(command);
  }
  if (ordered && session.monotonicReads) followUp(read, node);
}

/** Whether Tidemark can prove at all which data the replica has. */
function isProvable(reason: ReplicaReason): boolean {
  return reason === "known" || reason === "checked";
}

/** Whether the report of `node` in front of a read meets the requirement of the read. True if `node` was not asked. */
function proves(probe: PendingProbe | undefined, { shard, requirement }: PendingRead, node: Node): boolean {
  if (probe === undefined || probe.needless === true) return true;
  return !ineligibility(shard, probe.report, node.suspect, requirement, performance.now());
}

/** Asks for the position behind the read, because the read has seen nothing newer than that position. */
function followUp({ session, shard, touched }: PendingRead, node: Node): void {
  session.progressIn(shard, touched).readLeft(performance.now());
  node.probeAfter();
}

/** Whether `reply` may come from a server that lacks the key although the key exists. */
function mayHideKey({ command, shard, policy }: PendingRead, reply: unknown): boolean {
  return confirmsMisses(shard, policy) && mayBeMissingKey(command, reply);
}

/** Handles the error with which a replica, or its connection, has answered a read. */
function failed(
  read: PendingRead,
  node: Node,
  error: Error,
  proven: boolean,
  fallbacks: ReplicaReadOutcomes,
): void {
  const isOfServer = error.name === "ReplyError";
  const isDenied = isOfServer && isDenial(error);
  const isAnswer = isOfServer && !isDenied && !isStateError(error);
  if (isAnswer) node.aclDenials.answered();
  else if (isOfServer && !isDenied) {
    node.forgetState();
    node.avoidUntil = performance.now() + read.shard.options.probeIntervalMs;
  }
  // The script was declared read-only but it writes. On the primary that would go unnoticed.
  const isFinal = isReadOnlyError(error) || read.iteration?.node !== undefined;
  // Scripts are not replicated, so a node may not know a script that another node knows. The primary knows best about a slot that
  // has moved or is about to move.
  if (error.message.startsWith("NOSCRIPT") || isRedirection(error))
    fallbacks.toPrimary(read, "replica-failed");
  else if (isAnswer && read.shard.holdsAllKeys && (isFinal || fallbacks.isFinal(read, proven)))
    read.callbacks.reject(error);
  else fallbacks.fallBack(isDenied ? denied(read, node, error) : read, "replica-failed");
}

/**
 * Returns the same read, whose end shows whether only `node` forbids it. An app may ask for data that its user may read nowhere.
 */
function denied(read: PendingRead, node: Node, error: Error): PendingRead {
  const { callbacks } = read;
  const resolve = (reply: unknown): unknown => {
    node.aclDenials.refused(withoutSecrets(error, node.connection.server));
    return callbacks.resolve(reply);
  };
  return { ...read, callbacks: { resolve, reject: (failure) => callbacks.reject(failure) } };
}
