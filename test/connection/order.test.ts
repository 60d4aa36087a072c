/** Unawaited commands run in the order of the calls, in whatever way each was called. */
import type { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Session, Tidemark } from "../../src/index.js";
import { type ReplicationGroup, startReplicationGroup } from "../support/servers/replication-group.js";
import { replicasAreEligible } from "../support/stages/eligible-replicas.js";
import { openTidemark } from "../support/stages/open-tidemark.js";

let group: ReplicationGroup;
let tidemark: Tidemark;

beforeAll(async () => {
  group = await startReplicationGroup({ replicas: 1 });
  tidemark = openTidemark(group);
  await replicasAreEligible(tidemark);
  tidemark.redis.defineCommand("raise", { numberOfKeys: 1, lua: "return redis.call('incr', KEYS[1])" });
});

afterAll(async () => {
  await tidemark?.close();
  await group?.stop();
});

/** A way to give commands, and what it changes a number into and brings when the number was `n` before. */
interface Way {
  readonly give: (redis: Redis, key: string) => Promise<unknown>;
  readonly leaves: (n: number) => { readonly n: number; readonly brings: unknown };
}

/** A command that changes nothing and returns the number. */
const reading = (give: Way["give"]): Way => ({ give, leaves: (n) => ({ n, brings: String(n) }) });

const ways: Readonly<Record<string, Way>> = {
  incr: { give: (redis, key) => redis.incr(key), leaves: (n) => ({ n: n + 1, brings: n + 1 }) },
  set: { give: (redis, key) => redis.set(key, 7), leaves: () => ({ n: 7, brings: "OK" }) },
  getset: { give: (redis, key) => redis.set(key, 9, "GET"), leaves: (n) => ({ n: 9, brings: String(n) }) },
  get: reading((redis, key) => redis.get(key)),
  call: reading((redis, key) => redis.call("GET", key)),
  getBuffer: reading(async (redis, key) => String(await redis.getBuffer(key))),
  mget: reading(async (redis, key) => (await redis.mget(key))[0]),
  callback: reading(
    (redis, key) => new Promise((resolve) => redis.get(key, (_error, value) => resolve(value))),
  ),
  "a script that reads": reading((redis, key) => redis.eval("return redis.call('get', KEYS[1])", 1, key)),
  "a script that only reads": reading((redis, key) =>
    redis.eval_ro("return redis.call('get', KEYS[1])", 1, key),
  ),
  "a script of the app": {
    give: (redis, key) => Reflect.get(redis, "raise").call(redis, key),
    leaves: (n) => ({ n: n + 1, brings: n + 1 }),
  },
  "a pipeline of reads": {
    give: (redis, key) => redis.pipeline().get(key).strlen(key).exec(),
    leaves: (n) => ({
      n,
      brings: [
        [null, String(n)],
        [null, String(n).length],
      ],
    }),
  },
  "a pipeline": {
    give: (redis, key) => redis.pipeline().get(key).incr(key).get(key).exec(),
    leaves: (n) => ({
      n: n + 1,
      brings: [
        [null, String(n)],
        [null, n + 1],
        [null, String(n + 1)],
      ],
    }),
  },
  "a transaction": {
    give: (redis, key) => redis.multi().incrby(key, 2).get(key).exec(),
    leaves: (n) => ({
      n: n + 2,
      brings: [
        [null, n + 2],
        [null, String(n + 2)],
      ],
    }),
  },
  "a transaction of reads": {
    give: (redis, key) => redis.multi().get(key).exec(),
    leaves: (n) => ({ n, brings: [[null, String(n)]] }),
  },
};

/** The clients that one request may use beside each other. */
const clients: Readonly<Record<string, (session: Session) => readonly Redis[]>> = {
  "tidemark.redis": () => [tidemark.redis],
  "session.redis": (session) => [session.redis],
  "session.at(level)": (session) => [
    session.at("session"),
    session.at("strong"),
    session.at({ maxStalenessMs: 500 }),
  ],
  "all of them by turns": (session) => [
    tidemark.redis,
    session.redis,
    session.at("strong"),
    tidemark.redis.at("session"),
  ],
};

/** Numbers below `limit` that look like chance and are the same in every run. */
function chance(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
}

/** Gives a write and ten commands at random behind it, without waiting; what differs from what they should bring. */
async function disorder(redis: readonly Redis[], key: string, seed: number): Promise<readonly unknown[]> {
  const next = chance(seed);
  const names = Object.keys(ways);
  const given: { readonly name: string; readonly brings: unknown; readonly brought: Promise<unknown> }[] = [];
  let n = 7;
  // Reads that are in front of every write may be answered elsewhere, and then later than what follows.
  for (const name of ["set", ...Array.from({ length: 10 }, () => names[next(names.length)] ?? "get")]) {
    const client = redis[next(redis.length)];
    const way = ways[name];
    if (client === undefined || way === undefined) throw new Error(`there is no ${name}`);
    const after = way.leaves(n);
    n = after.n;
    given.push({ name, brings: after.brings, brought: way.give(client, key) });
  }
  const brought = await Promise.all(given.map((one) => one.brought));
  const expected = given.map(({ name, brings }) => ({ seed, name, value: brings }));
  const actual = given.map(({ name }, index) => ({ seed, name, value: brought[index] }));
  return JSON.stringify(actual) === JSON.stringify(expected) ? [] : [{ actual, expected }];
}

describe.each(Object.entries(clients))("through %s", (name, of) => {
  it("an unawaited read returns the write before it", async () => {
    const session = tidemark.session();
    await tidemark.run(session, async () => {
      for (const redis of of(session)) {
        const given = [redis.set("k", 1), redis.get("k"), redis.set("k", 2), redis.get("k")];
        expect(await Promise.all(given)).toEqual(["OK", "1", "OK", "2"]);
      }
    });
  });

  it("250 interleavings of single commands, batches and scripts keep their order", async () => {
    const found: unknown[] = [];
    const requests = Array.from({ length: 25 }, async (_, request) => {
      for (let round = 0; round < 10; round++) {
        const session = tidemark.session();
        const key = `${name}:${request}`;
        found.push(
          ...(await tidemark.run(session, () => disorder(of(session), key, request * 1_000 + round))),
        );
      }
    });
    await Promise.all(requests);
    expect(found).toEqual([]);
  });
});

describe("through tidemark.redis outside any session", () => {
  it("reads and writes keep their order, whichever comes first", async () => {
    const { redis } = tidemark;
    await redis.set("first", 0);
    const given = Array.from({ length: 500 }, () => [redis.get("first"), redis.incr("first")]).flat();
    const expected = Array.from({ length: 500 }, (_, n) => [String(n), n + 1]).flat();
    expect(await Promise.all(given)).toEqual(expected);
  });

  it("250 interleavings keep their order", async () => {
    const requests = Array.from({ length: 250 }, (_, seed) =>
      disorder([tidemark.redis], `outside:${seed}`, seed),
    );
    expect((await Promise.all(requests)).flat()).toEqual([]);
  });
});
