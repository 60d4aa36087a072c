/** Decides about reads that no replica may answer now: they wait for a replica, or go elsewhere as their read policy says. */
import type { Reason } from "../diagnostics/channels.js";
import { AbortedError, ReplicasBehindError } from "../errors/errors.js";
import type { Session } from "../session/session.js";
import type { CatchUpWaiter } from "../shard/catch-up-queue.js";
import { requiredSince } from "../shard/eligibility.js";
import type { Shard } from "../shard/shard.js";
import { nextAttainable } from "./attainable-policy.js";
import { estimateCatchUp } from "./catch-up-estimate.js";
import { FallbackLimit, type FallbackLimits, type ResponseTimes } from "./fallback-limit.js";
import { mayBeOverstated } from "./overstated-position.js";
import { type PendingRead, withPolicy } from "./read.js";
import { iterationLostError } from "./scan.js";
import {
  isStranded,
  knownAtOf,
  requirementOf,
  type Selection,
  selectKnownReplica,
  whyNoReplica,
} from "./server-selection.js";
import { answerStale } from "./stale-read.js";

/** The ways in which a read can continue. */
export interface FallbackRoutes {
  readonly maxStalenessMs: number;
  /** The error to reject a read with because a failover lost writes of its session. Undefined if the read may continue. */
  lossOf(session: Session, command: PendingRead["command"]): Error | undefined;
  choose(read: PendingRead, now: number): Selection | undefined;
  sendTo(read: PendingRead, choice: Selection | undefined): void;
  toPrimary(read: PendingRead, reason: Reason | undefined): void;
}

/** How long a read that would be refused waits for the primary's report, in milliseconds. */
const primaryWordMs = 250;

/**
 * How long a read waits in line for the primary, or for a replica, while too many other reads are at the primary, in
 * milliseconds.
 */
const overloadWaitMs = 1_000;

export class ReadFallback {
  readonly #routes: FallbackRoutes;
  readonly #limits: FallbackLimits | false;
  readonly #byShard = new WeakMap<Shard, FallbackLimit>();

  constructor(limits: FallbackLimits | false, routes: FallbackRoutes) {
    this.#routes = routes;
    this.#limits = limits;
  }

