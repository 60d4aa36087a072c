/** Decides about reads that no replica may answer now: they wait for a replica, or go elsewhere as their read policy says. */
import type { Reason } from "../diagnostics/channels.js";
import type { WaitOutcome } from "../diagnostics/counts.js";
import { AbortedError, ReplicasBehindError } from "../errors/errors.js";
import type { Node } from "../node/node.js";
import type { CatchUpWaiter } from "../shard/catch-up-queue.js";
import { requiredSince } from "../shard/eligibility.js";
import type { Shard } from "../shard/shard.js";
import { useNextPolicy } from "./attainable-policy.js";
import { estimateCatchUp } from "./catch-up-estimate.js";
import { FallbackLimit, type FallbackLimits, type ResponseTimes } from "./fallback-limit.js";
import type { PendingRead } from "./read.js";
import { knownAtOf, mayBeOverstated, requiredAsOf } from "./read-requirement.js";
import { iterationLostError } from "./scan.js";
import { isStranded, type ReplicaReason, selectKnownReplica, whyNoReplica } from "./server-selection.js";
import { answerStale } from "./stale-read.js";

/** The ways in which a read can continue. The router implements them. */
export interface ReadRoutes {
  /** Sends `read` to a server that is selected now. */
  route(read: PendingRead): void;
  toReplica(read: PendingRead, node: Node, reason: ReplicaReason): void;
  /** Sends `read` to the primary. If `reason` is undefined, the reason is why no replica may answer. */
  toPrimary(read: PendingRead, reason: Reason | undefined): void;
  /** Rejects `read` if a failover has lost writes of its session. Returns whether it did. */
  rejectIfLost(read: PendingRead): boolean;
}

/** How long a read that would be refused waits for the primary's report, in milliseconds. */
const primaryReportMs = 250;

/**
 * How long a read waits in line for the primary, or for a replica, while too many other reads are at the primary, in
 * milliseconds.
 */
const overloadWaitMs = 1_000;

export class ReadFallback {
  readonly #routes: ReadRoutes;
  readonly #limits: FallbackLimits | false;
  readonly #byShard = new WeakMap<Shard, FallbackLimit>();

  constructor(limits: FallbackLimits | false, routes: ReadRoutes) {
    this.#routes = routes;
    this.#limits = limits;
  }

  /**
   * Waits for a replica if there is time and one may catch up. Otherwise does what the read policy says. If `reason` is
   * undefined, the reason is that no replica may answer.
   */
  fallBack(read: PendingRead, reason: Reason | undefined): void {
    const { shard, session, waitUntil, iteration } = read;
    const now = performance.now();
    if ((reason ?? whyNoReplica(read, now)) === "behind") read.protect("estimated");
    shard.monitor.probeReplicas(now);
    const isPointless = reason === "replica-failed" || isStranded(read) || shard.primary.connection.refuses;
    if (!isPointless && this.#sample(read, reason, now)) return;
    if (now >= waitUntil || isPointless) {
      this.#giveUp(read, reason);
      return;
    }
    // A step of an iteration cannot go anywhere else.
    const isBound = iteration?.node !== undefined;
    const madeAt = isBound
      ? Number.NEGATIVE_INFINITY
      : requiredSince(shard, read.requirement, session.requirement.issuedAt, now);
    read.waitsSince ??= now;
    this.#wait(
      read,
      madeAt,
      waitUntil,
      () => this.#giveUp(read, reason),
      (outcome) => noteWait(read, outcome),
    );
  }

