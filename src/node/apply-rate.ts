/** How fast a replica applies what it lacks, and how long that usually takes, by its last words: it supports estimates, never proofs. */

/** What a replica has said of itself. */
interface Progress {
  /** When it was asked, on the monotonic clock. */
  readonly at: number;
  readonly offset: number;
  /** For how long it has lacked what comes next; 0 where it is not known to lack anything, undefined where only a least is known. */
  readonly lagMs: number | undefined;
  /** How long ago the newest write that it has was made, as far as that is known. */
  readonly newestMs: number;
}

/** What was seen of a replica that was behind and moved. */
export interface ApplyPace {
  readonly bytesPerMs: number;
  /** By how many milliseconds its lag grows in one: 1 for a replica that stands still, below 0 for one that catches up. */
  readonly lagGrowth: number;
}

/** Between once and twice this long is looked back; half of it without a move is a standstill. */
const windowMs = 250;
/** In less time than this a single command, which is applied all at once, may be all that was seen. */
const shortestMs = 50;
/** Two words this far apart show the lag well enough, whatever it is; others only if it is within a factor of two. */
const closeMs = 10;

/** The rate is that between two words, of which the latter is the last that showed a move: it says nothing of a pause since. */
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

  /** Takes in a replica's word; `usualLagMs` is the present estimate of its lag. */
  observe(said: Progress, usualLagMs: number): void {
    const before = this.#last;
    const hasMoved = this.#moved === undefined || said.offset !== this.#moved.offset;
    this.#last = said;
    if (hasMoved) [this.#moved, this.#usualLagMs] = [said, usualLagMs];
    if (hasMoved && before !== undefined && showsLag(before, said)) this.#measuredAt = said.at;
    // Of a replica that lacks nothing only the primary's rate could be measured.
    const isNew = this.#first === undefined || said.offset <= this.#first.offset || !said.lagMs;
    if (isNew) this.#first = said;
    if (isNew || this.#middle === undefined) this.#middle = said;
    else if (said.at - this.#middle.at > windowMs) {
      this.#first = this.#middle;
      this.#middle = said;
    }
  }

  /** When it was first seen at its present offset, on the monotonic clock; minus infinity before it was seen. */
  get standsSince(): number {
    return this.#moved?.at ?? Number.NEGATIVE_INFINITY;
  }

  /** Undefined unless it was seen to move lately while it was behind. */
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
