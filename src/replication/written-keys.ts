/** Which keys the writes up to a position touched. */

/**
 * The latest writes by the hashes of their keys, and of all others only how far they come. Offsets are those of the history
 * that the position is in. Two keys with one hash count as one key, so a collision only asks for more than is needed.
 */
export class WrittenKeys {
  /** Every write that is not listed is at or below this offset; 0 when all are listed. */
  readonly floor: number;
  /** Each hash once, in the order of the offsets. */
  readonly hashes: readonly number[];
  /** The offset of the latest write of each hash, in ascending order, all above the floor. */
  readonly offsets: readonly number[];

  constructor(floor: number, hashes: readonly number[], offsets: readonly number[]) {
    this.floor = floor;
    this.hashes = hashes;
    this.offsets = offsets;
  }

  /** Those of one write. */
  static at(offset: number, hashes: readonly number[], max: number): WrittenKeys {
    const once = hashes.length > 1 ? [...new Set(hashes)] : hashes;
    if (once.length > max) return new WrittenKeys(offset, [], []);
    return new WrittenKeys(
      0,
      once,
      once.map(() => offset),
    );
  }

  /** The offset that a reader of these keys has to have; 0 for any. */
  requiredBy(hashes: readonly number[]): number {
    // The latest is the greatest.
    for (let i = this.hashes.length - 1; i >= 0; i -= 1)
      if (hashes.includes(this.hashes[i] ?? -1)) return this.offsets[i] ?? 0;
    return this.floor;
  }

  /** With a write at `offset`, which may be above or below the others; at most `max` hashes are kept. */
  with(written: readonly number[], offset: number, max: number): WrittenKeys {
    if (offset <= this.floor) return this;
    const [hashes, offsets] = [[...this.hashes], [...this.offsets]];
    for (const hash of written) {
      const known = hashes.indexOf(hash);
      if (known >= 0 && (offsets[known] ?? 0) >= offset) continue;
      if (known >= 0) {
        hashes.splice(known, 1);
        offsets.splice(known, 1);
      }
      let at = offsets.length;
      while (at > 0 && (offsets[at - 1] ?? 0) > offset) at -= 1;
      hashes.splice(at, 0, hash);
      offsets.splice(at, 0, offset);
    }
    return limited(this.floor, hashes, offsets, max);
  }

  /** With all writes of `others` too. */
  and(others: WrittenKeys, max: number): WrittenKeys {
    let all = this.above(others.floor);
    for (const [i, hash] of others.hashes.entries()) all = all.with([hash], others.offsets[i] ?? 0, max);
    return all;
  }

  /** With every write up to `floor` unlisted. */
  above(floor: number): WrittenKeys {
    if (floor <= this.floor) return this;
    const first = this.offsets.findIndex((offset) => offset > floor);
    const from = first < 0 ? this.offsets.length : first;
    return new WrittenKeys(floor, this.hashes.slice(from), this.offsets.slice(from));
  }

  /** With at most `max` hashes. */
  limited(max: number): WrittenKeys {
    return limited(this.floor, this.hashes, this.offsets, max);
  }

  /** All of them as if they were written at `offset`, which is above every one. */
  movedTo(offset: number): WrittenKeys {
    const floor = this.floor > 0 ? offset : 0;
    return floor > 0
      ? new WrittenKeys(floor, [], [])
      : new WrittenKeys(
          0,
          this.hashes,
          this.hashes.map(() => offset),
        );
  }

  /** Whether a read that requires these requires all of `others`. */
  includes(others: WrittenKeys): boolean {
    if (this.floor < others.floor) return false;
    return others.hashes.every((hash, i) => this.requiredBy([hash]) >= (others.offsets[i] ?? 0));
  }
}

/** The oldest of more than `max` become unlisted. */
function limited(
  floor: number,
  hashes: readonly number[],
  offsets: readonly number[],
  max: number,
): WrittenKeys {
  const keys = new WrittenKeys(floor, hashes, offsets);
  const last = offsets[offsets.length - max - 1];
  return last === undefined ? keys : keys.above(last);
}
