/** Sends each read to a server that may answer it, and elsewhere if that fails. */
import type { Command } from "ioredis";
import { CommandCallbacks } from "../commands/callbacks.js";
import { mayBeMissingKey } from "../commands/missing-key.js";
import {
  isDenial,
  isReadOnlyError,
  isRedirection,
  isStateError,
  mayRetryElsewhere,
} from "../commands/server-reply.js";
import type { Touched } from "../commands/touched-keys.js";
import type { WhenReady } from "../connection/offline-queue.js";
import type { ReadDefaults } from "../consistency/read-policy.js";
import type { Reason } from "../diagnostics/channels.js";
import type { KeptReads } from "../diagnostics/statistics.js";
import { ConnectionLostError, NotPrimaryError } from "../errors/errors.js";
import { withoutSecrets } from "../errors/secrets.js";
import type { PendingProbe } from "../node/incarnation.js";
import type { Node } from "../node/node.js";
import type { Session } from "../session/session.js";
import { ineligibility } from "../shard/eligibility.js";
import { maxRepeats } from "../shard/primary-availability.js";
import type { Topology } from "../topology/topology.js";
import { useAttainablePolicy } from "./attainable-policy.js";
import type { FallbackLimits } from "./fallback-limit.js";
import { countKept } from "./kept-on-primary.js";
import type { LostWrites } from "./lost-writes.js";
import { settleReads } from "./monotonic-reads.js";
import { confirmsMisses, PendingRead, type ReadCallbacks, type ReadRequest } from "./read.js";
import { ReadFallback, type ReadRoutes } from "./read-fallback.js";
import type { ReadObserver } from "./read-observer.js";
import { lacksWrite, primaryMustProve } from "./read-requirement.js";
import { discardSend, noteAnswer, noteRoute } from "./route-record.js";
import { iterationLostError, type ScanIteration } from "./scan.js";
import { type ReplicaReason, type Selection, selectReplica, whyNoReplica } from "./server-selection.js";
import { answerStale, callbacksForPrimary } from "./stale-read.js";

/** How replicas prove their answers, and how Tidemark handles reads that no replica may answer. */
export interface ReadRouterOptions extends ReadDefaults {
  readonly maxStalenessMs: number;
  readonly verify: "when-needed" | "always";
  readonly fallbackLimit: FallbackLimits | false;
}

/** A read that is sent to the primary. `pending` is undefined for a read outside of a session. */
class PrimaryRead {
  readonly request: ReadRequest;
  readonly reason: Reason;
  /** Whether the primary must prove directly in front of this read that it still is the primary. */
  readonly isDoubtful: boolean;
  readonly callbacks: ReadCallbacks;
  readonly pending: PendingRead | undefined;
  /**
   * Whether the read follows a write of the same session. The read must not be answered before that write. The answers to writes
   * without positions are not held back, so they arrive first by themselves.
   */
  readonly isBehindWrites: boolean;
  /** The group that counts the read if writes keep it on the primary. */
  readonly kept: KeptReads | undefined;
  /** When the read was last sent, on the monotonic clock. */
  sentAt = Number.POSITIVE_INFINITY;

  constructor(
    request: ReadRequest,
    reason: Reason,
    isDoubtful: boolean,
    callbacks: ReadCallbacks,
    pending?: PendingRead,
    kept?: KeptReads,
  ) {
    this.request = request;
    this.reason = reason;
    this.isDoubtful = isDoubtful;
    this.callbacks = callbacks;
    this.pending = pending;
    this.isBehindWrites =
      pending?.session.needsPositions === true && pending.session.isWriting(pending.touched);
    this.kept = kept;
  }
}

export class ReadRouter implements ReadRoutes {
  readonly #options: ReadRouterOptions;
  /** Whether every read is proven by an INFO of its own. */
  readonly #verifiesAlways: boolean;
  readonly #topology: Pick<Topology, "shards">;
  readonly #losses: LostWrites;
  readonly #fallback: ReadFallback;
  readonly #observer: ReadObserver | undefined;

  constructor(
    options: ReadRouterOptions,
    topology: Pick<Topology, "shards">,
    losses: LostWrites,
    observer?: ReadObserver,
  ) {
    this.#observer = observer;
    this.#options = options;
    this.#verifiesAlways = options.verify === "always";
    this.#topology = topology;
    this.#losses = losses;
    this.#fallback = new ReadFallback(options.fallbackLimit, this);
  }

