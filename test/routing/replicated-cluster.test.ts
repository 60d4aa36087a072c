/** Write concern on a cluster: writes resolve when replicas hold them, counted on the replicas themselves. */
import { describe, expect, it } from "vitest";
import { Tidemark } from "../../src/index.js";
import type { ClusterNode } from "../support/servers/cluster-node.js";
import { keyIn, stageCluster } from "../support/stages/staged-cluster.js";
import { watched } from "../support/stages/watched.js";

const long = 20_000;
const short = 200;

/** Whether the node, asked itself, has `value` at `key`. */
async function has({ server }: ClusterNode, key: string, value: string): Promise<boolean> {
  const admin = server.admin();
  // Else a replica would send the question on.
  await admin.call("READONLY");
  return (await admin.get(key)) === value;
}

describe("Session.replicated on a cluster", () => {
  const stage = stageCluster();
  const keys = [keyIn(1), keyIn(6_000), keyIn(12_000)];

  async function shardOf(slot: number): Promise<{ primary: ClusterNode; replica: ClusterNode }> {
    const primary = await stage.group.primaryOf(slot);
    const [replica] = await stage.group.replicasOf(primary);
    if (replica === undefined) throw new Error("the shard has no replica");
    return { primary, replica };
  }

  it("resolves a write when the replica of its shard has it, in every shard", async () => {
    const shards = await Promise.all([1, 6_000, 12_000].map(shardOf));
    const session = (await stage.open()).session();
    await session.replicated("all", { timeoutMs: long });
    for (const [i, { replica }] of shards.entries()) {
      const key = keys[i] ?? "";
      for (let turn = 0; turn < 10; turn++) {
        await session.redis.set(key, `${turn}`);
        expect(await has(replica, key, `${turn}`)).toBe(true);
      }
    }
  });

  it("delays only the replies of one shard, until its replica has the write", async () => {
    const { primary, replica } = await shardOf(6_000);
    const session = (await stage.open()).session();
    await session.replicated(1, { timeoutMs: long });
    primary.proxy.hold();
    const [here = "", held = "", there = ""] = keys;
    const writing = session.redis.set(held, "held");
    const watch = watched(writing);
    for (let turn = 0; turn < 10; turn++) {
      await session.redis.set(here, `${turn}`);
      await session.redis.set(there, `${turn}`);
    }
    expect([watch.isOver, await has(replica, held, "held")]).toEqual([false, false]);
    await primary.proxy.release();
    expect([await writing, await has(replica, held, "held")]).toEqual(["OK", true]);
  });

  it("rejects a write that no replica of its shard had in time, and the awaited promise too", async () => {
    const { primary } = await shardOf(6_000);
    const tidemark = await stage.open();
    const session = tidemark.session();
    const [here = "", held = ""] = keys;
    await session.redis.set(here, "before");
    expect(await session.replicated(1, { timeoutMs: short })).toBe(1);
    primary.proxy.hold();
    await expect(session.redis.set(held, "stands")).rejects.toMatchObject({ wanted: 1, replicas: 0 });
    expect(await tidemark.redis.get(held)).toBe("stands");
    await expect(session.replicated(1, { timeoutMs: short })).rejects.toMatchObject({ replicas: 0 });
  });
});

describe("Session.replicated on a cluster node given as a plain server", () => {
  const stage = stageCluster({ shards: 1, replicasPerShard: 1 });

  it.each(["with its replica", "alone"])("does not use messages as a fence: %s", async (how) => {
    const [primary, replica] = stage.group.nodes;
    if (primary === undefined || replica === undefined) throw new Error("the cluster has not two nodes");
    const { url } = primary.server;
    const named = how === "alone" ? { primary: url } : { primary: url, replicas: [replica.server.url] };
    await using tidemark = new Tidemark(named);
    await tidemark.ready();
    const session = tidemark.session();
    await session.replicated(1, { timeoutMs: long });
    await session.redis.set("k", "there");
    expect(await has(replica, "k", "there")).toBe(true);
    primary.proxy.hold();
    session.replicated(1, { timeoutMs: short });
    await expect(session.redis.set("k", "not there")).rejects.toMatchObject({ wanted: 1, replicas: 0 });
    expect(await has(replica, "k", "there")).toBe(true);
  });
});
