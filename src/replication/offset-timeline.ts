/** The primary's offset over time, as this process saw it: what turns an offset into an age. */
import type { Position } from "./position.js";

interface Sample {
  /** Client time in milliseconds, on the monotonic clock, before the INFO was sent. */
  readonly at: number;
  readonly offset: number;
  /** When it was answered. */
  readonly seenAt: number;
}

const maxSamples = 12_288;

/**
 * Samples of one primary's offset. All times are `performance.now()` of this process: no server's clock is used.
 *
 * Invariant: samples are in order of time, and their offsets never fall, because they belong to one history;
 * another history begins the list again.
 */
export class OffsetTimeline {
  #replid: string | undefined;
  #samples: Sample[] = [];
  readonly #minGapMs: number;

  /** Keeps samples at least so far apart that they reach back over `spanMs`. */
  constructor(spanMs: number) {
    // Three quarters always stay, and neighbours are at least half a gap apart.
    this.#minGapMs = spanMs / ((maxSamples * 3) / 8);
  }

  /** The history that the samples are of; undefined when there are none. */
  get replid(): string | undefined {
    return this.#replid;
  }

  /** The newest sample, if any. */
  get latest(): { at: number; position: Position } | undefined {
    const sample = this.#samples.at(-1);
    if (sample === undefined || this.#replid === undefined) return undefined;
    return { at: sample.at, position: { replid: this.#replid, offset: sample.offset } };
  }

  /** When the oldest sample was taken; infinity when there is none. */
  get firstAt(): number {
    return this.#samples[0]?.at ?? Number.POSITIVE_INFINITY;
  }

  /** The offset of the newest sample; minus infinity when there is none. */
  get latestOffset(): number {
    return this.#samples.at(-1)?.offset ?? Number.NEGATIVE_INFINITY;
  }

  /** When the newest sample was taken; minus infinity when there is none. */
  get latestAt(): number {
    return this.#samples.at(-1)?.at ?? Number.NEGATIVE_INFINITY;
  }

  /** Adds what the primary answered, at `seenAt`, to an INFO sent at `at`. */
  record(at: number, position: Position, seenAt = performance.now()): void {
    const last = this.#samples.at(-1);
    if (position.replid !== this.#replid || (last !== undefined && position.offset < last.offset)) {
      this.#replid = position.replid;
      this.#samples = [{ at, offset: position.offset, seenAt }];
      return;
    }
    if (last !== undefined && at < last.at) return;
    const before = this.#samples.at(-2);
    // Dropping a sample can only make an age larger, which is the safe side.
    if (before !== undefined && at - before.at < this.#minGapMs) this.#samples.pop();
    this.#samples.push({ at, offset: position.offset, seenAt });
    if (this.#samples.length > maxSamples) this.#samples = this.#samples.slice(maxSamples / 4);
  }

  /** The moment whose every finished write is included at `position`; undefined when that cannot be proven. */
  asOf(position: Position): number | undefined {
    if (position.replid !== this.#replid) return undefined;
    return this.#samples[this.#firstAbove(position.offset) - 1]?.at;
  }

  /** The offset that includes every write finished by `moment`; undefined when no sample is as young as that. */
  offsetAsOf(moment: number): number | undefined {
    let low = 0;
    let high = this.#samples.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#samples[middle]?.at ?? 0) < moment) low = middle + 1;
      else high = middle;
    }
    return this.#samples[low]?.offset;
  }

  /** By when all that {@link offsetAsOf} gives for `moment` had been written; `moment` itself where no sample is as young as that. */
  madeAsOf(moment: number): number {
    const offset = moment === Number.NEGATIVE_INFINITY ? undefined : this.offsetAsOf(moment);
    return offset === undefined ? moment : (this.#samples[this.#firstAbove(offset - 1)]?.seenAt ?? moment);
  }

  /** The moment by which the primary was seen past `position`; undefined when it was not, or not in this history. */
  passedAt(position: Position): number | undefined {
    if (position.replid !== this.#replid) return undefined;
    return this.#samples[this.#firstAbove(position.offset)]?.seenAt;
  }

  /** The moment by which the primary was seen to have reached `position`; undefined in the same cases. */
  reachedAt(position: Position): number | undefined {
    return this.passedAt({ replid: position.replid, offset: position.offset - 1 });
  }

  /** The moment by which the newest write that is included at `position` had been made; undefined when unknown. */
  newestWriteAt(position: Position): number | undefined {
    if (position.replid !== this.#replid) return undefined;
    const newest = this.#samples[this.#firstAbove(position.offset) - 1];
    return newest && this.reachedAt({ replid: position.replid, offset: newest.offset });
  }

  /** The least and the most that the lag of a server was which was seen at `position` at `at`. */
  lagOf(position: Position, at: number): readonly [atLeastMs: number, atMostMs: number] {
    const missingSince = this.passedAt(position) ?? at;
    return [at - missingSince, at - (this.newestWriteAt(position) ?? Number.NEGATIVE_INFINITY)];
  }

  #firstAbove(offset: number): number {
    let low = 0;
    let high = this.#samples.length;
    if ((this.#samples[high - 1]?.offset ?? 0) <= offset) return high;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#samples[middle]?.offset ?? 0) <= offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
