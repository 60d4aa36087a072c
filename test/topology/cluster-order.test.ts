/** Unawaited commands keep their order while a cluster redirects them from one node to another. */
import type { Redis } from "ioredis";
import { describe, expect, it } from "vitest";
import type { Tidemark } from "../../src/index.js";
import { SLOTS } from "../support/commands/hash-slot.js";
import { keyIn, stageCluster } from "../support/stages/staged-cluster.js";
import { waitUntil } from "../support/wait-until.js";

const stage = stageCluster({ shards: 2, fresh: true });

/** Two commands given in one turn; the second one must bring what the first one has left. */
const pairs: Readonly<Record<string, (redis: Redis, key: string, n: number) => readonly [unknown, unknown]>> =
  {
    "set and get": (redis, key, n) => [Promise.all([redis.set(key, n), redis.get(key)]), ["OK", String(n)]],
    "set and mget": (redis, key, n) => [
      Promise.all([redis.set(key, n), redis.mget(key)]),
      ["OK", [String(n)]],
    ],
    "del and exists": (redis, key) => [
      Promise.all([redis.set(key, 1), redis.del(key), redis.exists(key)]),
      ["OK", 1, 0],
    ],
    "two writes and a pipeline": (redis, key, n) => [
      Promise.all([redis.set(key, n), redis.incr(key), redis.pipeline().get(key).incr(key).get(key).exec()]),
      [
        "OK",
        n + 1,
        [
          [null, String(n + 1)],
          [null, n + 2],
          [null, String(n + 2)],
        ],
      ],
    ],
    "writes and reads of several keys": (redis, key, n) => [
      Promise.all([
        redis.mset(`${key}a`, n, `${key}b`, n),
        redis.get(`${key}a`),
        redis.mget(`${key}b`, `${key}a`),
      ]),
      ["OK", String(n), [String(n), String(n)]],
    ],
    "a write and a read in a later turn": (redis, key, n) => {
      const later = () => new Promise((resolve) => setImmediate(resolve));
      const reads = later().then(() => Promise.all([redis.get(key), later().then(() => redis.get(key))]));
      return [Promise.all([redis.set(key, n), reads]), ["OK", [String(n), String(n)]]];
    },
    "a transaction and a read": (redis, key, n) => [
      Promise.all([redis.multi().set(key, n).incr(key).exec(), redis.get(key)]),
      [
        [
          [null, "OK"],
          [null, n + 1],
        ],
        String(n + 1),
      ],
    ],
  };

const ways: Readonly<Record<string, (tidemark: Tidemark) => () => Redis>> = {
  "outside any session": (tidemark) => () => tidemark.redis,
  "in sessions": (tidemark) => () => tidemark.session().redis,
  "in one session": (tidemark) => {
    const { redis } = tidemark.session();
    return () => redis;
  },
};

interface Traffic {
  readonly given: number;
  /** Pairs that did not bring what they should have. */
  stop(): Promise<readonly unknown[]>;
}

/** Gives pairs of every kind, always some dozen of them in flight, each with a key of its own in `slot`. */
function startPairs(client: () => Redis, slot: number, run: string): Traffic {
  const wrong: unknown[] = [];
  let [given, isOver] = [0, false];
  const lines = Object.entries(pairs).flatMap(([what, give]) =>
    Array.from({ length: 3 }, async (_, line) => {
      for (let n = 10; !isOver; n += 10) {
        given += 1;
        const [brought, expected] = give(client(), keyIn(slot, `:${run}:${what}:${line}`), n);
        const actual = await Promise.resolve(brought).catch(String);
        if (JSON.stringify(actual) !== JSON.stringify(expected)) wrong.push({ what, actual, expected });
        await new Promise((resolve) => setImmediate(resolve));
      }
    }),
  );
  return {
    get given() {
      return given;
    },
    stop: async () => {
      isOver = true;
      await Promise.all(lines);
      return wrong;
    },
  };
}

describe.concurrent.each(Object.entries(ways))("%s", (way, clientOf) => {
  it("a read returns the write before it during failovers", async () => {
    const tidemark = await stage.open();
    // Nodes vote for a successor of the same primary once in four seconds, so each is replaced once.
    for (const slot of [1, SLOTS - 1, 1, SLOTS - 1]) {
      const [replica] = await stage.group.replicasOf(await stage.group.primaryOf(slot));
      if (replica === undefined) throw new Error("no replica");
      const traffic = startPairs(clientOf(tidemark), slot, `${way}:${replica.port}`);
      const goesOn = async (): Promise<void> => {
        const before = traffic.given;
        await waitUntil(() => traffic.given > before + 200, { what: "200 more pairs were sent" });
      };
      await goesOn();
      await stage.group.failover(replica);
      await goesOn();
      expect(await traffic.stop()).toEqual([]);
      await stage.group.ready();
    }
  });

  it("a read returns the write before it while its slot moves to and fro", async () => {
    const tidemark = await stage.open();
    const slot = 10;
    const traffic = startPairs(clientOf(tidemark), slot, way);
    const goesOn = async (): Promise<void> => {
      const before = traffic.given;
      await waitUntil(() => traffic.given > before + 100, { what: "100 more pairs were sent" });
    };
    const homes = [await stage.group.primaryOf(1), await stage.group.primaryOf(SLOTS - 1)] as const;
    for (let round = 1; round <= 6; round++) {
      await goesOn();
      const migration = await stage.group.migration(slot, homes[round % 2] ?? homes[0]);
      await migration.begin();
      await goesOn();
      await migration.moveKeys(10);
      await goesOn();
      await migration.moveKeys();
      await migration.finish();
    }
    await goesOn();
    expect(await traffic.stop()).toEqual([]);
  });
});