  /**
   * Makes `read` wait for the primary's next report of its position, if that report may show that a replica meets the
   * requirement. Returns whether `read` waits. A read that would be refused waits for the report even without `waitMs`.
   */
  #sample(read: PendingRead, reason: Reason | undefined, now: number): boolean {
    const { shard, policy, waitUntil, iteration } = read;
    if (read.isSampled || iteration?.node !== undefined || !shard.isPrimaryReady) return false;
    const isLate = now >= waitUntil;
    if (isLate && (policy.fallback === "primary" || policy.next !== undefined)) return false;
    const wantedAt = sampleWantedAt(read, now);
    if (wantedAt === undefined) return false;
    const until = isLate ? now + primaryReportMs : waitUntil;
    let isOver = false;
    read.waitsSince ??= now;
    const cancel = this.#wait(
      read,
      Number.NEGATIVE_INFINITY,
      until,
      () => this.#giveUp(read, reason),
      (outcome) => {
        isOver = true;
        noteWait(read, outcome);
      },
    );
    shard.monitor.samplePrimary(now);
    shard.sampling.add({
      attempt: () => {
        if (isOver) return true;
        if (shard.history.latestAt < wantedAt) return false;
        if (cancel()) this.#resume(read);
        return true;
      },
      // The wait for a replica ends by itself.
      giveUp: () => {},
      until,
    });
    return true;
  }

  /** Continues a read with the primary's latest report. */
  #resume(read: PendingRead): void {
    if (this.#routes.rejectIfLost(read)) return;
    read.usePolicy(read.policy);
    read.isSampled = true;
    this.#routes.route(read);
  }

  /**
   * Returns a function that ends the wait and returns whether the read was still waiting. `over` is called with how the wait ended,
   * or with undefined if that function has ended it or the user had given up before.
   */
  #wait(
    read: PendingRead,
    madeAt: number,
    until: number,
    giveUp: () => void,
    over: (outcome: WaitOutcome | undefined) => void = () => {},
  ): () => boolean {
    const { shard, session, command, callbacks } = read;
    const { signal } = session;
    const aborted = (): void => callbacks.reject(new AbortedError(command.name.toUpperCase()));
    if (signal?.aborted) {
      over(undefined);
      aborted();
      return () => false;
    }
    const forget = signal === undefined ? () => {} : onAbort(signal, abort);
    let isOver = false;
    const leave = (outcome: WaitOutcome | undefined): void => {
      isOver = true;
      forget();
      over(outcome);
    };
    const end = (): void => {
      if (isOver) return;
      leave("timedOut");
      giveUp();
    };
    const waiter: CatchUpWaiter = {
      offset: offsetOf(read),
      madeAt,
      since: performance.now(),
      until,
      attempt: () => {
        const outcome = this.#attempt(read);
        if (outcome !== undefined) leave(outcome);
        return outcome !== undefined;
      },
      giveUp: end,
      isStranded: read.iteration?.node && (() => isStranded(read)),
    };
    const isForPrimary = read.primaryOnly !== undefined;
    const leaveEarly = (outcome: WaitOutcome | undefined): boolean => {
      const isWaiting = isForPrimary ? !isOver : shard.catchUp.remove(waiter);
      leave(outcome);
      return isWaiting;
    };
    function abort(): void {
      if (leaveEarly("aborted")) aborted();
    }
    // No replica can answer the read, so Tidemark asks none.
    if (isForPrimary) shard.fallbackQueue.add({ attempt: () => isOver, giveUp: end, until });
    else shard.catchUp.add(waiter);
    return () => leaveEarly(undefined);
  }

  #giveUp(read: PendingRead, reason: Reason | undefined): void {
    if (read.iteration?.node !== undefined)
      read.callbacks.reject(iterationLostError(read.command, read.iteration));
    else if (useNextPolicy(read, performance.now())) this.#routes.route(read);
    else if (read.policy.fallback === "primary") this.toPrimaryWithinLimit(read, reason);
    else this.#refuse(read, reason);
  }

  #refuse(read: PendingRead, reason: Reason | undefined, why?: string): void {
    const { callbacks, command } = read;
    if (answerStale(read)) return;
    read.shard.counts.refusedReads += 1;
    const now = performance.now();
    const because = reason ?? whyNoReplica(read, now);
    const estimate = estimateCatchUp(read, now);
    if (estimate.node !== undefined) read.shard.measureLag(offsetOf(read), now);
    callbacks.reject(new ReplicasBehindError(command.name.toUpperCase(), because, why, estimate));
  }

  /** Sends a read that replicas cannot answer to the primary. If too many such reads are there, the read waits in line. */
  toPrimaryWithinLimit(read: PendingRead, reason: Reason | undefined): void {
    const { shard, session } = read;
    const { counts } = shard;
    counts.fallbackReads += 1;
    const limit = this.#limitOf(shard);
    if (limit === undefined || !shard.isPrimaryReady) this.#routes.toPrimary(read, reason);
    else if (limit.tryAcquire()) this.#toPrimary(read, reason, limit);
    else {
      let leaveLine: (() => void) | undefined;
      const giveUp = (): void => {
        // A primary that is gone has no room to wait for. The read waits for the next primary, as all commands do.
        if (shard.primary.connection.closed || !shard.isPrimaryReady) this.#routes.toPrimary(read, reason);
        else this.#refuse(read, reason, "it has as many such reads as fallbackLimit allows");
      };
      const until = performance.now() + overloadWaitMs;
      let isInLine = true;
      counts.waitingFallbacks += 1;
      const cancel = this.#wait(read, Number.NEGATIVE_INFINITY, until, giveUp, () => {
        if (isInLine) counts.waitingFallbacks -= 1;
        isInLine = false;
        leaveLine?.();
      });
      leaveLine = limit.acquireLater(session.identity, () => {
        const isWaiting = cancel();
        if (isWaiting) this.#toPrimary(read, reason, limit);
        return isWaiting;
      });
    }
  }

  /** Sends `read` to the primary, and releases its slot of `limit` when the read ends. */
  #toPrimary(read: PendingRead, reason: Reason | undefined, limit: FallbackLimit): void {
    const sentAt = performance.now();
    const { counts } = read.shard;
    counts.activeFallbacks += 1;
    // The sample soon shows the limit how the primary copes with the read.
    read.shard.monitor.samplePrimary(sentAt);
    read.onEnd(() => {
      counts.activeFallbacks -= 1;
      limit.release(performance.now() - sentAt);
    });
    this.#routes.toPrimary(read, reason);
  }

  #limitOf(shard: Shard): FallbackLimit | undefined {
    const limits = this.#limits;
    if (limits === false) return undefined;
    let limit = this.#byShard.get(shard);
    if (limit === undefined) {
      limit = new FallbackLimit(limits, () => responseTimesOf(shard));
      this.#byShard.set(shard, limit);
    }
    return limit;
  }

  /** Sends a waiting read to a replica that has caught up by now. Returns how the wait is over. Undefined if it is not over. */
  #attempt(read: PendingRead): WaitOutcome | undefined {
    if (this.#routes.rejectIfLost(read)) return "timedOut";
    if (isStranded(read)) {
      this.#giveUp(read, "behind");
      return "timedOut";
    }
    const { shard, session, touched } = read;
    const now = performance.now();
    if (session.progressIn(shard, touched).ahead) shard.monitor.samplePrimary(now);
    // If a step required the writes that came after it was asked for, it would wait forever.
    const requirement = read.iteration?.node ? read.requirement : read.requirementNow();
    const node = selectKnownReplica(read, now, requirement);
    if (node === undefined) return undefined;
    read.requirement = requirement;
    this.#routes.toReplica(read, node, "known");
    return "caughtUp";
  }
}

