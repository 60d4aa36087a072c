/** Measures how long a replica takes to reach the offsets that its primary has reported. */

/** An offset that the primary reported, and when. */
interface Sample {
  readonly offset: number;
  readonly at: number;
}

/** More samples than this are thinned out. They are only this many if the replica does not catch up for minutes. */
const mostSamples = 240;

/** Times are in milliseconds of a monotonic clock. */
export class CatchUp {
  #replid: string | undefined;
  #missing: Sample[] = [];
  #lastMs = 0;

  /** Whether there is an offset of the primary that the replica has not reached. */
  get isBehind(): boolean {
    return this.#missing.length > 0;
  }

  /** How long the replica took to reach the last offset or, if it has been missing a later one for longer, that time. */
  lagMs(now: number): number {
    const [oldest] = this.#missing;
    return oldest === undefined ? this.#lastMs : Math.max(this.#lastMs, now - oldest.at);
  }

  /** The offsets of another history cannot be compared with those of this one. */
  follow(replid: string): void {
    if (replid === this.#replid) return;
    this.#replid = replid;
    this.#missing = [];
    this.#lastMs = 0;
  }

  /** Records the offsets that the primary and the replica reported when both were asked together. */
  compare(primaryOffset: number, replicaOffset: number, at: number): void {
    this.reach(replicaOffset, at);
    const latest = this.#missing.at(-1);
    if (replicaOffset >= primaryOffset) this.#lastMs = 0;
    else if (latest === undefined || latest.offset < primaryOffset) this.#expect(primaryOffset, at);
  }

  /** Records a later offset of the replica. */
  reach(offset: number, at: number): void {
    const missing = this.#missing.filter((sample) => sample.offset > offset);
    const last = this.#missing[this.#missing.length - missing.length - 1];
    if (last !== undefined) this.#lastMs = at - last.at;
    this.#missing = missing;
  }

  #expect(offset: number, at: number): void {
    this.#missing.push({ offset, at });
    if (this.#missing.length > mostSamples)
      this.#missing = this.#missing.filter((_, i, all) => i % 2 === 0 || i === all.length - 1);
  }
}
