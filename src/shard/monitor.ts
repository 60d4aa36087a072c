/** The schedule of a shard: when each of its servers is asked for its position. */
import { absenceMs } from "../connection/connection.js";
import type { ShardMembers } from "./members.js";
import { WaitQueue } from "./wait-queue.js";

/** How often servers are asked. */
export const intervals = {
  /** Replicas in use are asked this often in a `probeIntervalMs`, so that their remembered positions do not expire. */
  perProbeInterval: 2,
  /** Servers in use are asked at most this often in a `probeIntervalMs`, unless reads wait for them. */
  mostPerProbeInterval: 16,
  /** The primary is asked this often in the `maxStalenessMs` of a read, so that the samples of its offset are young enough. */
  perStaleness: 4,
  /** While there is a primary, a replica that lags is asked at most this often in a time as long as its lag. */
  mostPerLag: 8,
  /** A question counts as lost when it has been unanswered for this long. Another one is then sent for reads that wait. */
  lostMs: 1_000,
  /** While there is no primary, each server is asked at this interval whether it is the primary. */
  withoutPrimaryMs: 15,
  /** After a command needed a primary that did not answer, the replicas are asked for this long whether one was promoted. */
  searchMs: 60_000,
} as const;

/** The shortest pause between two questions to a replica that reads wait for, in milliseconds. */
export const shortestPauseMs = 1;

const pauses = {
  /** The longest pause, unless the lag is so long that a part of it is longer. */
  mostMs: 25,
  partsOfLongLag: 5,
  /** While a replica is later than usual, a pause is at most one part in this many of the time since the write. */
  partsOfDelay: 6,
  /** No pause is shorter than one part in this many of the lag, so that many reads in a row cost hardly more than one. */
  partsOfLag: 20,
} as const;

/**
 * How long to pause after a replica was asked for a write that was made `ageMs` ago, if writes usually take `usualLagMs` to arrive.
 * The pauses grow first, because the replica may be faster than usual. They shrink towards the moment at which the write usually
 * arrives, and grow again after it. So a read waits longer than needed only by a small part of the lag.
 */
export function pauseMs(ageMs: number, usualLagMs: number): number {
  const age = Math.max(ageMs, 0);
  const leftMs = usualLagMs - age;
  const most = leftMs > 0 ? age : age / pauses.partsOfDelay;
  const least = Math.max(Math.max(age, usualLagMs) / pauses.partsOfLag, shortestPauseMs);
  const limit = Math.max(pauses.mostMs, usualLagMs / pauses.partsOfLongLag);
  return Math.min(Math.max(Math.min(Math.abs(leftMs) / 2, most), least), limit);
}

