/** Failovers in a Redis Cluster. */
import { describe, expect, it } from "vitest";
import { type NodeStatus, NoPrimaryError, type Tidemark } from "../../src/index.js";
import { startUsers } from "../support/load/users.js";
import type { ClusterNode } from "../support/servers/cluster-node.js";
import { keyIn, stageCluster } from "../support/stages/staged-cluster.js";
import { waitUntil } from "../support/wait-until.js";

const stage = stageCluster({ fresh: true });
const key = keyIn(1);
const other = keyIn(6_000);

/** The first shard's primary, and its replica. */
async function firstShard() {
  const primary = await stage.group.primaryOf(1);
  const [replica] = await stage.group.replicasOf(primary);
  if (replica === undefined) throw new Error("no replica");
  return { primary, replica };
}

/** Resolves when it is known as one that may answer reads. */
async function isReplicaTo(tidemark: Tidemark, node: ClusterNode): Promise<void> {
  const isThere = async () => {
    await tidemark.session().redis.get(key);
    const status = tidemark.topology().find(({ address }) => address === `${node.host}:${node.port}`);
    return status?.role === "replica" && status.eligible;
  };
  await waitUntil(isThere, { what: "the old primary is a replica" });
}

describe.concurrent("a failover between healthy nodes", () => {
  it("causes no older reads and no errors, and keeps tokens valid", async () => {
    const [tidemark, second] = [await stage.open(), await stage.open()];
    const { primary, replica } = await firstShard();
    const before = tidemark.session();
    await before.redis.set(key, "before");
    const users = startUsers(tidemark, 12);
    await waitUntil(() => users.findings.reads > 100, { what: "users have read 100 times" });
    await stage.group.failover(replica);
    const reads = users.findings.reads;
    await waitUntil(() => users.findings.reads > reads + 300, { what: "users have read 300 more times" });
    const findings = await users.stop();
    expect(findings.errors).toEqual([]);
    expect(findings.stale).toBe(0);
    expect(await second.session({ token: before.token() }).redis.get(key)).toBe("before");
    await isReplicaTo(tidemark, primary);
    expect(stage.lostWrites.heard).toEqual([]);
  });

  it("sends no primary read to the server that is now a replica", async () => {
    const tidemark = await stage.open();
    const { primary, replica } = await firstShard();
    const { redis } = tidemark.session();
    await redis.set(key, "old");
    await stage.group.failover(replica);
    replica.proxy.hold();
    await replica.server.admin().set(key, "new");
    stage.routes.clear();
    expect(await redis.at("strong").get(key)).toBe("new");
    expect(await tidemark.redis.get(key)).toBe("new");
    await replica.proxy.release();
    await isReplicaTo(tidemark, primary);
  });
});

describe.concurrent("scripts", () => {
  it("run once on the new primary, in order", async () => {
    const tidemark = await stage.open();
    const { replica } = await firstShard();
    const { redis } = tidemark.session();
    const push = "return redis.call('rpush', KEYS[1], ARGV[1])";
    await stage.group.failover(replica);
    // All leave for the old primary, unless Tidemark has heard of the new one.
    const replies = [
      redis.rpush(key, "a"),
      redis.eval(push, 1, key, "b"),
      redis.eval(push, 1, key, "c"),
      redis.rpush(key, "d"),
    ];
    expect(await Promise.all(replies)).toEqual([1, 2, 3, 4]);
    expect(await redis.lrange(key, 0, -1)).toEqual(["a", "b", "c", "d"]);
  });
});

describe.concurrent("a primary that is killed", () => {
  it("leaves provable reads to replicas, makes writes fail soon, and is replaced", async () => {
    const tidemark = await stage.open();
    const { primary } = await firstShard();
    const session = tidemark.session();
    await session.redis.set(key, "v");
    await waitUntil(
      async () => {
        stage.routes.clear();
        await session.redis.get(key);
        return stage.routes.of("get").at(-1)?.startsWith("replica:") ?? false;
      },
      { what: "the replica answers" },
    );
    await primary.server.kill();
    expect(await session.redis.get(key)).toBe("v");
    const error = await tidemark
      .session()
      .redis.set(key, "w")
      .catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(NoPrimaryError);
    expect(await session.redis.set(other, "still")).toBe("OK");
    const isBack = async () => (await tidemark.session().redis.set(key, "again")) === "OK";
    await waitUntil(isBack, { what: "writes succeed again", timeoutMs: 20_000 });
    expect(await session.redis.get(key)).toBe("again");
    expect(stage.lostWrites.heard).toEqual([]);
  });
});

describe.concurrent("a primary that is frozen", () => {
  it("makes writes reject in time, does not affect other shards, and is replaced", async () => {
    const tidemark = await stage.open({ primaryTimeoutMs: 1_500 });
    const { primary } = await firstShard();
    const session = tidemark.session();
    await session.redis.set(key, "v");
    primary.server.pause();
    try {
      const stray = tidemark.session().redis.set(key, "stray");
      const isRejected = expect(stray).rejects.toThrow(/closed|is not available/);
      const address = `${primary.host}:${primary.port}`;
      const isSilent = ({ role, eligible, ...status }: NodeStatus): boolean =>
        status.address === address && role === "primary" && !eligible;
      await waitUntil(() => tidemark.topology().some(isSilent), {
        what: "the primary is known to be silent",
      });
      await isRejected;
      expect(await session.redis.set(other, "still")).toBe("OK");
      const isBack = async () => (await tidemark.session().redis.set(key, "again")) === "OK";
      await waitUntil(isBack, { what: "writes succeed again", timeoutMs: 20_000 });
    } finally {
      primary.server.resume();
    }
    for (let i = 0; i < 20; i++) expect(await session.redis.get(key)).toBe("again");
  });
});

describe.concurrent("a primary that was cut off", () => {
  it("causes a report of its lost writes, and of no others", async () => {
    const [tidemark, second] = [await stage.open(), await stage.open()];
    const { primary } = await firstShard();
    const [kept, lost, elsewhere] = [tidemark.session(), tidemark.session(), tidemark.session()];
    await kept.redis.set(key, "kept");
    await stage.group.ready();
    stage.group.isolate(primary);
    expect(await lost.redis.set(key, "lost")).toBe("OK");
    await elsewhere.redis.set(other, "kept too");
    const tokens = [kept, lost, elsewhere].map((session) => session.token());
    await waitUntil(async () => (await stage.group.primaryOf(1)) !== primary, {
      what: "the primary is replaced",
    });
    const isKnown = () => tidemark.redis.get(key).then((value) => value === "kept");
    await waitUntil(isKnown, { what: "the new primary is known", timeoutMs: 20_000 });
    await waitUntil(async () => (await second.redis.get(key)) === "kept", {
      what: "the second Tidemark reads from the new primary",
    });
    for (const session of [kept, lost, elsewhere]) expect(await session.redis.get(key)).toBe("kept");
    expect(stage.lostWrites.heard.map(({ session }) => session)).toEqual([lost]);
    const inOther = tokens.map((token) => second.session({ token }));
    for (const session of inOther) expect(await session.redis.get(key)).toBe("kept");
    expect(stage.lostWrites.heard.map(({ session }) => session)).toEqual([lost, inOther[1]]);
    expect(await inOther[2]?.redis.get(other)).toBe("kept too");
    stage.group.rejoin(primary);
  });
});
