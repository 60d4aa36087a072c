/** Servers that refuse SELECT, by ACL or for lack of the database: Tidemark neither reads nor writes database 0. */
import { Redis } from "ioredis";
import { describe, expect, it } from "vitest";
import { type CommonOptions, type PrimaryServers, Tidemark } from "../../src/index.js";
import { hasDoublings } from "../support/doublings.js";
import { listenToRoutes } from "../support/listeners/routes.js";
import { listenToWarnings } from "../support/listeners/warnings.js";
import { replicaOf } from "../support/servers/failover.js";
import type { RedisServer } from "../support/servers/redis-server.js";
import { startSentinelGroup } from "../support/servers/sentinel-group.js";
import { replicasAreEligible } from "../support/stages/eligible-replicas.js";
import { stageGroup } from "../support/stages/staged-group.js";
import { waitUntil } from "../support/wait-until.js";

const stage = stageGroup({ replicas: 1 });
const unusable = "TIDEMARK_REPLICA_UNUSABLE";
const refusal = /^NOPERM .*'select'/;
const refusedOrGivenUp = new RegExp(`${refusal.source}|^Reached the max retries per request limit`);
const app = { username: "app", password: "pw" };

/** Every way that ioredis begins a connection. */
const all: readonly [what: string, redis: CommonOptions["redis"]][] = [
  ["the defaults", {}],
  ["RESP2", { protocol: 2 }],
  ["no ready check", { enableReadyCheck: false }],
  ["RESP2 and no ready check", { protocol: 2, enableReadyCheck: false }],
];
const handshakes = all.filter(([what]) => hasDoublings || !what.includes(" and "));

async function allow(server: RedisServer, ...rules: string[]): Promise<void> {
  await server.admin().call("ACL", "SETUSER", "app", "reset", "on", ">pw", "~*", "&*", "+@all", ...rules);
}

function open(servers: Partial<PrimaryServers & CommonOptions> = {}): Tidemark {
  const { host, port } = stage.group.primary;
  const tidemark = new Tidemark({ primary: { host, port, ...app, db: 3 }, ...servers });
  tidemark.redis.on("error", () => {});
  stage.owe({ stop: () => tidemark.close({ timeoutMs: 0 }) });
  return tidemark;
}

async function keysIn(server: RedisServer, db: number): Promise<string[]> {
  const redis = new Redis({ host: server.host, port: server.port, db });
  try {
    return await redis.keys("*");
  } finally {
    redis.disconnect();
  }
}

function given({ host, port }: RedisServer): { host: string; port: number } {
  return { host, port };
}

describe.concurrent.each(handshakes)("with %s", (_what, redis) => {
  it("a replica that forbids SELECT answers no reads until it allows SELECT", async () => {
    const { primary } = stage.group;
    const replica = replicaOf(stage.group);
    await allow(primary);
    await allow(replica, "-select");
    using warnings = listenToWarnings();
    for (const replicas of [[given(replica)], undefined]) {
      const tidemark = open({ redis: { ...redis }, verify: "always", ...(replicas && { replicas }) });
      await tidemark.redis.set("k", "1");
      await waitUntil(() => tidemark.topology()[1]?.state === "unauthorized", {
        what: "the replica is unauthorized",
      });
      expect(tidemark.topology()[1]?.reason).toMatch(/NOPERM .*'select'/);
      using routes = listenToRoutes();
      for (let i = 0; i < 20; i += 1) expect(await tidemark.session().redis.get("k")).toBe("1");
      expect(routes.of("get").every((route) => route.startsWith("primary"))).toBe(true);
      if (replicas === undefined) continue;
      await waitUntil(() => warnings.of(unusable).length > 0, { what: "a warning was emitted" });
      expect(warnings.of(unusable)).toEqual([expect.stringMatching(/NOPERM.*Allow SELECT .*\+select/)]);
      await allow(replica);
      await replicasAreEligible(tidemark);
      expect(await tidemark.session().redis.get("k")).toBe("1");
      await allow(replica, "-select");
    }
  }, 30_000);
});

