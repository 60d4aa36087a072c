/** Records the primary's offset over time, as this process saw it, to turn an offset into an age. */
import type { Position } from "./position.js";

interface Sample {
  /** When the INFO was sent, in milliseconds on the client's monotonic clock. */
  readonly at: number;
  readonly offset: number;
  /** When the INFO was answered. */
  readonly seenAt: number;
}

const maxSamples = 12_288;

/**
 * Samples of one primary's offset. All times are `performance.now()` of this process. No server's clock is used.
 *
 * Invariant: samples are in order of time and their offsets never fall, because they belong to one history. Another history
 * starts a new list.
 */
export class OffsetTimeline {
  #replid: string | undefined;
  #samples: Sample[] = [];
  readonly #minGapMs: number;

  /** Keeps samples far enough apart that they reach back over `spanMs`. */
  constructor(spanMs: number) {
    // A full list drops its oldest quarter, so three quarters always stay. Each sample is at least a gap later than the last but
    // one, so samples are half a gap apart on average.
    this.#minGapMs = spanMs / ((maxSamples * 3) / 8);
  }

  /** The history of the samples. Undefined if there are no samples. */
  get replid(): string | undefined {
    return this.#replid;
  }

  /** The newest sample. Undefined if there are no samples. */
  get latest(): { at: number; position: Position } | undefined {
    const sample = this.#samples.at(-1);
    if (sample === undefined || this.#replid === undefined) return undefined;
    return { at: sample.at, position: { replid: this.#replid, offset: sample.offset } };
  }

  /** When the oldest sample was taken. Infinity if there are no samples. */
  get firstAt(): number {
    return this.#samples[0]?.at ?? Number.POSITIVE_INFINITY;
  }

  /** The offset of the newest sample. Minus infinity if there are no samples. */
  get latestOffset(): number {
    return this.#samples.at(-1)?.offset ?? Number.NEGATIVE_INFINITY;
  }

  /** When the newest sample was taken. Minus infinity if there are no samples. */
  get latestAt(): number {
    return this.#samples.at(-1)?.at ?? Number.NEGATIVE_INFINITY;
  }

  /** Adds the primary's answer, received at `seenAt`, to an INFO sent at `at`. */
  record(at: number, position: Position, seenAt = performance.now()): void {
    const last = this.#samples.at(-1);
    if (position.replid !== this.#replid || (last !== undefined && position.offset < last.offset)) {
      this.#replid = position.replid;
      this.#samples = [{ at, offset: position.offset, seenAt }];
      return;
    }
    if (last !== undefined && at < last.at) return;
    const before = this.#samples.at(-2);
    // If a sample is dropped, ages can only be overestimated, which is safe.
    if (before !== undefined && at - before.at < this.#minGapMs) this.#samples.pop();
    this.#samples.push({ at, offset: position.offset, seenAt });
    if (this.#samples.length > maxSamples) this.#samples = this.#samples.slice(maxSamples / 4);
  }

  /** The latest known moment before which all finished writes are included at `position`. Undefined if that cannot be proven. */
  asOf(position: Position): number | undefined {
    if (position.replid !== this.#replid) return undefined;
    return this.#samples[this.#firstAbove(position.offset) - 1]?.at;
  }

  /** An offset that includes every write finished by `moment`. Undefined if all samples are older than `moment`. */
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

  /**
   * The time by which all writes up to `offsetAsOf(moment)` had been made. Returns `moment` if all samples are older than
   * `moment`.
   */
  madeAsOf(moment: number): number {
    const offset = moment === Number.NEGATIVE_INFINITY ? undefined : this.offsetAsOf(moment);
    return offset === undefined ? moment : (this.#samples[this.#firstAbove(offset - 1)]?.seenAt ?? moment);
  }

  /**
   * The time by which the primary had reported an offset beyond `position`. Undefined if it has reported none, or has another
   * history.
   */
  passedAt(position: Position): number | undefined {
    if (position.replid !== this.#replid) return undefined;
    return this.#samples[this.#firstAbove(position.offset)]?.seenAt;
  }

  /**
   * The time by which the primary had reported that it has reached `position`. Undefined if it has not reported this, or has
   * another history.
   */
  reachedAt(position: Position): number | undefined {
    return this.passedAt({ replid: position.replid, offset: position.offset - 1 });
  }

  /** The time by which the newest write included at `position` had been made. Undefined if that is unknown. */
  newestWriteAt(position: Position): number | undefined {
    if (position.replid !== this.#replid) return undefined;
    const newest = this.#samples[this.#firstAbove(position.offset) - 1];
    return newest && this.reachedAt({ replid: position.replid, offset: newest.offset });
  }

  /** The smallest and the largest possible lag of a server that was at `position` at the time `at`. */
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