/** Counts the wait of `read` if it is over. */
function noteWait({ shard, waitsSince }: PendingRead, outcome: WaitOutcome | undefined): void {
  if (outcome === undefined || waitsSince === undefined) return;
  const { waits } = shard.counts;
  waits[outcome] += 1;
  waits.ms.add(performance.now() - waitsSince);
}

/**
 * The time at or after which the primary has to be asked to show that a replica has what `read` requires. The latest report of
 * the primary is too old for that. Undefined if a new report cannot change anything.
 */
function sampleWantedAt(read: PendingRead, now: number): number | undefined {
  const { shard, session, touched, rules, requirement } = read;
  // The data that the session has read on the primary has no position yet.
  if (rules.requiresSession && session.progressIn(shard, touched).ahead) return now;
  const asOf = requiredAsOf(requirement, now);
  if (asOf > shard.history.latestAt) return asOf;
  return mayBeOverstated(read) ? knownAtOf(session, shard, touched) : undefined;
}

function responseTimesOf({ primary, replicas }: Shard): ResponseTimes {
  const now = performance.now();
  let replicaMs = Number.POSITIVE_INFINITY;
  for (const { connection, latency } of replicas)
    if (connection.ready) replicaMs = Math.min(replicaMs, latency.at(now));
  return { primaryMs: primary.latency.at(now), replicaMs };
}

/** The offset in the present history that the read waits for. 0 if the read waits for something else. */
function offsetOf({ shard, requirement }: PendingRead): number {
  let offset = 0;
  for (const position of requirement.positions)
    if (position.replid === shard.history.replid) offset = Math.max(offset, position.offset);
  return offset;
}

const callsOnAbort = new WeakMap<AbortSignal, Set<() => void>>();

/**
 * Calls `call` when `signal` is aborted, unless the returned function is called before. A signal gets one listener for all reads
 * that wait with it, because Node warns of a leak if there are more than ten.
 */
export function onAbort(signal: AbortSignal, call: () => void): () => void {
  const calls = callsOnAbort.get(signal) ?? listen(signal);
  calls.add(call);
  return () => calls.delete(call);
}

function listen(signal: AbortSignal): Set<() => void> {
  const calls = new Set<() => void>();
  callsOnAbort.set(signal, calls);
  const callAll = (): void => {
    for (const call of calls) call();
  };
  signal.addEventListener("abort", callAll, { once: true });
  return calls;
}
