/** Transactions whose keys are moving from one shard to another. */
import { describe, expect, it } from "vitest";
import { type Session, TransactionLostError } from "../../src/index.js";
import type { SlotMigration } from "../support/servers/slot-migration.js";
import { sentCommands } from "../support/stages/sent-commands.js";
import { keyIn, stageCluster } from "../support/stages/staged-cluster.js";
import { waitUntil } from "../support/wait-until.js";

const stage = stageCluster();

/** Each test has a slot of its own, at first in the first shard. */
let nextSlot = 100;

/** A slot of the first shard, two keys in it, and the steps that take it to the second. */
async function aMigration(): Promise<{ key: string; other: string; migration: SlotMigration }> {
  const slot = nextSlot++;
  const migration = await stage.group.migration(slot, await stage.group.primaryOf(6_000));
  return { key: keyIn(slot), other: keyIn(slot, "other"), migration };
}

function bump({ redis }: Session, ...keys: string[]): Promise<unknown> {
  const transaction = redis.multi();
  for (const key of keys) transaction.incr(key);
  return transaction.exec();
}

describe("a transaction", () => {
  it("is resent as a whole when its slot has moved", async () => {
    const session = (await stage.open()).session();
    const { key, migration } = await aMigration();
    await migration.run();
    expect(await bump(session, key, key)).toEqual([
      [null, 1],
      [null, 2],
    ]);
    expect(await session.redis.get(key)).toBe("2");
  });

  it("runs where all its keys have arrived, and is read back however late replicas are", async () => {
    const [writer, reader] = [await stage.open(), await stage.open()];
    const { key, other, migration } = await aMigration();
    const session = writer.session();
    await session.redis.mset(key, "1", other, "1");
    await stage.group.ready();
    for (const node of [migration.from, migration.to]) node.proxy.hold();
    await migration.begin();
    await migration.moveKeys();
    expect(await bump(session, key, other)).toEqual([
      [null, 2],
      [null, 2],
    ]);
    const check = async (): Promise<void> => {
      expect(await session.redis.mget(key, other)).toEqual(["2", "2"]);
      expect(await session.redis.get(key)).toBe("2");
      expect(await reader.session({ token: session.token() }).redis.get(other)).toBe("2");
    };
    await check();
    await migration.finish();
    await check();
  });

  it("of reads only is not followed by older reads from the replicas that its keys have left", async () => {
    const tidemark = await stage.open();
    const { key, migration } = await aMigration();
    await tidemark.session().redis.set(key, "old");
    await stage.group.ready();
    migration.from.proxy.hold();
    await migration.begin();
    await migration.moveKeys();
    await tidemark.session().redis.set(key, "new");
    const { redis } = tidemark.session();
    expect(await redis.multi().get(key).exec()).toEqual([[null, "new"]]);
    expect(await redis.get(key)).toBe("new");
    await migration.finish();
  });

  it("creates a key that neither shard has on the shard the slot moves to", async () => {
    const session = (await stage.open()).session();
    const { key, migration } = await aMigration();
    await migration.begin();
    expect(await bump(session, key, key)).toEqual([
      [null, 1],
      [null, 2],
    ]);
    expect(await migration.from.server.admin().call("CLUSTER", "COUNTKEYSINSLOT", migration.slot)).toBe(0);
    await migration.finish();
    expect(await session.redis.get(key)).toBe("2");
  });

  it("waits while one key has arrived and another has not, and runs once", async () => {
    const tidemark = await stage.open();
    const session = tidemark.session();
    const { key, other, migration } = await aMigration();
    await session.redis.mset(key, "1", other, "1");
    await migration.begin();
    await migration.moveKeys(1);
    const before = sentCommands(tidemark);
    const replies = bump(session, key, other);
    // A transaction of two commands is four commands with MULTI and EXEC.
    await waitUntil(() => sentCommands(tidemark) > before + 2 * 4, {
      what: "the transaction was sent to both nodes",
    });
    await migration.moveKeys();
    expect(await replies).toEqual([
      [null, 2],
      [null, 2],
    ]);
    await migration.finish();
    expect(await session.redis.mget(key, other)).toEqual(["2", "2"]);
  });

  it("is refused as a whole when its keys stay apart", async () => {
    const session = (await stage.open()).session();
    const { key, other, migration } = await aMigration();
    await session.redis.mset(key, "1", other, "1");
    await migration.begin();
    await migration.moveKeys(1);
    await expect(bump(session, key, other)).rejects.toThrow(/TRYAGAIN|EXECABORT/);
    expect(await Promise.all([key, other].map((one) => session.redis.get(one)))).toEqual(["1", "1"]);
    await migration.moveKeys();
    await migration.finish();
  });

  it("in a pipeline is resent without the commands around it, which were already carried out", async () => {
    const session = (await stage.open()).session();
    const { key, migration } = await aMigration();
    const [before, behind] = [keyIn(2, "before"), keyIn(2, "behind")];
    await session.redis.del(before, behind);
    await migration.begin();
    const batch = [["incr", before], ["multi"], ["incr", key], ["exec"], ["incr", behind]];
    const replies = await session.redis.pipeline(batch).exec();
    expect(replies?.map(([error, reply]) => error ?? reply)).toEqual([1, "OK", "QUEUED", [1], 1]);
    expect(await session.redis.mget(before, behind)).toEqual(["1", "1"]);
    await migration.finish();
  });

  it("is not resent without the keys that it watched", async () => {
    const tidemark = await stage.open();
    const { key, migration } = await aMigration();
    const session = tidemark.session();
    await session.redis.set(key, "1");
    await session.redis.watch(key);
    expect(await session.redis.get(key)).toBe("1");
    await migration.run();
    await tidemark.session().redis.set(key, "5");
    await expect(bump(session, key)).rejects.toThrow(TransactionLostError);
    expect(await session.redis.get(key)).toBe("5");
    await session.redis.watch(key);
    expect(await bump(session, key)).toEqual([[null, 6]]);
  });
});
