/** Slots that move between shards while sessions read and write their keys. */
import { Redis } from "ioredis";
import { describe, expect, it, onTestFinished } from "vitest";
import type { Tidemark } from "../../src/index.js";
import { migratesWithReplicas } from "../support/servers/abilities.js";
import type { ClusterNode } from "../support/servers/cluster-node.js";
import type { SlotMigration } from "../support/servers/slot-migration.js";
import { sentCommands } from "../support/stages/sent-commands.js";
import { keyIn, stageCluster } from "../support/stages/staged-cluster.js";
import { waitUntil } from "../support/wait-until.js";

const stage = stageCluster();

/** Each test has a slot of its own, at first in the first shard. */
let nextSlot = 10;

/** A slot of the first shard, a key in it, and the steps that take it to the second. */
async function aMigration(): Promise<{ key: string; migration: SlotMigration }> {
  const slot = nextSlot++;
  const to = await stage.group.primaryOf(6_000);
  return { key: keyIn(slot), migration: await stage.group.migration(slot, to) };
}

/** The replicas of `node` lag from here on. */
function lag(node: ClusterNode): void {
  node.proxy.hold();
}

/** Takes a step of a migration while the replicas of `node` lag, as far as that is possible. */
async function whileLate(node: ClusterNode, step: () => Promise<void>): Promise<void> {
  if (migratesWithReplicas) await node.proxy.release();
  await step();
  lag(node);
}

async function replicaHas(primary: ClusterNode, key: string, value: string): Promise<void> {
  const [replica] = await stage.group.replicasOf(primary);
  await replica?.server.admin().readonly();
  await waitUntil(async () => (await replica?.server.admin().get(key)) === value, {
    what: `the replica has ${value}`,
  });
}

/** A client of one node, past all routing. */
function plain(node: ClusterNode): Redis {
  const client = new Redis({ host: node.host, port: node.port });
  onTestFinished(() => client.disconnect());
  return client;
}

const open = (): Promise<Tidemark> => stage.open();

describe("a key that has moved to another shard", () => {
  it("is found, although the replica of the old shard no longer has it", async () => {
    const tidemark = await open();
    const { key, migration } = await aMigration();
    const session = tidemark.session();
    await session.redis.set(key, "v");
    await migration.begin();
    await migration.moveKeys();
    await stage.group.ready().catch(() => {});
    for (let i = 0; i < 20; i++) expect(await session.redis.get(key)).toBe("v");
    expect(stage.routes.of("get").at(-1)).toBe("primary:asked");
    await migration.finish();
    for (let i = 0; i < 20; i++) expect(await session.redis.get(key)).toBe("v");
  });

  it.each(["from", "to"] as const)(
    "is found with its latest value, however late the replica is [%s]",
    async (late) => {
      const [writer, reader] = [await open(), await open()];
      const { key, migration } = await aMigration();
      lag(migration[late]);
      const session = writer.session();
      const check = async (value: string) => {
        expect(await session.redis.get(key)).toBe(value);
        expect(await reader.session({ token: session.token() }).redis.get(key)).toBe(value);
      };
      await session.redis.set(key, "before");
      await check("before");
      await whileLate(migration[late], () => migration.begin());
      await check("before");
      await migration.moveKeys();
      await check("before");
      await session.redis.set(key, "on its way");
      await check("on its way");
      await whileLate(migration[late], () => migration.finish());
      await check("on its way");
      await session.redis.set(key, "after");
      await check("after");
    },
  );

  it("is not read with its old value after the session has read the new one", async () => {
    const tidemark = await open();
    const { key, migration } = await aMigration();
    await migration.from.server.admin().set(key, "old");
    await replicaHas(migration.from, key, "old");
    await migration.begin();
    lag(migration.from);
    await migration.moveKeys();
    await plain(migration.to)
      .pipeline([["asking"], ["set", key, "new"]])
      .exec();
    const session = tidemark.session();
    expect(await session.at("strong").get(key)).toBe("new");
    expect(await session.redis.get(key)).toBe("new");
  });

  it.skipIf(migratesWithReplicas)(
    "is not read from a replica that has it from the key's previous stay",
    async () => {
      const [writer, reader] = [await open(), await open()];
      const { key, migration } = await aMigration();
      const { from, to, slot } = migration;
      await from.server.admin().set(key, "first");
      await replicaHas(from, key, "first");
      const session = reader.session();
      lag(from);
      await migration.run();
      const elsewhere = writer.session();
      await elsewhere.redis.set(key, "second");
      expect(await session.at("strong").get(key)).toBe("second");
      const back = await stage.group.migration(slot, from);
      expect(back.from).toBe(to);
      await back.run();
      expect(await session.redis.get(key)).toBe("second");
      expect(await reader.session({ token: elsewhere.token() }).redis.get(key)).toBe("second");
    },
  );

  it.skipIf(migratesWithReplicas)(
    "is not read with a value from an earlier stay by a process that missed both moves",
    async () => {
      const { key, migration } = await aMigration();
      const { from, to, slot } = migration;
      await migration.run();
      await to.server.admin().set(key, "old");
      await replicaHas(to, key, "old");
      const [writer, reader] = [await open(), await open()];
      await waitUntil(
        async () => {
          expect(await reader.session().redis.get(key)).toBe("old");
          return stage.routes.of("get").at(-1) === "replica:known";
        },
        { what: "the replica answers" },
      );
      lag(to);
      await (await stage.group.migration(slot, from)).run();
      await writer.redis.get(key);
      // It knows where the slot is by now, so that its token has no other shard's position.
      const session = writer.session();
      await session.redis.set(key, "new");
      expect(session.positions).toHaveLength(1);
      await (await stage.group.migration(slot, to)).run();
      const token = session.token();
      for (let i = 0; i < 30; i++) expect(await reader.session({ token }).redis.get(key)).toBe("new");
    },
  );
});

