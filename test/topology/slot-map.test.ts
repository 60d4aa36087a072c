import { beforeEach, describe, expect, it } from "vitest";
import type { Shard } from "../../src/shard/shard.js";
import { SlotMap, type SlotOwner } from "../../src/topology/slot-map.js";

const shard = (): Shard => {
  const one = {
    slotsGainedAt: Number.NEGATIVE_INFINITY,
    gainedSlots: (at: number): void => {
      one.slotsGainedAt = at;
    },
  };
  return one as unknown as Shard;
};
const claim = (epoch: number, ...ranges: [number, number][]): SlotOwner => {
  return { primary: { host: "10.0.0.1", port: 7000 }, replicas: [], epoch, ranges };
};

let map: SlotMap;
let a: Shard;
let b: Shard;

beforeEach(() => {
  [map, a, b] = [new SlotMap(), shard(), shard()];
  map.assign(a, claim(1, [0, 99]), 10);
  map.assign(b, claim(2, [100, 199]), 10);
});

describe("SlotMap", () => {
  it("knows the shard of each slot, and gives any shard for a slot without an owner", () => {
    expect([0, 99, 100, 199].map((slot) => map.shardOf(slot))).toEqual([a, a, b, b]);
    expect([a, b]).toContain(map.shardOf(5_000));
    expect([a, b]).toContain(map.shardOf(undefined));
    expect(new SlotMap().shardOf(0)).toBeUndefined();
  });

  it("trusts the greater epoch, in any order of arrival", () => {
    map.assign(b, claim(5, [50, 60]), 20);
    map.assign(a, claim(1, [0, 99]), 30);
    expect([49, 50, 60, 61].map((slot) => map.shardOf(slot))).toEqual([a, b, b, a]);
    expect(map.isNewer(claim(4, [50, 60]))).toBe(false);
    expect(map.isNewer(claim(5, [50, 60]))).toBe(true);
  });

  it("records when a shard has gained slots", () => {
    map.assign(a, claim(1, [0, 99]), 20);
    expect([a.slotsGainedAt, b.slotsGainedAt]).toEqual([10, 10]);
    map.assign(b, claim(3, [0, 0]), 30);
    expect([a.slotsGainedAt, b.slotsGainedAt]).toEqual([10, 30]);
  });

  it("treats a slot with a new epoch as one that may have been away and come back", () => {
    map.assign(a, claim(4, [0, 99]), 20);
    expect(a.slotsGainedAt).toBe(20);
  });

  it("follows a server's redirection until a newer claim arrives", () => {
    map.move(5, b);
    expect(map.shardOf(5)).toBe(b);
    expect(b.slotsGainedAt).toBeGreaterThan(10);
    map.assign(a, claim(1, [0, 99]), 20);
    expect(map.shardOf(5)).toBe(a);
  });

  it("finds the shard of a server, and prefers the shard where that server is the primary", () => {
    const [heir, other] = [
      { host: "10.0.0.1", port: 7000 },
      { host: "10.0.0.2", port: 7000 },
    ];
    const of = (primary: object, ...all: object[]): Shard =>
      ({
        primary,
        find: (server: object) => all.find((one) => one === server),
        gainedSlots: () => {},
      }) as unknown as Shard;
    const [left, taken] = [of(other, other, heir), of(heir, heir)];
    map = new SlotMap();
    map.assign(left, claim(1, [0, 99]), 10);
    expect([heir, other].map((server) => map.shardAt(server))).toEqual([left, left]);
    map.assign(taken, claim(2, [100, 199]), 10);
    expect([heir, other].map((server) => map.shardAt(server))).toEqual([taken, left]);
    expect(map.shardAt({ host: "10.0.0.3", port: 7000 })).toBeUndefined();
  });

  it("takes linear time when all slots move", () => {
    const timeOf = (slots: number): number => {
      const times = Array.from({ length: 15 }, () => {
        map = new SlotMap();
        map.assign(a, claim(1, [0, slots - 1]), 10);
        const since = performance.now();
        const left = map.assign(b, claim(2, [0, slots - 1]), 20);
        const took = performance.now() - since;
        expect(left.get(a)).toHaveLength(slots);
        return took;
      });
      return Math.min(...times);
    };
    timeOf(1_024);
    // Copies of a list that grows would make it 256 times as long.
    expect(timeOf(8_192) / Math.max(timeOf(512), 0.02)).toBeLessThan(100);
  });

  it("forgets shards that serve no slot any more", () => {
    map.assign(b, claim(3, [0, 99]), 20);
    expect(map.prune()).toEqual([a]);
    expect(map.shards).toEqual([b]);
    expect(map.prune()).toEqual([]);
  });
});
