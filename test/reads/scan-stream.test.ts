/** Streams of SCAN and similar commands: each stream takes all its steps on one server, or fails. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { IterationLostError, type Tidemark } from "../../src/index.js";
import { fillToScan, scannedCount } from "../support/commands/scanned-data.js";
import { listenToRoutes } from "../support/listeners/routes.js";
import { holdReplicas, releaseReplicas } from "../support/servers/held-replicas.js";
import { type ReplicationGroup, startReplicationGroup } from "../support/servers/replication-group.js";
import { replicasAreEligible } from "../support/stages/eligible-replicas.js";
import { openTidemark } from "../support/stages/open-tidemark.js";
import { waitUntil } from "../support/wait-until.js";

let group: ReplicationGroup;
let tidemark: Tidemark;

beforeEach(async () => {
  group = await startReplicationGroup({ replicas: 2 });
  await fillToScan(group);
  tidemark = openTidemark(group);
  await replicasAreEligible(tidemark);
});

afterEach(async () => {
  await tidemark.close();
  await group.stop();
});

async function all(stream: AsyncIterable<unknown[]>): Promise<unknown[]> {
  const found: unknown[] = [];
  for await (const some of stream) found.push(...some);
  return found;
}

/** How often each server has been asked for a step. */
async function steps(): Promise<number[]> {
  const servers = [group.primary, ...group.replicas.map(({ server }) => server)];
  return Promise.all(servers.map((server) => server.commandCalls("scan")));
}

/** The replica of a stream that has taken its first step. */
async function whereItBegan(): Promise<ReplicationGroup["replicas"][number]> {
  const [, ...taken] = await steps();
  const replica = group.replicas[taken.findIndex((steps) => steps > 0)];
  if (replica === undefined) throw new Error("no replica has taken a step");
  return replica;
}