  /** Sends a read of `session`. Without a session, the read goes to the primary. */
  send(given: ReadRequest, session: Session | undefined): void {
    if (session === undefined) {
      this.sendToPrimary(given, session, "no-session");
      return;
    }
    const loss = this.#lossOf(session, given.command);
    if (loss !== undefined) {
      given.command.reject(loss);
      return;
    }
    const now = performance.now();
    const read = this.#open(given, session, now);
    this.#sendTo(read, this.#select(read, now));
  }

  /** Sends reads that belong together to a server that may answer the first of them. */
  sendAll(given: readonly ReadRequest[], session: Session | undefined): void {
    if (session === undefined) {
      for (const one of given) this.send(one, session);
      return;
    }
    const loss = given[0] && this.#lossOf(session, given[0].command);
    if (loss !== undefined) {
      for (const { command } of given) command.reject(loss);
      return;
    }
    const now = performance.now();
    const touched = session.touchedBy(given.map(({ command }) => command));
    const reads = given.map((one) => this.#open(one, session, now, touched));
    const selection = reads[0] && this.#select(reads[0], now);
    selection?.node?.connection.beginTurn();
    for (const read of reads) this.#sendTo(read, selection);
  }

  /** Sends a command that only the primary may answer: a command that does not read data, or any command outside of a session. */
  sendToPrimary(
    given: ReadRequest,
    session: Session | undefined,
    reason: Reason,
    repeats?: number,
    isReturned = false,
  ): void {
    if (session !== undefined) {
      this.toPrimary(this.#open(given, session, performance.now()), reason, repeats, isReturned);
      return;
    }
    const read = new PrimaryRead(given, reason, this.#verifiesAlways, new CommandCallbacks(given.command));
    this.#askPrimary(read, repeats, isReturned);
  }

  /** Makes `session` require the data that it has read so far. See {@link settleReads}. */
  anchor(session: Session): Promise<void> | undefined {
    return settleReads(session, this.#topology.shards);
  }

  /**
   * Sends a further step of `iteration` to the node and connection where the iteration began. Rejects the step if that is
   * impossible.
   */
  resume(given: ReadRequest, iteration: ScanIteration, session: Session | undefined): void {
    const { shard, command } = given;
    const { node } = iteration;
    const isPrimary = node === shard.primary;
    if (
      iteration.isLost ||
      node === undefined ||
      (isPrimary ? shard.isPrimaryDemoted : session === undefined)
    ) {
      command.reject(iterationLostError(command, iteration));
    } else if (isPrimary || session === undefined) {
      const callbacks = new CommandCallbacks(command);
      command.resolve = (reply) => callbacks.resolve(reply);
      command.reject = (error) => {
        callbacks.reject(
          ConnectionLostError.isMeantBy(error) ? iterationLostError(command, iteration, error) : error,
        );
      };
      this.sendToPrimary(given, session, "not-a-read", 0);
    } else {
      const now = performance.now();
      const read = this.#open(given, session, now);
      read.waitUntil = now + this.#options.maxStalenessMs;
      this.#sendTo(read, read.primaryOnly === undefined ? selectReplica(read, now) : undefined);
    }
  }

  /** Sends `read` to a server that is selected now. */
  route(read: PendingRead): void {
    this.#sendTo(read, this.#select(read, performance.now()));
  }

  /** Rejects `read` if a failover has lost writes of its session. Returns whether it did. */
  rejectIfLost(read: PendingRead): boolean {
    const loss = this.#lossOf(read.session, read.command);
    if (loss !== undefined) read.callbacks.reject(loss);
    return loss !== undefined;
  }

  /** Sends `read` to the replica that was selected for it. `inFull` is true for a script that is resent with its text. */
  toReplica(read: PendingRead, node: Node, reason: ReplicaReason, inFull = false): void {
    const { command, session, shard, touched, iteration, policy, rules } = read;
    const { incarnation, era } = node;
    const { requiresSession } = rules;
    if (requiresSession) session.progressIn(shard, touched).readFrom(incarnation);
    let probe: PendingProbe | undefined;
    command.resolve = (reply) => {
      node.aclDenials.answered();
      if (!proves(probe, read, node)) {
        node.failedProof(performance.now());
        if (probe?.report !== undefined && lacksWrite(read, probe.report.replication)) read.protect("proven");
        return this.#fallBack(read, "check-failed");
      }
      // Since the read was sent, the server has reported that it has gone back, or may have gone back.
      if (node.era !== era) return this.#fallBack(read, "check-failed");
      if (mayHideKey(read, reply)) return this.#leaveReplica(read, "missing-key");
      if (requiresSession) session.progressIn(shard, touched).readBy(incarnation);
      if (reason === "unproven") session.markStale();
      iteration?.answeredBy(node);
      return read.callbacks.resolve(reply);
    };
    command.reject = (error) => {
      // If a server does not know a script of `defineCommand`, ioredis sends the script in full.
      const again = error.message.startsWith("NOSCRIPT") && command.isReadOnly && !inFull;
      if (again && node.era === era) this.toReplica(read, node, reason, true);
      else this.#replicaFailed(read, node, error, isProvable(reason) && proves(probe, read, node));
    };
    node.aclDenials.tries();
    noteRoute(shard.counts, command, node, "replica", reason, policy.level);
    if (this.#verifiesAlways && isProvable(reason)) probe = node.readVerified(command);
    else {
      if (reason === "checked") probe = node.probeBefore();
      node.connection.sendGiven(command);
    }
    if (requiresSession && session.monotonicReads) {
      // The position is asked for behind the read, because the read has seen nothing newer than that position.
      session.progressIn(shard, touched).readLeft(performance.now());
      node.probeAfter();
    }
  }

  /** Sends `read` to the primary. If `reason` is undefined, the reason is why no replica may answer. */
  toPrimary(read: PendingRead, reason: Reason | undefined, repeats?: number, isReturned = false): void {
    if (answerStale(read)) return;
    if ((reason === "not-live" || reason === "strong") && !isReturned) this.#observer?.observe(read);
    const { shard, session } = read;
    const isDoubtful = this.#verifiesAlways || primaryMustProve(shard, session);
    const now = performance.now();
    const because = reason ?? whyNoReplica(read, now);
    // A read that comes back was counted when it was first sent.
    const kept = isReturned ? undefined : countKept(read, because, now);
    const callbacks = callbacksForPrimary(read);
    this.#askPrimary(new PrimaryRead(read, because, isDoubtful, callbacks, read, kept), repeats, isReturned);
  }

  /**
   * The error to reject a read of `session` with because its writes were found to be lost. Undefined if the read may continue.
   */
  #lossOf(session: Session, { name }: Command): Error | undefined {
    return this.#losses.check(this.#topology.shards, session, name);
  }

  #open(
    given: ReadRequest,
    session: Session,
    now: number,
    touched: Touched = session.touchedBy(given.command),
  ): PendingRead {
    const read = new PendingRead(given, session, touched, this.#options.maxStalenessMs, now);
    if (read.policy.next !== undefined) useAttainablePolicy(read, now);
    return read;
  }

  #select(read: PendingRead, now: number): Selection | undefined {
    return read.primaryOnly ? { node: undefined, reason: read.primaryOnly } : selectReplica(read, now);
  }

  #sendTo(read: PendingRead, selection: Selection | undefined): void {
    if (selection === undefined) this.#fallback.fallBack(read, undefined);
    // A token can claim that a position is unknown, and users can send a token as often as they like. After a change of the mode
    // many users are pinned, and the primary has answered all their reads before.
    else if (selection.reason === "position-unknown" && read.session.isPinnedAsUsual)
      this.#fallback.toPrimaryWithinLimit(read, selection.reason);
    else if (selection.node === undefined) this.toPrimary(read, selection.reason);
    else this.toReplica(read, selection.node, selection.reason);
  }

  /** Handles the error with which a replica, or its connection, has answered a read. `proven`: the replica met the requirement. */
  #replicaFailed(read: PendingRead, node: Node, error: Error, proven: boolean): void {
    const isOfServer = error.name === "ReplyError";
    const isDenied = isOfServer && isDenial(error);
    const isAnswer = isOfServer && !isDenied && !isStateError(error);
    if (isAnswer) node.aclDenials.answered();
    else if (isOfServer && !isDenied) {
      node.forgetState();
      node.avoidUntil = performance.now() + read.shard.options.probeIntervalMs;
    }
    // The script was declared read-only but it writes. On the primary that would go unnoticed.
    const isFinal =
      isReadOnlyError(error) ||
      read.iteration?.node !== undefined ||
      (read.policy.fallback === "error" && proven);
    // Scripts are not replicated, so a node may not know a script that another node knows. The primary knows best about a slot
    // that has moved or is about to move.
    if (error.message.startsWith("NOSCRIPT") || isRedirection(error))
      this.#leaveReplica(read, "replica-failed");
    else if (isAnswer && read.shard.holdsAllKeys && isFinal) read.callbacks.reject(error);
    else {
      if (isDenied) noteDenial(read, node, error);
      this.#fallBack(read, "replica-failed");
    }
  }

  /** Continues a read whose replica has given no answer that counts. */
  #fallBack(read: PendingRead, reason: Reason): void {
    discardSend(read.command);
    this.#fallback.fallBack(read, reason);
  }