describe("a write", () => {
  it("runs once on the shard that its key is moving to, and requires both shards", async () => {
    const [writer, reader] = [await open(), await open()];
    const { key, migration } = await aMigration();
    await migration.begin();
    const session = writer.session();
    expect(await session.redis.incr(key)).toBe(1);
    expect(stage.routes.of("incr")).toEqual(["primary:not-a-read", "primary:asked"]);
    expect(session.positions).toHaveLength(2);
    expect(await reader.session({ token: session.token() }).redis.get(key)).toBe("1");
    await migration.moveKeys();
    await migration.finish();
    expect(await session.redis.incr(key)).toBe(2);
  });

  it("follows a slot that has moved unnoticed, and is not redirected again", async () => {
    const tidemark = await open();
    const { key, migration } = await aMigration();
    await migration.run();
    const session = tidemark.session();
    expect(await session.redis.set(key, "v")).toBe("OK");
    expect(stage.routes.of("set")).toHaveLength(2);
    stage.routes.clear();
    expect(await session.redis.set(key, "w")).toBe("OK");
    expect(stage.routes.of("set")).toHaveLength(1);
  });
});

describe("several commands", () => {
  it("of one pipeline go to their shards, even while a slot moves", async () => {
    const tidemark = await open();
    const { key, migration } = await aMigration();
    const [b, c] = [keyIn(6_001), keyIn(12_001)];
    const session = tidemark.session();
    const write = (n: number) =>
      session.redis.pipeline().set(key, n).set(b, n).set(c, n).get(key).get(b).get(c).exec();
    const all = (n: number) => ["OK", "OK", "OK", `${n}`, `${n}`, `${n}`].map((reply) => [null, reply]);
    expect(await write(1)).toEqual(all(1));
    await migration.begin();
    expect(await write(2)).toEqual(all(2));
    await migration.moveKeys();
    expect(await write(3)).toEqual(all(3));
    await migration.finish();
    expect(await write(4)).toEqual(all(4));
  });

  it("of one read with several keys wait until all keys have arrived", async () => {
    const tidemark = await open();
    const { key, migration } = await aMigration();
    const keys = [`${key}1`, `${key}2`];
    const { redis } = tidemark.session();
    await redis.mset(`${key}1`, "1", `${key}2`, "2");
    await migration.begin();
    await migration.moveKeys(1);
    const before = sentCommands(tidemark);
    const reading = redis.mget(...keys);
    await waitUntil(() => sentCommands(tidemark) > before + 2, { what: "the read was sent again" });
    await migration.moveKeys();
    expect(await reading).toEqual(["1", "2"]);
    await migration.finish();
    expect(await redis.mget(...keys)).toEqual(["1", "2"]);
  });
});
