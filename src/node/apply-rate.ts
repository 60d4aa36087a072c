/** How fast a replica applies the writes that it lacks, and how long that usually takes, by its latest reports. This supports estimates, never proofs. */

/** One report of a replica. */
interface Progress {
  /** When the replica was asked, on the monotonic clock. */
  readonly at: number;
  readonly offset: number;
  /** For how long it has lacked the next write. 0 if it is not known to lack one, undefined if only a lower bound is known. */
  readonly lagMs: number | undefined;
  /** How long ago the newest write that it has was made, as far as that is known. */
  readonly newestMs: number;
}

/** How fast a replica moved while it was behind. */
export interface ApplyPace {
  readonly bytesPerMs: number;
  /** How much its lag grows per millisecond: 1 for a replica that stands still, below 0 for one that catches up. */
  readonly lagGrowth: number;
}

/** The rate covers between once and twice this time. A replica that has not moved for half of it stands still. */
const windowMs = 250;
/** A shorter measurement may cover only a single command, which is applied all at once. */
const shortestMs = 50;
/** Two words this far apart show the lag well enough, whatever it is; others only if it is within a factor of two. */
const closeMs = 10;

/** The rate is measured between two reports. The later one is the last that showed a move: a later pause does not count. */
export class ApplyRate {
  #first: Progress | undefined;
  #middle: Progress | undefined;
  #moved: Progress | undefined;
  #last: Progress | undefined;
  #measuredAt = Number.NEGATIVE_INFINITY;
  #usualLagMs = 0;

  /**
   * Its usual lag in milliseconds, by the estimate of when it last moved: what it lacks since says nothing of that. Undefined
   * before a write was seen to arrive.
   */
  get usualLagMs(): number | undefined {
    return this.#measuredAt === Number.NEGATIVE_INFINITY ? undefined : this.#usualLagMs;
  }

  /** When a write was last seen to arrive, on the monotonic clock; minus infinity before the first. */
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
    // While a replica lacks nothing, its rate is that of the primary.
    const isNew = this.#first === undefined || report.offset <= this.#first.offset || !report.lagMs;
    if (isNew) this.#first = report;
    if (isNew || this.#middle === undefined) this.#middle = report;
    else if (report.at - this.#middle.at > windowMs) {
      this.#first = this.#middle;
      this.#middle = report;
    }
  }

  /** When it was first seen at its present offset, on the monotonic clock. Minus infinity before its first report. */
  get standsSince(): number {
    return this.#moved?.at ?? Number.NEGATIVE_INFINITY;
  }

  /** Undefined unless it has recently moved while it was behind. */
  get pace(): ApplyPace | undefined {
    const [first, moved] = [this.#first, this.#moved];
    if (first === undefined || moved === undefined || (this.#last?.at ?? 0) - moved.at > windowMs / 2)
      return undefined;
    const [bytes, ms] = [moved.offset - first.offset, moved.at - first.at];
    if (bytes <= 0 || ms < shortestMs) return undefined;
    return { bytesPerMs: bytes / ms, lagGrowth: ((moved.lagMs ?? 0) - (first.lagMs ?? 0)) / ms };
  }
}

/** Whether two words show how long a write took that was there by the second: between its age at the first and then. */
function showsLag(before: Progress, said: Progress): boolean {
  const leastMs = Math.max(before.lagMs ?? 0, said.lagMs ?? 0);
  const ageMs = before.lagMs ? before.lagMs + said.at - before.at : Number.POSITIVE_INFINITY;
  return Math.min(ageMs, said.newestMs) <= 2 * leastMs + closeMs;
}