export class ShardMonitor {
  readonly #members: ShardMembers;
  #sampledAt = Number.NEGATIVE_INFINITY;
  #refreshedAt = Number.NEGATIVE_INFINITY;
  #isSearching = false;
  /** Callers that wait for a connection to the primary, or to the replica that replaces it. */
  readonly connectionWaiters = new WaitQueue((now) => {
    if (this.#members.primary.connection.absentMs > absenceMs) this.findPrimary(now);
  });

  constructor(members: ShardMembers) {
    this.#members = members;
  }

  /**
   * Asks the servers that have not been asked for a while. The remembered positions of replicas then do not expire while the
   * replicas are in use, and samples of the primary's offset are young enough for `maxStalenessMs`.
   */
  keepFresh(maxStalenessMs: number, now: number): void {
    const { primary, options } = this.#members;
    const leastMs = options.probeIntervalMs / intervals.mostPerProbeInterval;
    const sampleMs = Math.max(maxStalenessMs / intervals.perStaleness, leastMs);
    this.probePrimary(now, now - primary.probedAt > sampleMs);
    if (now - this.#refreshedAt < leastMs) return;
    this.#refreshedAt = now;
    this.#probe(options.probeIntervalMs / intervals.perProbeInterval, now);
  }

  /**
   * Asks the primary for its position before everything that it is sent in this turn. Without `always`, does so only if the primary
   * was not asked for `probeIntervalMs`.
   */
  probePrimary(now: number, always: boolean): void {
    const { primary, options } = this.#members;
    const { probedAt, connection } = primary;
    if (!connection.answers || !(always || now - probedAt > options.probeIntervalMs)) return;
    primary.probeBefore();
  }

  /** Asks the primary for its position after everything that it is sent in this turn, unless this was done a moment ago. */
  samplePrimary(now: number): void {
    const { primary, options } = this.#members;
    const everyMs = options.probeIntervalMs / intervals.mostPerProbeInterval;
    if (now - this.#sampledAt <= everyMs || !primary.connection.ready) return;
    this.#sampledAt = now;
    primary.probeAfter();
  }

  /** Asks the replicas more often than usual, because a read could use none of them. */
  probeReplicas(now: number): void {
    this.#probe(this.#members.options.probeIntervalMs / intervals.mostPerProbeInterval, now);
  }

  /**
   * Asks the replicas that reads wait for, and returns in how many milliseconds to ask again. `pauseAfter` is called with the time
   * of the last question to a replica and the usual lag of the replica, and returns how long to pause after that question.
   */
  probeForWaitingReads(now: number, pauseAfter: (askedAt: number, usualLagMs: number) => number): number {
    // The report of a replica proves how old its data is only together with samples of the primary that are young enough.
    this.probePrimary(now, false);
    let nextMs = Number.POSITIVE_INFINITY;
    for (const node of this.#members.replicas) {
      node.connection.connectIfLazy();
      if (!node.connection.ready) continue;
      const { lastReport, probedAt, applyRate } = node;
      const usualLagMs = applyRate.usualLagMs ?? 0;
      const isAsked = lastReport !== undefined && lastReport.at < probedAt;
      let leftMs = probedAt + pauseAfter(probedAt, usualLagMs) - now;
      // A timer may fire up to a millisecond early.
      if (leftMs < shortestPauseMs) {
        if (!isAsked || now - probedAt > intervals.lostMs) node.probeBefore();
        leftMs = pauseAfter(now, usualLagMs);
      }
      nextMs = Math.min(nextMs, leftMs);
    }
    // Replicas may become ready meanwhile.
    return nextMs === Number.POSITIVE_INFINITY ? pauses.mostMs : nextMs;
  }

  /** Asks the replicas whether one was promoted, even if they are rarely asked otherwise. */
  findPrimary(now: number): void {
    this.#probe(intervals.withoutPrimaryMs, now, intervals.withoutPrimaryMs);
  }

  /** Asks the replicas until the primary answers, because one of them may have been promoted. */
  searchUntilAnswered(): void {
    const { primary, options } = this.#members;
    if (primary.connection.answers || this.#isSearching || options.hasArbiter) return;
    this.#isSearching = true;
    const end = (): void => {
      this.#isSearching = false;
    };
    const attempt = (): boolean => {
      const isOver = this.#members.primary !== primary || primary.connection.answers;
      if (isOver) end();
      return isOver;
    };
    this.connectionWaiters.add({ attempt, giveUp: end, until: performance.now() + intervals.searchMs });
  }

  /** The lag of the most promising replica, in milliseconds; infinity without one. */
  get leastLagMs(): number {
    let least = Number.POSITIVE_INFINITY;
    for (const { connection, lag, lastReport, aclDenials } of this.#members.replicas)
      if (connection.ready && aclDenials.fault === undefined && lastReport?.replication.role === "replica")
        least = Math.min(least, lag.ms);
    return least;
  }

  /**
   * Asks each replica that was last asked more than `everyMs` ago. A replica that lags is asked less often, but at least every
   * `atMostMs`, and soon enough that its position is believed without a break.
   */
  #probe(everyMs: number, now: number, atMostMs = Number.POSITIVE_INFINITY): void {
    const { replicas, options } = this.#members;
    for (const node of replicas) {
      node.connection.connectIfLazy();
      const inTimeMs = node.trustMs(options.probeIntervalMs) / 2;
      const dueMs = Math.min(Math.max(everyMs, node.lag.ms / intervals.mostPerLag), inTimeMs, atMostMs);
      if (now - node.probedAt > dueMs && node.connection.ready) node.probeBefore();
    }
  }
}
