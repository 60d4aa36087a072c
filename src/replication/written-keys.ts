/** Records which keys were touched by the writes up to a position. */

/**
 * The latest writes by the hashes of their keys. For all other writes, only the highest offset is kept. All offsets are in the
 * history of the position that these keys belong to. Two keys with the same hash are treated as one key, so a collision can only
 * make a read require more than necessary.
 */
export class WrittenKeys {
  /** Every unlisted write is at or below this offset. 0 if all writes are listed. */
  readonly floor: number;
  /** Each hash once, in the order of the offsets. */
  readonly hashes: readonly number[];
  /** The offset of the latest write of each hash, in ascending order. All are above the floor. */
  readonly offsets: readonly number[];

  constructor(floor: number, hashes: readonly number[], offsets: readonly number[]) {
    this.floor = floor;
    this.hashes = hashes;
    this.offsets = offsets;
  }

  /** The keys of one write at `offset`. If there are more than `max`, none is listed. */
  static at(offset: number, hashes: readonly number[], max: number): WrittenKeys {
    const once = hashes.length > 1 ? [...new Set(hashes)] : hashes;
    if (once.length > max) return new WrittenKeys(offset, [], []);
    return new WrittenKeys(
      0,
      once,
      once.map(() => offset),
    );
  }

  /** The offset that a replica needs before it may answer a read of these keys. 0 if any replica may answer. */
  requiredBy(hashes: readonly number[]): number {
    // The offsets ascend, so the search begins with the latest write.
    for (let i = this.hashes.length - 1; i >= 0; i -= 1)
      if (hashes.includes(this.hashes[i] ?? -1)) return this.offsets[i] ?? 0;
    return this.floor;
  }

  /** A copy that includes a write at `offset`. The offset may be above or below the others. At most `max` hashes are kept. */
  with(written: readonly number[], offset: number, max: number): WrittenKeys {
    if (offset <= this.floor) return this;
    if (written.length === 1 && this.hashes.length === 1 && written[0] === this.hashes[0] && max > 0)
      return offset <= (this.offsets[0] ?? 0) ? this : new WrittenKeys(this.floor, this.hashes, [offset]);
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

  /** A copy that also includes all writes of `others`. */
  and(others: WrittenKeys, max: number): WrittenKeys {
    const [hash] = others.hashes;
    // A session often writes the same key again.
    if (others.floor <= this.floor && others.hashes.length === 1 && hash !== undefined)
      return this.with(others.hashes, others.offsets[0] ?? 0, max);
    let all = this.above(others.floor);
    for (const [i, hash] of others.hashes.entries()) all = all.with([hash], others.offsets[i] ?? 0, max);
    return all;
  }

  /** A copy in which all writes up to `floor` are unlisted. */
  above(floor: number): WrittenKeys {
    if (floor <= this.floor) return this;
    const first = this.offsets.findIndex((offset) => offset > floor);
    const from = first < 0 ? this.offsets.length : first;
    return new WrittenKeys(floor, this.hashes.slice(from), this.offsets.slice(from));
  }

  /** A copy with at most `max` hashes. */
  limited(max: number): WrittenKeys {
    return limited(this.floor, this.hashes, this.offsets, max);
  }

  /** A copy in which all writes are at `offset`, which must be above all present offsets. */
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

  /** Whether a read that requires these writes also requires all of `others`. */
  includes(others: WrittenKeys): boolean {
    if (this.floor < others.floor) return false;
    return others.hashes.every((hash, i) => this.requiredBy([hash]) >= (others.offsets[i] ?? 0));
  }
}

/** If there are more than `max` hashes, the oldest become unlisted. */
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
