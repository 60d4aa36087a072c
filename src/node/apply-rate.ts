/**
 * Estimates from the latest reports of a replica how fast it applies writes, and how long a write usually takes to arrive. Nothing
 * here is a proof.
 */

/** One report of a replica. */
interface Progress {
  /** When the replica was asked, on the monotonic clock. */
  readonly at: number;
  readonly offset: number;
  /**
   * For how long the replica has lacked the next write. 0 if it is not known to lack one, undefined if only a lower bound is known.
   */
  readonly lagMs: number | undefined;
  /** How long ago the newest write was made that the replica has, as far as this is known. */
  readonly newestMs: number;
}

/** How fast a replica moved while it was behind. */
export interface ApplyPace {
  readonly bytesPerMs: number;
  /** How much the replica's lag grows per millisecond: 1 if the replica stands still, below 0 if it catches up. */
  readonly lagGrowth: number;
}

/** The rate is measured over one to two windows of this length. A replica that has not moved for half a window stands still. */
const windowMs = 250;
/** A shorter measurement may cover only a single command, which is applied all at once. */
const shortestMs = 50;
/** Two reports show the lag well enough if its upper bound is at most twice its lower bound plus this time. */
const closeMs = 10;

/**
 * The rate is measured between two reports. The later one is the last report with a new offset, so a pause after it does not lower
 * the rate.
 */
export class ApplyRate {
  #first: Progress | undefined;
  #middle: Progress | undefined;
  #moved: Progress | undefined;
  #last: Progress | undefined;
  #measuredAt = Number.NEGATIVE_INFINITY;
  #usualLagMs = 0;

  /**
   * The usual lag of the replica in milliseconds, as estimated when the replica last moved. Writes that it has lacked since then do
   * not change this value, because nobody knows yet when they arrive. Undefined before a write was seen to arrive.
   */
  get usualLagMs(): number | undefined {
    return this.#measuredAt === Number.NEGATIVE_INFINITY ? undefined : this.#usualLagMs;
  }

  /** When a write was last seen to arrive at the replica, on the monotonic clock. Minus infinity before the first such write. */
  get measuredAt(): number {
    return this.#measuredAt;
  }

  /** Records a report of the replica. `usualLagMs` is the present estimate of its lag. */
  observe(report: Progress, usualLagMs: number): void {
    const before = this.#last;
    const hasMoved = this.#moved === undefined || report.offset !== this.#moved.offset;
    this.#last = report;
    if (hasMoved) [this.#moved, this.#usualLagMs] = [report, usualLagMs];
    if (hasMoved && before !== undefined && showsLag(before, report)) this.#measuredAt = report.at;
    // While a replica lacks nothing, its rate is only that of the primary, so the measurement starts over.
    const isNew = this.#first === undefined || report.offset <= this.#first.offset || !report.lagMs;
    if (isNew) this.#first = report;
    if (isNew || this.#middle === undefined) this.#middle = report;
    else if (report.at - this.#middle.at > windowMs) {
      this.#first = this.#middle;
      this.#middle = report;
    }
  }

  /** When the replica was first seen at its present offset, on the monotonic clock. Minus infinity before its first report. */
  get standsSince(): number {
    return this.#moved?.at ?? Number.NEGATIVE_INFINITY;
  }

  /** The pace of the replica. Undefined unless the replica has recently moved while it was behind. */
  get pace(): ApplyPace | undefined {
    const [first, moved] = [this.#first, this.#moved];
    if (first === undefined || moved === undefined || (this.#last?.at ?? 0) - moved.at > windowMs / 2)
      return undefined;
    const [bytes, ms] = [moved.offset - first.offset, moved.at - first.at];
    if (bytes <= 0 || ms < shortestMs) return undefined;
    return { bytesPerMs: bytes / ms, lagGrowth: ((moved.lagMs ?? 0) - (first.lagMs ?? 0)) / ms };
  }
}

/**
 * Whether two reports in a row bound the lag closely. The lower bound is the age of the oldest write that a report lacks. The upper
 * bound is the age of a write that has arrived by the second report.
 */
function showsLag(before: Progress, said: Progress): boolean {
  const leastMs = Math.max(before.lagMs ?? 0, said.lagMs ?? 0);
  const ageMs = before.lagMs ? before.lagMs + said.at - before.at : Number.POSITIVE_INFINITY;
  return Math.min(ageMs, said.newestMs) <= 2 * leastMs + closeMs;
}
