/** What goes to a replica: its answer counts with the proof that the replica has what the read requires. */

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

/** What becomes of reads that replicas do not answer, and what their answers have to come with. */
export interface ReplicaReadOutcomes {
  /** Whether a transaction has to prove that the replica has what is required. */
  readonly always: boolean;
  /** Whether an error that the command itself was answered with ends it, `proven` or not. */
  isFinal(read: PendingRead, proven: boolean): boolean;
  fallBack(read: PendingRead, reason: Reason): void;
  toPrimary(read: PendingRead, reason: Reason): void;
}

/** Sends a read to the replica that was chosen for it; `inFull` when it is a script that is sent again with its text. */
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
    // Since the read was sent, the server has said that it has gone back, or may have.
    if (node.era !== era) return fallbacks.fallBack(read, "check-failed");
    if (mayHideKey(read, reply)) return fallbacks.toPrimary(read, "missing-key");
    if (ordered) session.progressIn(shard, touched).readBy(incarnation);
    if (reason === "unproven") session.markStale();
    iteration?.answeredBy(node);
    return read.ends.resolve(reply);
  };
  command.reject = (error) => {
    // ioredis sends a script of defineCommand in full where it was not known.
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

/** Whether what the replica has can be told at all. */
function isProvable(reason: ReplicaReason): boolean {
  return reason === "known" || reason === "checked";
}

/** Whether what `node` said in front of a read, if it was asked, meets what that requires. */
function proves(probe: PendingProbe | undefined, { shard, requirement }: PendingRead, node: Node): boolean {
  if (probe === undefined || probe.needless === true) return true;
  return !ineligibility(shard, probe.report, node.suspect, requirement, performance.now());
}

/** Has the position asked for behind the read: what it has seen is nothing newer. */
function followUp({ session, shard, touched }: PendingRead, node: Node): void {
  session.progressIn(shard, touched).readLeft(performance.now());
  node.probeAfter();
}

/** Whether `reply` may be that of a server which does not have the key although it exists. */
function mayHideKey({ command, shard, terms }: PendingRead, reply: unknown): boolean {
  return confirmsMisses(shard, terms) && mayBeMissingKey(command, reply);
}

/** Takes in an error that a replica, or its connection, has answered a read with. */
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
  // A script that was declared to be read-only writes: on the primary that would go unnoticed.
  const isFinal = isReadOnlyError(error) || read.iteration?.node !== undefined;
  // Scripts are not replicated, so a node need not know one that another does.
  // Of a slot that is moved, or about to be, the primary knows best.
  if (error.message.startsWith("NOSCRIPT") || isRedirection(error))
    fallbacks.toPrimary(read, "replica-failed");
  else if (isAnswer && read.shard.holdsAllKeys && (isFinal || fallbacks.isFinal(read, proven)))
    read.ends.reject(error);
  else fallbacks.fallBack(isDenied ? denied(read, node, error) : read, "replica-failed");
}

/** The same read, whose end shows whether only `node` forbids it: an app may ask for what its user may read nowhere. */
function denied(read: PendingRead, node: Node, error: Error): PendingRead {
  const { ends } = read;
  const resolve = (reply: unknown): unknown => {
    node.aclDenials.refused(withoutSecrets(error, node.connection.server));
    return ends.resolve(reply);
  };
  return { ...read, ends: { resolve, reject: (failure) => ends.reject(failure) } };
}
