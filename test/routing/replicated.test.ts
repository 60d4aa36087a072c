/** Writes that resolve when replicas hold them, counted on the replicas themselves. */
import { describe, expect, it } from "vitest";
import { roundedToken } from "../../src/http/rounded-token.js";
import { InvalidOptionError, NotReplicatedError, type Tidemark } from "../../src/index.js";
import { TcpProxy } from "../support/proxies/tcp-proxy.js";
import { follows, replicaOf } from "../support/servers/failover.js";
import { holdReplicas, releaseReplicas } from "../support/servers/held-replicas.js";
import type { ReplicationGroup } from "../support/servers/replication-group.js";
import { openTidemark } from "../support/stages/open-tidemark.js";
import { stageTidemark } from "../support/stages/staged-tidemark.js";
import { watched } from "../support/stages/watched.js";
import { waitUntil } from "../support/wait-until.js";

let group: ReplicationGroup;
let tidemark: Tidemark;

stageTidemark({ replicas: 2 }, (stage) => {
  ({ group, tidemark } = stage);
});

const long = 20_000;

/** How many replicas have `value` at `key`. */
async function holders(key: string, value: string): Promise<number> {
  const values = await Promise.all(group.replicas.map(({ server }) => server.admin().get(key)));
  return values.filter((one) => one === value).length;
}

