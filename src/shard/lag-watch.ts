/**
 * Asks the replicas after a read could use none of them, until they have caught up. Without this a process that reads rarely would
 * never measure their lag.
 */
import type { ShardMembers } from "./members.js";
import { pauseMs, type ShardMonitor, shortestPauseMs } from "./monitor.js";

/** The longest watch. A replica that takes longer is asked again after the next read that can use no replica. */
const longestMs = 5_000;
/** A lag that was measured within this time counts as the present lag. */
const remeasureMs = 250;

export class LagWatch {
  readonly #members: ShardMembers;
  readonly #monitor: ShardMonitor;
  #offset = 0;
  #since = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;

  constructor(members: ShardMembers, monitor: ShardMonitor) {
    this.#members = members;
    this.#monitor = monitor;
  }

  /**
   * Measures how long the replicas take to reach `offset`, unless their lag was measured a moment ago. Only one watch runs at a
   * time.
   */
  begin(offset: number, now: number): void {
    const isMeasured = this.#members.replicas.every(
      ({ applyRate }) => now - applyRate.measuredAt <= remeasureMs,
    );
    if (isMeasured) return;
    // The lag of a replica is measured from the moment when the primary was seen to have more data.
    this.#monitor.samplePrimary(now);
    if (this.#timer !== undefined) return;
    this.#offset = offset;
    this.#since = now;
    this.#rest(shortestPauseMs);
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #tick(): void {
    this.#timer = undefined;
    const now = performance.now();
    if (now >= this.#since + longestMs || this.#haveCaughtUp) return;
    this.#rest(this.#monitor.probeForWaitingReads(now, this.#pauseAfter));
  }

  get #haveCaughtUp(): boolean {
    return this.#members.replicas.every(
      ({ connection, lastReport }) =>
        !connection.ready || (lastReport?.replication.offset ?? 0) >= this.#offset,
    );
  }

  readonly #pauseAfter = (askedAt: number, usualLagMs: number): number =>
    pauseMs(askedAt - this.#since, usualLagMs);

  #rest(ms: number): void {
    this.#timer = setTimeout(() => this.#tick(), Math.ceil(ms));
    // An estimate does not keep the process alive.
    this.#timer.unref();
  }
}
