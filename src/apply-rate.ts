/** How fast a replica applies what it lacks, by its last words: it supports estimates, never proofs. */

/** What a replica has said of itself. */
interface Progress {
  /** When it was asked, on the monotonic clock. */
  readonly at: number;
  readonly offset: number;
  /** For how long it has lacked what comes next, at least; 0 where it is not known to lack anything. */
  readonly lagMs: number;
}

/** What was seen of a replica that was behind and moved. */
export interface Pace {
  readonly bytesPerMs: number;
  /** By how many milliseconds its lag grows in one: 1 for a replica that stands still, below 0 for one that catches up. */
  readonly lagGrowth: number;
}

/** Between once and twice this long is looked back. */
const windowMs = 250;

/** Three of a replica's last words: the rate between the first and the last is that of now, and a pause ends it. */
export class ApplyRate {
  #first: Progress | undefined;
  #middle: Progress | undefined;
  #last: Progress | undefined;
  /** When it was first seen at its present offset, on the monotonic clock; minus infinity before it was seen. */
  standsSince = Number.NEGATIVE_INFINITY;
  /** Its usual lag in milliseconds, by the estimate of when it last moved: what it lacks since says nothing of that. */
  usualLagMs = 0;

  /** Takes in a replica's word; `usualLagMs` is the present estimate of its lag. */
  observe(said: Progress, usualLagMs: number): void {
    const last = this.#last;
    const hasMoved = last === undefined || said.offset !== last.offset;
    if (hasMoved) this.standsSince = said.at;
    if (hasMoved || said.lagMs === 0) this.usualLagMs = usualLagMs;
    const hasGoneBack = last !== undefined && said.offset < last.offset;
    // Of a replica that lacks nothing only the primary's rate could be measured.
    if (hasGoneBack || said.lagMs === 0 || this.#first === undefined || said.offset === this.#first.offset) {
      this.#first = said;
      this.#middle = said;
    } else if (this.#middle !== undefined && said.at - this.#middle.at > windowMs) {
      this.#first = this.#middle;
      this.#middle = said;
    }
    this.#last = said;
  }

  /** Undefined unless it was seen to move while it was behind. */
  get pace(): Pace | undefined {
    const [first, last] = [this.#first, this.#last];
    if (first === undefined || last === undefined) return undefined;
    const [bytes, ms] = [last.offset - first.offset, last.at - first.at];
    if (bytes <= 0 || ms <= 0) return undefined;
    return { bytesPerMs: bytes / ms, lagGrowth: (last.lagMs - first.lagMs) / ms };
  }
}