describe("A scan stream", () => {
  it.each(["session", "eventual"] as const)(
    "finds every key, all on one replica, at level %s",
    async (level) => {
      const { redis } = tidemark.session({ level });
      const found = new Set<unknown>();
      for await (const keys of redis.scanStream({ match: "k*", count: 100 })) {
        for (const key of keys) found.add(key);
        await tidemark.session().redis.mget("k1", "k2");
      }
      expect(found.size).toBe(scannedCount);
      const taken = await steps();
      expect(taken.filter((steps) => steps > 0)).toHaveLength(1);
      expect(taken[0]).toBe(0);
    },
  );

  it("works for every type, with Buffers, and with prefixed keys", async () => {
    const { redis } = tidemark.session();
    expect(new Set(await all(redis.hscanStream("hash"))).size).toBe(scannedCount * 2);
    expect((await all(redis.sscanBufferStream("set"))).every(Buffer.isBuffer)).toBe(true);
    expect(new Set(await all(redis.zscanStream("zset", { match: "f1*" }))).size).toBeGreaterThan(1_000);
    expect(await all(redis.scanBufferStream({ match: "hash" }))).toEqual([Buffer.from("hash")]);
  });

  it("takes every step on one node, 20 streams at once, in the same number of requests", async () => {
    const passes = await Promise.all(
      Array.from({ length: 20 }, () =>
        tidemark.run(tidemark.session(), () => all(tidemark.redis.hscanStream("hash", { count: 500 }))),
      ),
    );
    for (const found of passes) expect(new Set(found).size).toBe(scannedCount * 2);
  });

  it("belongs to the session that created it, in whatever session it is consumed", async () => {
    const session = tidemark.session();
    const other = tidemark.session({ level: "strong" });
    const stream = tidemark.run(session, () => tidemark.redis.scanStream({ match: "k*", count: 1_000 }));
    using routes = listenToRoutes();
    await tidemark.run(other, () => all(stream));
    expect(new Set(routes.of("scan").map((route) => route.split(":")[0]))).toEqual(new Set(["replica"]));
  });

  it("that was created outside any session belongs to none, in whatever session it is consumed", async () => {
    const stream = tidemark.redis.scanStream({ match: "k*", count: 100 });
    const iterator = stream[Symbol.asyncIterator]();
    await tidemark.run(tidemark.session(), () => iterator.next());
    const rest = await all({ [Symbol.asyncIterator]: () => iterator });
    expect(rest.length).toBeGreaterThan(scannedCount / 2);
    expect((await steps()).slice(1)).toEqual([0, 0]);
  });

  it("reads from the primary outside any session", async () => {
    expect(new Set(await all(tidemark.redis.scanStream({ match: "k*", count: 1_000 }))).size).toBe(
      scannedCount,
    );
    expect((await steps()).map((steps) => steps > 0)).toEqual([true, false, false]);
  });

  it("waits for its replica when the session writes meanwhile, and returns nothing from before the write", async () => {
    const session = tidemark.session();
    const stream = session.redis.hscanStream("hash", { count: 100 });
    stream.read();
    await waitUntil(async () => stream.readableLength === stream.readableHighWaterMark, {
      what: "the stream's buffer is full",
    });
    const ahead = stream.readableLength;
    holdReplicas(group);
    const news = Array.from({ length: scannedCount }, (_, i) => [`f${i}`, "new"]);
    await session.redis.hset("hash", Object.fromEntries(news));
    const values: unknown[][] = [];
    const reading = (async () => {
      for await (const some of stream) values.push(some.filter((_: unknown, i: number) => i % 2 === 1));
    })();
    for (let i = 0; i < 50; i++) await session.redis.get("nothing");
    await releaseReplicas(group);
    await reading;
    expect(new Set(values.slice(0, ahead).flat()).size).toBeGreaterThan(1_000);
    expect(new Set(values.slice(ahead).flat())).toEqual(new Set(["new"]));
  });

  it("continues while its session constantly writes and reads, even on other servers", async () => {
    const { redis } = tidemark.session();
    const found = new Set<unknown>();
    let over = false;
    const stream = redis.scanStream({ match: "k*", count: 200 });
    stream.read();
    await waitUntil(async () => stream.readableLength > 0, { what: "the stream has begun" });
    const busy = Array.from({ length: 4 }, async (_, i) => {
      while (!over) {
        await redis.set(`busy${i}`, "1");
        await redis.get("k1");
      }
    });
    for await (const keys of stream) {
      for (const key of keys) found.add(key);
    }
    over = true;
    await Promise.all(busy);
    expect(found.size).toBe(scannedCount);
    expect((await steps())[0]).toBe(0);
  });

  it("fails when its replica is gone, instead of continuing elsewhere", async () => {
    const stream = tidemark.session().redis.scanStream({ match: "k*", count: 10 });
    const iterator = stream[Symbol.asyncIterator]();
    await iterator.next();
    await (await whereItBegan()).server.kill();
    const rest = all({ [Symbol.asyncIterator]: () => iterator });
    await expect(rest).rejects.toThrow(IterationLostError);
  });

  it("fails soon when its replica is gone while the stream waits for it", async () => {
    await using own = openTidemark(group, { maxStalenessMs: 600_000, tokenTtlMs: 1_200_000 });
    await replicasAreEligible(own);
    const session = own.session();
    const stream = session.redis.scanStream({ match: "k*", count: 10 });
    stream.read();
    await waitUntil(async () => stream.readableLength === stream.readableHighWaterMark, {
      what: "the stream's buffer is full",
    });
    holdReplicas(group);
    await session.redis.set("k1", "new");
    const rest = expect(all(stream)).rejects.toThrow(IterationLostError);
    await session.redis.get("k1");
    await (await whereItBegan()).server.kill();
    await rest;
    await Promise.all(group.replicas.map(({ link }) => link.release()));
  });

  it("fails when its replica has restarted, even if it answers again", async () => {
    const session = tidemark.session();
    const stream = session.redis.scanStream({ match: "k*", count: 10 });
    const iterator = stream[Symbol.asyncIterator]();
    await iterator.next();
    await (await whereItBegan()).server.restart();
    await group.ready();
    await replicasAreEligible(tidemark);
    const rest = all({ [Symbol.asyncIterator]: () => iterator });
    await expect(rest).rejects.toThrow(
      /SCAN: the connection to 127\.0\.0\.1:\d+, where this iteration began, was lost/,
    );
  });
});

describe("A scan stream and a transaction by hand", () => {
  it("do not affect each other, whichever begins first", async () => {
    const { redis } = tidemark.session();
    const found = new Set<unknown>();
    for await (const keys of redis.scanStream({ match: "k*", count: 200 })) {
      await redis.watch("k1");
      for (const key of keys) found.add(key);
      await redis.unwatch();
    }
    expect(found.size).toBe(scannedCount);
    await redis.watch("k1");
    const stream = redis.scanStream({ match: "k*", count: 200 });
    stream.read();
    await redis.get("k1");
    await redis.unwatch();
    expect(new Set(await all(stream)).size).toBe(scannedCount);
  });
});