  /** Sends a read to the primary that only the primary can answer, as the reply of a replica has shown. */
  #leaveReplica(read: PendingRead, reason: Reason): void {
    discardSend(read.command);
    this.toPrimary(read, reason);
  }

  /**
   * Sends a command that changes nothing, and resends it if the connection closes before the answer. The answer counts only while
   * the server's latest report says that it is a primary. Otherwise the read waits until another server reports that it is the
   * primary.
   */
  #askPrimary(read: PrimaryRead, repeats = maxRepeats, isReturned = false, since?: number): void {
    const { callbacks } = read;
    const { shard, command, policy } = read.request;
    const start: WhenReady = (error) => {
      if (error !== undefined) {
        callbacks.reject(error);
        return;
      }
      const { primary } = shard;
      const { era, incarnation } = primary;
      const startedAt = performance.now();
      // The time that an unanswered attempt has taken counts. Otherwise a read could wait for several primaries in turn.
      const again = (): void => {
        discardSend(command);
        this.#askPrimary(read, repeats - 1, true, since ?? startedAt);
      };
      const settle = (reply: unknown): unknown => {
        if (!shard.isStillPrimary(primary) || primary.incarnation !== incarnation) {
          if (repeats > 0) return again();
          return callbacks.reject(
            new NotPrimaryError(command.name.toUpperCase(), primary.connection.address),
          );
        }
        const failure = this.#primaryAnswered(read, primary);
        if (failure !== undefined) return callbacks.reject(failure);
        // Tidemark may have asked a replica meanwhile, because the primary seemed to be gone.
        noteAnswer(command, sent);
        return callbacks.resolve(reply);
      };
      command.resolve = (reply) => {
        // Tidemark must leave a server at once if it is known to be a replica. Otherwise later commands are sent elsewhere first.
        if (primary.era === era || !shard.isStillPrimary(primary)) return settle(reply);
        // The server may have become a replica and loaded other data. If it reports behind the read that it is the primary of the
        // same history as before, it was the primary all the time.
        return void primary.afterProbe().then(() => settle(reply));
      };
      command.reject = (failure) => {
        if (mayRetryElsewhere(failure)) shard.availability.refusedWrite(primary);
        const isUnanswered = ConnectionLostError.isMeantBy(failure) || !shard.isStillPrimary(primary);
        // The caller follows redirections, and keeps the order with commands that were redirected earlier.
        if (repeats > 0 && isUnanswered && !isRedirection(failure)) again();
        else if (primary.isProxy)
          callbacks.reject(ConnectionLostError.of(command.name, primary.connection, failure));
        else callbacks.reject(failure);
      };
      shard.monitor.probePrimary(startedAt, read.isDoubtful);
      // The INFO in front of the read must not stand for the data that the read sees, so the time is taken after that INFO.
      read.sentAt = performance.now();
      if (read.pending !== undefined) sampleIfAhead(read.pending, read.sentAt);
      const sent = noteRoute(shard.counts, command, primary, "primary", read.reason, policy.level);
      primary.read(command, read.isBehindWrites);
    };
    shard.availability.whenReady(command.name, start, isReturned, since);
  }

  /** Called before a read resolves that `primary` has answered. Returns the error that rejects the read instead, if any. */
  #primaryAnswered({ request, pending, sentAt, kept }: PrimaryRead, primary: Node): Error | undefined {
    request.iteration?.answeredBy(primary);
    if (pending === undefined) return undefined;
    const { session, shard, touched, command } = pending;
    const progress = session.progressIn(shard, touched);
    progress.readAhead(sentAt);
    progress.kept = kept ?? progress.kept;
    // The answer to an INFO in front of the read may be the first report of another primary.
    return this.#lossOf(session, command);
  }
}

/** Samples the primary at `now` if the session has read data that no replica is proven to have. */
function sampleIfAhead({ session, shard, touched }: PendingRead, now: number): void {
  if (session.isLive && shard.replicas.length > 0 && session.progressIn(shard, touched).ahead)
    shard.monitor.samplePrimary(now);
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

/** Whether `reply` may come from a server that lacks the key although the key exists. */
function mayHideKey({ command, shard, policy }: PendingRead, reply: unknown): boolean {
  return confirmsMisses(shard, policy) && mayBeMissingKey(command, reply);
}

/** An answer to `read` shows that only `node` forbids it. An app may ask for data that its user may read nowhere. */
function noteDenial(read: PendingRead, node: Node, denial: Error): void {
  read.onEnd((error) => {
    if (error === undefined) node.aclDenials.refused(withoutSecrets(denial, node.connection.server));
  });
}