describe("Session.replicated", () => {
  it.each([
    ["one", 1, 1],
    ["two", 2, 2],
    ["all", "all", 2],
  ] as const)("resolves a write when %s replicas have it", async (_, replicas, least) => {
    const session = tidemark.session();
    await session.replicated(replicas, { timeoutMs: long });
    for (let i = 0; i < 30; i++) {
      await session.redis.set("k", `${replicas} ${i}`);
      expect(await holders("k", `${replicas} ${i}`)).toBeGreaterThanOrEqual(least);
    }
  });

  it("delays the reply until the last replica has the write, and no other session's replies", async () => {
    holdReplicas(group, 1);
    const session = tidemark.session();
    await session.replicated(2, { timeoutMs: long });
    const writing = session.redis.set("k", "v");
    const watch = watched(writing);
    await waitUntil(async () => (await holders("k", "v")) === 1, { what: "one replica has the write" });
    const other = tidemark.session();
    for (let i = 0; i < 20; i++) {
      await other.redis.set("other", `${i}`);
      expect(await other.redis.get("other")).toBe(`${i}`);
    }
    expect(watch.isOver).toBe(false);
    await releaseReplicas(group);
    expect([await writing, await holders("k", "v")]).toEqual(["OK", 2]);
  });

  it("knows the position, and lets the response be sent, before replicas have the write", async () => {
    holdReplicas(group);
    const session = tidemark.session();
    await session.replicated(1, { timeoutMs: long });
    const writing = session.redis.set("k", "v");
    await session.settled();
    expect([session.writing, session.token() === ""]).toEqual([false, false]);
    await releaseReplicas(group);
    await writing;
  });

  it("has a token that is covered by a replica with the write", async () => {
    const session = tidemark.session();
    await session.replicated("all", { timeoutMs: long });
    await session.redis.set("k", "v");
    const [position] = session.positions;
    for (const { server } of group.replicas) {
      const { slave_repl_offset: offset } = await server.info("replication");
      expect(Number(offset)).toBeGreaterThanOrEqual(position?.offset ?? Number.POSITIVE_INFINITY);
    }
  });

  it("waits once for all writes of a turn, not for each write", async () => {
    const calls = (): Promise<number> => group.primary.commandCalls("wait");
    const before = await calls();
    const writes = Array.from({ length: 500 }, async (_, i) => {
      const session = tidemark.session();
      session.replicated(2, { timeoutMs: long });
      await session.redis.set(`many:${i}`, "v");
    });
    await Promise.all(writes);
    expect((await calls()) - before).toBeLessThanOrEqual(3);
    expect(await group.replicas[0]?.server.admin().dbsize()).toBeGreaterThanOrEqual(500);
  });

  it("needs no separate connection for each timeout", async () => {
    const connections = async (): Promise<number> =>
      Number((await group.primary.info("stats")).total_connections_received);
    const before = await connections();
    holdReplicas(group);
    const sessions = Array.from({ length: 100 }, () => tidemark.session());
    const writes = sessions.map((session, i) => {
      session.replicated(2, { timeoutMs: long + i });
      return session.redis.set(`given:${i}`, "v");
    });
    await Promise.all(sessions.map((session) => session.settled()));
    await releaseReplicas(group);
    await Promise.all(writes);
    expect((await connections()) - before).toBeLessThanOrEqual(2);
  });

  it("applies to pipelines, transactions, scripts and blocking commands too", async () => {
    const session = tidemark.session();
    const { redis } = session;
    await session.replicated("all", { timeoutMs: long });
    await redis.pipeline().set("p", "1").get("p").exec();
    expect(await holders("p", "1")).toBe(2);
    expect(await redis.multi().set("m", "1").incr("m").exec()).toEqual([
      [null, "OK"],
      [null, 2],
    ]);
    expect(await holders("m", "2")).toBe(2);
    await redis.eval("redis.call('set', KEYS[1], ARGV[1])", 1, "e", "1");
    expect(await holders("e", "1")).toBe(2);
    await redis.watch("w");
    await redis.multi({ pipeline: false });
    await redis.set("w", "1");
    await redis.exec();
    expect(await holders("w", "1")).toBe(2);
    holdReplicas(group);
    session.replicated(1, { timeoutMs: 50 });
    await expect(redis.multi().set("m", "9").exec()).rejects.toThrow(NotReplicatedError);
    const results = await redis.pipeline().set("p", "9").get("p").exec();
    expect(results?.[0]?.[0]).toBeInstanceOf(NotReplicatedError);
    expect(results?.[1]).toEqual([null, "9"]);
  });

  it("rejects a refused write with its own error at once", async () => {
    holdReplicas(group);
    await tidemark.redis.set("text", "v");
    const session = tidemark.session();
    await session.replicated(2, { timeoutMs: long });
    await expect(session.redis.lpush("text", "v")).rejects.toThrow("WRONGTYPE");
  });

  it("resolves with the number of replicas that hold the earlier writes", async () => {
    const session = tidemark.session();
    expect(await session.replicated(1, { timeoutMs: long })).toBe(0);
    const other = tidemark.session();
    holdReplicas(group);
    await other.redis.set("k", "v");
    const held = other.replicated(2, { timeoutMs: long });
    const watch = watched(held);
    await tidemark.redis.ping();
    expect(watch.isOver).toBe(false);
    await releaseReplicas(group);
    expect([await held, await holders("k", "v")]).toEqual([2, 2]);
    holdReplicas(group);
    await tidemark.session({ token: other.token() }).redis.get("k");
    const late = tidemark.session();
    await late.redis.set("k", "w");
    await expect(late.replicated(1, { timeoutMs: 50 })).rejects.toMatchObject({ replicas: 0 });
  });

  it("waits for the write of an earlier request, even if its token is rounded", async () => {
    holdReplicas(group);
    const writer = tidemark.session();
    await writer.redis.set("k", "rounded");
    const tokens = [0, 1, 3].map((level) => roundedToken(writer.token(), level, 60_000));
    for (const token of [writer.token(), ...tokens]) {
      const late = tidemark.session({ token }).replicated(1, { timeoutMs: 50 });
      await expect(late).rejects.toThrow(NotReplicatedError);
    }
    const held = tokens.map((token) => tidemark.session({ token }).replicated(2, { timeoutMs: long }));
    await releaseReplicas(group);
    expect(await Promise.all(held)).toEqual([2, 2, 2]);
    expect(await holders("k", "rounded")).toBe(2);
  });

  it("rejects when no replica is connected and all are required", async () => {
    await using alone = openTidemark(group, { replicas: [] });
    const [first, second] = group.replicas;
    await Promise.all([first, second].map((replica) => replica?.server.replicate(undefined)));
    try {
      await waitUntil(async () => (await group.primary.info("replication")).connected_slaves === "0", {
        what: "no replica is connected",
      });
      const session = alone.session();
      await session.replicated("all", { timeoutMs: 100 });
      await expect(session.redis.set("k", "v")).rejects.toMatchObject({ wanted: "all", replicas: 0 });
    } finally {
      await Promise.all([first, second].map((replica) => replica?.server.replicate(replica.link)));
      await group.ready();
    }
  });

  it("counts the replicas of the primary, not those in the options", async () => {
    const [first] = group.replicas;
    await using one = openTidemark(group, { replicas: [first?.server.url ?? ""] });
    holdReplicas(group, 1);
    const session = one.session();
    await session.replicated("all", { timeoutMs: 100 });
    await expect(session.redis.set("k", "v")).rejects.toMatchObject({ replicas: 1 });
  });

  it("counts no replicas of a server without the write, even if it claims to be the primary", async () => {
    const [heir, other] = [replicaOf(group), replicaOf(group, 1)];
    await using front = await TcpProxy.start({ targetPort: group.primary.port });
    await using behind = openTidemark(group, { primary: `redis://${front.host}:${front.port}` });
    await behind.ready();
    try {
      await heir.replicate(undefined);
      await other.replicate(heir);
      await follows(other, heir);
      // Only for connections that are opened from now on.
      front.retarget(heir.port);
      const session = behind.session();
      session.replicated(1, { timeoutMs: long });
      await expect(session.redis.set("k", "v")).rejects.toMatchObject({ replicas: undefined });
      expect(await holders("k", "v")).toBe(0);
    } finally {
      await Promise.all(group.replicas.map(({ server, link }) => server.replicate(link)));
      await group.ready();
    }
  });

  it.each([
    ["none", 0, {}, /replicated: got 0\. Pass a whole number of replicas, at least 1, or "all"/],
    ["a fraction", 1.5, {}, /replicated: got 1.5/],
    ["an unknown word", "most", {}, /replicated: got a string/],
    [
      "a time of 0",
      1,
      { timeoutMs: 0 },
      /replicated timeoutMs: got 0\. Pass a number of milliseconds, at least 1/,
    ],
    ["a string for a flag", 1, { fsync: "yes" }, /replicated fsync: got "yes"/],
    ["no options", 1, null, /replicated options: got null/],
    [
      "an unknown option",
      1,
      { fsynced: true },
      /replicated options: there is no option "fsynced"\. Did you mean "fsync"\?/,
    ],
  ])("throws for %s", (_, replicas, options, message) => {
    const session = tidemark.session();
    const call = (): unknown => Reflect.apply(session.replicated, session, [replicas, options]);
    expect(call).toThrow(InvalidOptionError);
    expect(call).toThrow(message);
  });
});
