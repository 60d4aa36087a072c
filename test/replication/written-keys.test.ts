/** Unions of written keys require exactly what their parts require, whichever shortcut joins them. */
import { describe, expect, it } from "vitest";
import { type Position, withPosition } from "../../src/replication/position.js";
import { WrittenKeys } from "../../src/replication/written-keys.js";
import { seeded } from "../support/load/seeded.js";

const replid = "0123456789abcdef";
const hashes = [1, 2, 3];

/** Written keys of up to three writes, some of which are below the floor. */
function someKeys(random: () => number): WrittenKeys {
  let keys = new WrittenKeys(random() < 0.5 ? 0 : Math.ceil(random() * 6), [], []);
  for (let left = Math.floor(random() * 3); left >= 0; left -= 1)
    keys = keys.with([hashes[Math.floor(random() * 3)] ?? 1], Math.ceil(random() * 12), 8);
  return keys;
}

describe("the union of written keys", () => {
  it("requires for each key what the part with the later write requires", () => {
    const random = seeded(7);
    for (let round = 0; round < 3_000; round++) {
      const [one, other] = [someKeys(random), someKeys(random)];
      const union = one.and(other, 8);
      for (const hash of [...hashes, 9])
        expect(union.requiredBy([hash])).toBe(Math.max(one.requiredBy([hash]), other.requiredBy([hash])));
      expect(union.offsets).toEqual(union.offsets.toSorted((a, b) => a - b));
    }
  });

  it("lists no key if none may be listed, and then requires everything for every key", () => {
    const random = seeded(8);
    for (let round = 0; round < 1_000; round++) {
      const [one, other] = [someKeys(random), WrittenKeys.at(Math.ceil(random() * 12), [2], 8)];
      const union = one.limited(0).and(other, 0);
      expect(union.hashes).toEqual([]);
      expect(union.floor).toBe(Math.max(one.floor, ...one.offsets, ...other.offsets));
      expect(WrittenKeys.at(3, [2], 8).and(other, 0).hashes).toEqual([]);
    }
  });
});

describe("withPosition", () => {
  it("returns the same list if the position adds nothing", () => {
    const positions: Position[] = [{ replid, offset: 10 }];
    for (const offset of [1, 9, 10])
      expect(withPosition(positions, { replid, offset, keys: WrittenKeys.at(offset, [1], 8) }, 8)).toBe(
        positions,
      );
  });

  it("keeps a position of another history beside the first", () => {
    const positions: Position[] = [{ replid, offset: 10 }];
    const other = { replid: "f".repeat(16), offset: 3 };
    expect(withPosition(positions, other, 8)).toEqual([...positions, other]);
  });
});