// One after the other: ioredis gives a subscription up after 20 attempts to connect, whose time others would take.
describe.each(handshakes)("with %s", (_what, redis) => {
  it("a primary that forbids SELECT receives no commands", async () => {
    const { primary } = stage.group;
    await allow(primary, "-select");
    await primary.admin().flushall();
    const tidemark = open({ replicas: [], redis: { ...redis, retryStrategy: () => 50 } });
    await expect(tidemark.ready()).rejects.toThrow(refusal);
    const [duplicate, other] = [tidemark.redis.duplicate(), tidemark.redis.duplicate({ db: 4 })];
    const subscriber = tidemark.redis.duplicate();
    for (const client of [duplicate, other, subscriber]) {
      client.on("error", () => {});
      stage.owe({ stop: async () => client.disconnect() });
    }
    const calls: (() => Promise<unknown>)[] = [
      () => tidemark.redis.set("a", "1"),
      () => tidemark.session().redis.set("b", "1"),
      () => tidemark.redis.multi().set("c", "1").exec(),
      () => tidemark.redis.blpop("d", 1),
      () => duplicate.set("e", "1"),
      () =>
        duplicate
          .pipeline()
          .set("e", "1")
          .exec()
          .then((replies) => Promise.reject(replies?.[0]?.[0])),
      () => other.set("f", "1"),
      () => tidemark.redis.subscribe("g"),
    ];
    for (const call of [...calls, ...calls]) {
      await expect(call()).rejects.toThrow(refusal);
      // A channel belongs to no database, and ioredis does not wait for a handshake's answers before it subscribes. If the server
      // closes the connection first, each time, ioredis gives the subscription up with an error of its own.
      const [subscribed] = await Promise.allSettled([subscriber.subscribe("h")]);
      if (subscribed?.status === "rejected") expect(subscribed.reason.message).toMatch(refusedOrGivenUp);
    }
    expect(await keysIn(primary, 0)).toEqual([]);
    await allow(primary);
    await waitUntil(async () => (await duplicate.set("e", "1")) === "OK", { what: "the duplicate connects" });
    await waitUntil(async () => (await tidemark.redis.set("a", "1")) === "OK", {
      what: "the client connects",
    });
    expect((await keysIn(primary, 3)).sort()).toEqual(["a", "e"]);
    expect(await tidemark.redis.blpop("none", 0.01)).toBe(null);
    // Connections that begin while others go on.
    await allow(primary, "-select");
    const late = tidemark.redis.duplicate({ lazyConnect: true });
    late.on("error", () => {});
    stage.owe({ stop: async () => late.disconnect() });
    await expect(late.lpush("d", "1")).rejects.toThrow(refusal);
    await primary.admin().call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
    await waitUntil(
      async () =>
        (await tidemark.redis.set("a", "2").catch((error: Error) => refusal.test(error.message))) === true,
      { what: "writes are refused" },
    );
    await expect(duplicate.set("e", "2")).rejects.toThrow(/NOPERM|closed/);
    expect(await keysIn(primary, 0)).toEqual([]);
  }, 30_000);
});

describe.concurrent("a database that a server does not have", () => {
  it("causes commands to be rejected with the server's error", async () => {
    const { primary } = stage.group;
    const tidemark = open({ primary: { ...given(primary), db: 99 }, replicas: [] });
    await expect(tidemark.redis.set("k", "1")).rejects.toThrow(/^ERR DB index is out of range/);
    expect(tidemark.topology()[0]).toMatchObject({ state: "refusing" });
    expect(tidemark.topology()[0]?.reason).toMatch(/DB index is out of range/);
    expect(await keysIn(primary, 0)).not.toContain("k");
  });
});

describe.concurrent("servers that Sentinels name", () => {
  it("receive no commands while they refuse SELECT", async () => {
    await using group = await startSentinelGroup({ replicas: 1, sentinels: 1 });
    const sentinels = group.sentinels.map(({ host, port }) => ({ host, port }));
    const tidemark = new Tidemark({ sentinels, name: group.name, redis: { db: 99 } });
    tidemark.redis.on("error", () => {});
    try {
      await expect(tidemark.redis.set("k", "1")).rejects.toThrow(/^ERR DB index is out of range/);
      await waitUntil(() => tidemark.topology()[1]?.state === "refusing", { what: "the replica is refused" });
      await expect(tidemark.redis.duplicate().set("k", "1")).rejects.toThrow(/^ERR DB index is out of range/);
    } finally {
      await tidemark.close({ timeoutMs: 0 });
    }
  });
});
