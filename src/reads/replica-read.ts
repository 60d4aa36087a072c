/** What goes to a replica: its answer counts with the proof that the replica has what the read requires. */

import { isDenial, isReadOnly, isRedirection, isStateError, mayMiss } from "../commands/server-reply.js";
import type { Reason } from "../diagnostics/channels.js";
import { withoutSecrets } from "../errors/secrets.js";
import type { Probe } from "../node/incarnation.js";
import type { Node } from "../node/node.js";
import { objectionTo } from "../shard/eligibility.js";
import { confirmsMisses, type Read } from "./read.js";
import { publishRoute } from "./route-record.js";
import type { ReplicaReason } from "./server-selection.js";

/** What becomes of reads that replicas do not answer, and what their answers have to come with. */
export interface Fallbacks {
  /** Whether a transaction has to prove that the replica has what is required. */
  readonly always: boolean;
  /** Whether an error that the command itself was answered with ends it, `proven` or not. */
  isFinal(read: Read, proven: boolean): boolean;
  fallBack(read: Read, reason: Reason): void;
  toPrimary(read: Read, reason: Reason): void;
}

/** Sends a read to the replica that was chosen for it; `inFull` when it is a script that is sent again with its text. */
export function readReplica(
  read: Read,
  node: Node,
  reason: ReplicaReason,
  fallbacks: Fallbacks,
  inFull = false,
): void {
  const { command, session, shard, touched, level, iteration } = read;
  const { link, era } = node;
  const ordered = level !== "eventual";
  if (ordered) session.in(shard, touched).readFrom(link);
  let probe: Probe | undefined;
  command.resolve = (reply) => {
    node.denials.answered();
    if (!proves(probe, read, node)) {
      node.triedInVain(performance.now());
      return fallbacks.fallBack(read, "check-failed");
    }
    // Since the read was sent, the server has said that it has gone back, or may have.
    if (node.era !== era) return fallbacks.fallBack(read, "check-failed");
    if (mayHideKey(read, reply)) return fallbacks.toPrimary(read, "missing-key");
    if (ordered) session.in(shard, touched).readBy(link);
    if (reason === "unproven") session.answeredStale();
    iteration?.answeredBy(node);
    return read.ends.resolve(reply);
  };
  command.reject = (error) => {
    // ioredis sends a script of defineCommand in full where it was not known.
    const again = error.message.startsWith("NOSCRIPT") && command.isReadOnly && !inFull;
    if (again && node.era === era) readReplica(read, node, reason, fallbacks, true);
    else failed(read, node, error, isProvable(reason) && proves(probe, read, node), fallbacks);
  };
  node.denials.tries();
  publishRoute(command, node, "replica", reason, level);
  if (fallbacks.always && isProvable(reason)) probe = node.readVerified(command);
  else {
    if (reason === "checked") probe = node.probe();
    node.connection.send(command);
  }
  if (ordered && session.monotonicReads) followUp(read, node);
}

/** Whether what the replica has can be told at all. */
function isProvable(reason: ReplicaReason): boolean {
  return reason === "known" || reason === "checked";
}

/** Whether what `node` said in front of a read, if it was asked, meets what that requires. */
function proves(probe: Probe | undefined, { shard, requirement }: Read, node: Node): boolean {
  if (probe === undefined || probe.needless === true) return true;
  return !objectionTo(shard, probe.sighting, node.suspect, requirement, performance.now());
}

/** Has the position asked for behind the read: what it has seen is nothing newer. */
function followUp({ session, shard, touched }: Read, node: Node): void {
  session.in(shard, touched).readLeft(performance.now());
  node.askBehind();
}

/** Whether `reply` may be that of a server which does not have the key although it exists. */
function mayHideKey({ command, shard, terms }: Read, reply: unknown): boolean {
  return confirmsMisses(shard, terms) && mayMiss(command, reply);
}

/** Takes in an error that a replica, or its connection, has answered a read with. */
function failed(read: Read, node: Node, error: Error, proven: boolean, fallbacks: Fallbacks): void {
  const isOfServer = error.name === "ReplyError";
  const isDenied = isOfServer && isDenial(error);
  const isAnswer = isOfServer && !isDenied && !isStateError(error);
  if (isAnswer) node.denials.answered();
  else if (isOfServer && !isDenied) {
    node.distrust();
    node.restsUntil = performance.now() + read.shard.options.probeIntervalMs;
  }
  // A script that was declared to be read-only writes: on the primary that would go unnoticed.
  const isFinal = isReadOnly(error) || read.iteration?.node !== undefined;
  // Scripts are not replicated, so a node need not know one that another does.
  // Of a slot that is moved, or about to be, the primary knows best.
  if (error.message.startsWith("NOSCRIPT") || isRedirection(error))
    fallbacks.toPrimary(read, "replica-failed");
  else if (isAnswer && read.shard.alone && (isFinal || fallbacks.isFinal(read, proven)))
    read.ends.reject(error);
  else fallbacks.fallBack(isDenied ? denied(read, node, error) : read, "replica-failed");
}

/** The same read, whose end shows whether only `node` forbids it: an app may ask for what its user may read nowhere. */
function denied(read: Read, node: Node, error: Error): Read {
  const { ends } = read;
  const resolve = (reply: unknown): unknown => {
    node.denials.refused(withoutSecrets(error, node.connection.server));
    return ends.resolve(reply);
  };
  return { ...read, ends: { resolve, reject: (failure) => ends.reject(failure) } };
}