  /**
   * Waits for a replica if there is time and one may catch up. Otherwise does what the read policy says. If `reason` is
   * undefined, the reason is that no replica may answer.
   */
  take(read: PendingRead, reason: Reason | undefined): void {
    const { shard, session, waitUntil, iteration } = read;
    const now = performance.now();
    shard.monitor.probeReplicas(now);
    const inVain = reason === "replica-failed" || isStranded(read) || shard.primary.connection.refuses;
    if (!inVain && this.#sample(read, reason, now)) return;
    if (now >= waitUntil || inVain) {
      this.#giveUp(read, reason);
      return;
    }
    // A step of an iteration cannot go anywhere else.
    const isBound = iteration?.node !== undefined;
    const since = isBound
      ? Number.NEGATIVE_INFINITY
      : requiredSince(shard, read.requirement, session.requirement.issuedAt, now);
    this.#wait(read, since, waitUntil, () => this.#giveUp(read, reason));
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
    const until = isLate ? now + primaryWordMs : waitUntil;
    let isOver = false;
    const cancel = this.#wait(
      read,
      Number.NEGATIVE_INFINITY,
      until,
      () => this.#giveUp(read, reason),
      () => {
        isOver = true;
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
    const loss = this.#routes.lossOf(read.session, read.command);
    if (loss !== undefined) {
      read.callbacks.reject(loss);
      return;
    }
    const again = { ...withPolicy(read, read.policy, this.#routes.maxStalenessMs), isSampled: true };
    this.#routes.sendTo(again, this.#routes.choose(again, performance.now()));
  }

  /**
   * Returns a function that ends the wait and returns whether the read was still waiting. `over` is called however the wait ends.
   */
  #wait(read: PendingRead, since: number, until: number, giveUp: () => void, over = () => {}): () => boolean {
    const { shard, session, command, callbacks } = read;
    const { signal } = session;
    const aborted = (): void => callbacks.reject(new AbortedError(command.name.toUpperCase()));
    if (signal?.aborted) {
      aborted();
      return () => false;
    }
    const forget = signal === undefined ? () => {} : onAbort(signal, abort);
    let isOver = false;
    const leave = (): void => {
      isOver = true;
      forget();
      over();
    };
    const end = (): void => {
      if (isOver) return;
      leave();
      giveUp();
    };
    const latecomer: CatchUpWaiter = {
      offset: offsetOf(read),
      madeAt: since,
      until,
      attempt: () => {
        const goesOn = this.#attempt(read);
        if (goesOn) leave();
        return goesOn;
      },
      giveUp: end,
      isStranded: read.iteration?.node && (() => isStranded(read)),
    };
    const isForPrimary = read.certain !== undefined;
    const cancel = (): boolean => {
      const isWaiting = isForPrimary ? !isOver : shard.catchUp.remove(latecomer);
      leave();
      return isWaiting;
    };
    function abort(): void {
      if (cancel()) aborted();
    }
    // No replica can answer the read, so Tidemark asks none.
    if (isForPrimary) shard.queue.add({ attempt: () => isOver, giveUp: end, until });
    else shard.catchUp.add(latecomer);
    return cancel;
  }

  #giveUp(read: PendingRead, reason: Reason | undefined): void {
    const now = performance.now();
    const next = nextAttainable(read, this.#routes.maxStalenessMs, now);
    if (read.iteration?.node !== undefined)
      read.callbacks.reject(iterationLostError(read.command, read.iteration));
    else if (next !== undefined) this.#routes.sendTo(next, this.#routes.choose(next, now));
    else if (read.policy.fallback === "primary") this.relieve(read, reason);
    else this.#refuse(read, reason);
  }

  #refuse(read: PendingRead, reason: Reason | undefined, why?: string): void {
    const { callbacks, command } = read;
    if (answerStale(read)) return;
    const now = performance.now();
    const because = reason ?? whyNoReplica(read, now);
    const estimate = estimateCatchUp(read, now);
    if (estimate.node !== undefined) read.shard.measureLag(offsetOf(read), now);
    callbacks.reject(new ReplicasBehindError(command.name.toUpperCase(), because, why, estimate));
  }

  /** Sends a read that replicas cannot answer to the primary. If too many such reads are there, the read waits in line. */
  relieve(read: PendingRead, reason: Reason | undefined): void {
    const { shard, session } = read;
    const limit = this.#limitOf(shard);
    if (limit === undefined || !shard.isPrimaryReady) this.#routes.toPrimary(read, reason);
    else if (limit.tryAcquire()) this.#routes.toPrimary(counted(read, limit), reason);
    else {
      let leaveLine: (() => void) | undefined;
      const giveUp = (): void => {
        // A primary that is gone has no room to wait for. The read waits for the next primary, as all commands do.
        if (shard.primary.connection.closed || !shard.isPrimaryReady) this.#routes.toPrimary(read, reason);
        else this.#refuse(read, reason, "it has as many such reads as fallbackLimit allows");
      };
      const until = performance.now() + overloadWaitMs;
      const cancel = this.#wait(read, Number.NEGATIVE_INFINITY, until, giveUp, () => leaveLine?.());
      leaveLine = limit.acquireLater(session.bearer, () => {
        const isWaiting = cancel();
        if (isWaiting) this.#routes.toPrimary(counted(read, limit), reason);
        return isWaiting;
      });
    }
  }

  #limitOf(shard: Shard): FallbackLimit | undefined {
    const limits = this.#limits;
    if (limits === false) return undefined;
    let limit = this.#byShard.get(shard);
    if (limit === undefined) {
      limit = new FallbackLimit(limits, () => paceOf(shard));
      this.#byShard.set(shard, limit);
    }
    return limit;
  }

  /** Sends a waiting read to a replica that has caught up by now. Returns whether the wait is over. */
  #attempt(read: PendingRead): boolean {
    const { shard, session, touched, level } = read;
    const now = performance.now();
    const loss = this.#routes.lossOf(session, read.command);
    if (loss !== undefined) {
      read.callbacks.reject(loss);
      return true;
    }
    if (isStranded(read)) {
      this.#giveUp(read, "behind");
      return true;
    }
    if (session.progressIn(shard, touched).ahead) shard.monitor.samplePrimary(now);
    // If a step required the writes that came after it was asked for, it would wait forever.
    const requirement = read.iteration?.node
      ? read.requirement
      : requirementOf(shard, session, touched, level, this.#routes.maxStalenessMs);
    const node = selectKnownReplica({ ...read, requirement }, now);
    if (node !== undefined) this.#routes.sendTo({ ...read, requirement }, { node, reason: "known" });
    return node !== undefined;
  }
}

/**
 * The time at or after which the primary has to be asked to show that a replica has what `read` requires. The latest report of
 * the primary is too old for that. Undefined if a new report cannot change anything.
 */
function sampleWantedAt(
  { shard, session, touched, level, requirement }: PendingRead,
  now: number,
): number | undefined {
  // The data that the session has read on the primary has no position yet.
  if (level !== "eventual" && session.progressIn(shard, touched).ahead) return now;
  const asOf = Math.max(requirement.since, now - requirement.maxStalenessMs);
  if (asOf > shard.history.latestAt) return asOf;
  const { positions } = requirement;
  if (positions.length === 0) return undefined;
  const knownAt = knownAtOf(session, shard, touched);
  return positions.some((position) => mayBeOverstated(shard, knownAt, position)) ? knownAt : undefined;
}

/** Returns the same read, and releases its slot of `limit` when the read ends. */
function counted(read: PendingRead, limit: FallbackLimit): PendingRead {
  const { callbacks, shard } = read;
  const sentAt = performance.now();
  // The sample soon shows the limit how the primary copes with the read.
  shard.monitor.samplePrimary(sentAt);
  const resolve = (reply: unknown): unknown => {
    limit.release(performance.now() - sentAt);
    return callbacks.resolve(reply);
  };
  const reject = (error: Error): void => {
    limit.release(performance.now() - sentAt);
    callbacks.reject(error);
  };
  return { ...read, callbacks: { resolve, reject } };
}

function paceOf({ primary, replicas }: Shard): ResponseTimes {
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

const told = new WeakMap<AbortSignal, Set<() => void>>();

/**
 * Calls `call` when `signal` is aborted, unless the returned function is called before. A signal gets one listener for all reads
 * that wait with it, because Node warns of a leak if there are more than ten.
 */
export function onAbort(signal: AbortSignal, call: () => void): () => void {
  const calls = told.get(signal) ?? listen(signal);
  calls.add(call);
  return () => calls.delete(call);
}

function listen(signal: AbortSignal): Set<() => void> {
  const calls = new Set<() => void>();
  told.set(signal, calls);
  const tell = (): void => {
    for (const call of calls) call();
  };
  signal.addEventListener("abort", tell, { once: true });
  return calls;
}
