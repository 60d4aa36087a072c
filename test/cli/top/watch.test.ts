/** What `tidemark top` sees on real servers: states, lag and warnings. */
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { addressOf, rowOf, WatchedServers } from "../../support/cli/watched-servers.js";
import { startClusterGroup } from "../../support/servers/cluster-group.js";
import { type Answer, FakeServer } from "../../support/servers/fake-server.js";
import { RedisServer } from "../../support/servers/redis-server.js";
import {
  type GroupReplica,
  type ReplicationGroup,
  startReplicationGroup,
} from "../../support/servers/replication-group.js";
import { startSentinelGroup } from "../../support/servers/sentinel-group.js";
import { endLoading, fill, slowLoading } from "../../support/servers/slow-loading.js";
import { waitUntil } from "../../support/wait-until.js";

describe("A watched group", () => {
  let group: ReplicationGroup;
  beforeEach(async () => {
    group = await startReplicationGroup({ replicas: 2 });
  });
  afterEach(() => group.stop());

  const replicaAt = (index: number): GroupReplica => {
    const replica = group.replicas[index];
    if (replica === undefined) throw new Error("there is no such replica");
    return replica;
  };
  const watched = (options = {}) => WatchedServers.at([group.primary.url], options);
  const write = (bytes: number) => group.primary.admin().set("key", "x".repeat(bytes));

  it("serves, with the numbers of each server and without warnings", async () => {
    const servers = await watched();
    const snapshot = await servers.until((one) => one.groups[0]?.servers.length === 3);
    expect(snapshot.warnings).toEqual([]);
    const numbers = {
      opsPerSecond: expect.any(Number),
      memoryBytes: expect.any(Number),
      clients: expect.any(Number),
    };
    expect(rowOf(snapshot, group.primary)).toMatchObject({ ...numbers, role: "primary", state: "serving" });
    for (const { server } of group.replicas)
      expect(rowOf(snapshot, server)).toMatchObject({
        ...numbers,
        role: "replica",
        state: "serving",
        lagBytes: 0,
        lagMs: 0,
        link: { isUp: true },
      });
  });

  it("measures within one tick how long a replica takes to catch up", async () => {
    const { server, link } = replicaAt(0);
    link.delay(40);
    const servers = await watched();
    await waitUntil(
      async () => {
        await write(5_000);
        const row = rowOf(await servers.tick(), server);
        const { lagBytes = 0, lagMs = 0, hasCaughtUp = false } = row ?? {};
        return lagBytes > 5_000 && lagMs > 0 && hasCaughtUp && row?.history.at(-1)?.lagMs === lagMs;
      },
      { what: "the replica was behind and caught up in the same tick" },
    );
  });

  it("has a replica that grows staler while it is held, until it is behind", async () => {
    const { server, link } = replicaAt(0);
    const servers = await watched({ maxStalenessMs: 300 });
    link.hold();
    await write(1_000);
    const first = rowOf(await servers.tick(), server);
    expect(first).toMatchObject({ hasCaughtUp: false });
    const behind = await servers.stateOf(server, "behind");
    expect(behind.lagMs).toBeGreaterThan(300);
    const { warnings } = await servers.tick();
    expect(warnings).toEqual([
      expect.stringMatching(`^${addressOf(server)} answers no reads: it is .* behind`),
    ]);
    await link.release();
    expect(await servers.stateOf(server, "serving")).toMatchObject({ lagBytes: 0, lagMs: 0 });
  });

  it("says for how long a link has been down", async () => {
    const { server, link } = replicaAt(0);
    const servers = await watched();
    link.cut();
    const row = await servers.stateOf(server, "link-down");
    expect(row.reason).toMatch(/^its link to 127\.0\.0\.1:\d+ has been down for \d+ s$/);
    expect(row.link?.isUp).toBe(false);
    const { warnings } = await servers.tick();
    expect(warnings).toEqual([expect.stringContaining("answers no reads: its link")]);
  });

  it("goes on while a server is frozen", async () => {
    const { server } = replicaAt(0);
    const servers = await watched({ intervalMs: 200 });
    await servers.tick();
    server.pause();
    const frozen = await servers.stateOf(server, "silent");
    expect(frozen).toMatchObject({ role: "replica", lagMs: undefined, memoryBytes: undefined });
    expect(frozen.reason).toMatch(/^no answer for \d+ s$/);
    const { warnings, groups } = await servers.tick();
    expect(warnings).toEqual([expect.stringContaining(`${addressOf(server)} is silent: no answer for`)]);
    expect(groups[0]?.servers.filter(({ state }) => state === "serving")).toHaveLength(2);
    server.resume();
    await servers.stateOf(server, "serving");
  });

  it("knows no lag while the primary is frozen", async () => {
    const servers = await watched({ intervalMs: 200 });
    await servers.tick();
    group.primary.pause();
    await servers.stateOf(group.primary, "silent");
    const row = rowOf(await servers.tick(), replicaAt(0).server);
    expect([row?.lagBytes, row?.lagMs, row?.history.at(-1)?.lagMs]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  });

  it("has no primary after the primary died, and then the one that was promoted", async () => {
    const servers = await watched();
    await servers.tick();
    await group.primary.kill();
    await servers.stateOf(group.primary, "silent");
    const { warnings } = await servers.tick();
    expect(warnings[0]).toBe("no server reports to be the primary. Writes fail until one does");
    expect(warnings[1]).toContain(`${addressOf(group.primary)} is silent: connect ECONNREFUSED`);
    const [promoted, other] = [replicaAt(0).server, replicaAt(1).server];
    await promoted.replicate(undefined);
    await other.replicate(promoted);
    await servers.stateOf(promoted, "serving");
    expect(await servers.stateOf(other, "serving")).toMatchObject({ lagBytes: 0 });
    expect(rowOf(await servers.tick(), group.primary)).toMatchObject({ role: "primary", state: "silent" });
  });

  it("warns of two primaries", async () => {
    const { server } = replicaAt(0);
    const servers = await watched();
    await servers.tick();
    await server.replicate(undefined);
    await servers.stateOf(server, "other-primary");
    const { warnings } = await servers.tick();
    const both = `${addressOf(group.primary)}, ${addressOf(server)}`;
    expect(warnings).toContain(
      `there are 2 primaries: ${both}. Writes to one of them never reach the replicas of the others`,
    );
  });

  it("recognizes a replica of another primary", async () => {
    await using stranger = await RedisServer.start();
    const { server } = replicaAt(0);
    const servers = await watched();
    await servers.tick();
    await server.replicate(stranger);
    const row = await servers.stateOf(server, "unknown-history");
    expect(row.reason).toBe(
      `it replicates from ${addressOf(stranger)}, and its replication id differs from the primary's`,
    );
    expect(row.lagBytes).toBeUndefined();
  });

  it("finds a replica that joins later", async () => {
    const servers = await watched();
    await servers.tick();
    await using joined = await RedisServer.start({ replicaOf: group.primary });
    await servers.stateOf(joined, "serving");
  });

  it("shows a replica that loads its data", async () => {
    const { server } = replicaAt(0);
    await fill(group.primary);
    await group.ready();
    await slowLoading(server);
    const servers = await watched();
    await servers.tick();
    replicaAt(0).link.cut();
    await group.primary.admin().config("SET", "repl-backlog-size", 16_384);
    await write(100_000);
    await group.primary.admin().call("DEBUG", "CHANGE-REPL-ID");
    replicaAt(0).link.mend();
    const row = await servers.stateOf(server, "loading");
    expect(row.reason).toMatch(/^it loads its data/);
    await endLoading(server);
  });

  it("shows a replica that is synchronizing", async () => {
    const { server, link } = replicaAt(0);
    const servers = await watched();
    await servers.tick();
    link.cut();
    await group.primary.admin().call("DEBUG", "CHANGE-REPL-ID");
    link.hold();
    link.mend();
    await waitUntil(() => link.connections > 0, { what: "the replica connects again" });
    // The answer to PSYNC has to pass, and the data after it must not.
    await group.primary.admin().config("SET", "rdb-key-save-delay", 5_000_000);
    await write(10);
    await link.release();
    const row = await servers.stateOf(server, "syncing");
    expect(row.reason).toContain("is not finished");
    await group.primary.admin().config("SET", "rdb-key-save-delay", 0);
  });

  it("warns of a replica that evicts keys by itself", async () => {
    const { server } = replicaAt(0);
    const servers = await watched();
    const before = await servers.tick();
    expect(before.warnings).toEqual([]);
    await server.admin().config("SET", "replica-ignore-maxmemory", "no");
    await server.admin().config("SET", "maxmemory-policy", "allkeys-lru");
    await server.admin().config("SET", "maxmemory", "3mb");
    for (let i = 0; i < 40; i++) await group.primary.admin().set(`key${i}`, "x".repeat(100_000));
    const { warnings } = await servers.until((one) =>
      one.warnings.some((text) => text.includes("evicts keys")),
    );
    expect(warnings.join("\n")).toMatch(`${addressOf(server)} is a replica and evicts keys by itself`);
  });

  it("warns of a replica that accepts writes", async () => {
    const { server } = replicaAt(0);
    await server.admin().config("SET", "replica-read-only", "no");
    const { warnings } = await (await watched()).tick();
    expect(warnings).toEqual([
      expect.stringContaining(`${addressOf(server)} is a replica and accepts writes`),
    ]);
  });

  it("names the ACL rule that the user lacks", async () => {
    await group.primary.admin().call("ACL", "SETUSER", "app", "on", ">hush", "~*", "+@all", "-info");
    const servers = await WatchedServers.at([`redis://app:hush@127.0.0.1:${group.primary.port}`]);
    const row = await servers.stateOf(group.primary, "refusing");
    expect(row.reason).toBe("this user may not ask it. Add the ACL rule +info");
    expect(JSON.stringify(await servers.tick())).not.toContain("hush");
  });
});

describe("A watched server", () => {
  const fakeServer = async (answer: Answer): Promise<FakeServer> => {
    const server = await FakeServer.start(answer);
    onTestFinished(() => server.stop());
    return server;
  };

  it("that is alone has no replica to answer reads", async () => {
    await using server = await RedisServer.start();
    const { warnings } = await (await WatchedServers.at([server.url])).tick();
    expect(warnings).toEqual([`${addressOf(server)} has no replica, so it answers every read`]);
  });

  it("cannot control the terminal", async () => {
    const server = await fakeServer((name) =>
      name === "info" ? new Error("ERR \u001b[2J\u0007 no") : undefined,
    );
    const servers = await WatchedServers.at([`redis://127.0.0.1:${server.port}`]);
    const snapshot = await servers.tick();
    expect(rowOf(snapshot, server)?.reason).toContain("ERR ?[2J? no");
    expect(snapshot.warnings.join("\n")).not.toMatch(/\p{Cc}(?<!\n)/u);
  });

  it("without a position of Redis says what is wrong with it", async () => {
    const server = await fakeServer((name) =>
      name === "info" ? "# Replication\r\nrole:master\r\n" : undefined,
    );
    const servers = await WatchedServers.at([`redis://127.0.0.1:${server.port}`]);
    expect(await servers.stateOf(server, "unknown-position")).toMatchObject({
      reason: expect.stringContaining("lacks a role, a master_replid or an offset"),
    });
  });
});

describe("A watched cluster", () => {
  it("has a group for each shard, to which a dead node still belongs", async () => {
    await using cluster = await startClusterGroup({ shards: 3, replicasPerShard: 1 });
    const [first, second] = cluster.nodes;
    if (first === undefined || second === undefined) throw new Error("there is no node");
    const servers = await WatchedServers.at([`redis://127.0.0.1:${first.port}`], { cluster: true });
    const snapshot = await servers.until((one) => one.warnings.length === 0);
    expect(snapshot.groups.map(({ title }) => title?.replace(/.*, /, ""))).toEqual([
      ...["slots 0-5460", "slots 5461-10921", "slots 10922-16383"],
    ]);
    expect(snapshot.groups.map(({ servers }) => servers.map(({ role }) => role))).toEqual(
      Array.from({ length: 3 }, () => ["primary", "replica"]),
    );
    const [replica] = await cluster.replicasOf(second);
    if (replica === undefined) throw new Error("the shard has no replica");
    await replica.server.kill();
    replica.proxy.cut();
    await servers.stateOf(replica, "silent");
    const { groups, warnings } = await servers.tick();
    expect(groups.map(({ servers }) => servers.length)).toEqual([2, 2, 2]);
    expect(groups[1]?.servers.map(({ state }) => state)).toEqual(["serving", "silent"]);
    expect(warnings).toEqual([expect.stringContaining(`${addressOf(replica)} is silent`)]);
    const again = await WatchedServers.at([`redis://127.0.0.1:${first.port}`], { cluster: true });
    await second.server.kill();
    second.proxy.cut();
    await again.stateOf(second, "silent");
    const alone = await again.tick();
    expect(alone.groups.at(-1)?.title).toBe("shard without a primary, slots 5461-10921");
    expect(alone.warnings[0]).toBe(
      "shard without a primary, slots 5461-10921: no server reports to be the primary. Writes fail until one does",
    );
  });
});

describe("Servers that Sentinels name", () => {
  it("include the primary after a failover, and a warning without enough Sentinels", async () => {
    await using group = await startSentinelGroup({ replicas: 1 });
    const urls = group.sentinels.map(({ url }) => url);
    const servers = await WatchedServers.at(urls.slice(0, 1), { sentinel: group.name });
    const old = await group.primary();
    expect(await servers.stateOf(old, "serving")).toMatchObject({ role: "primary" });
    await group.failover();
    const named = await group.primary();
    // The Sentinels wait ten seconds before they demote the old primary, which still reports to be one.
    const snapshot = await servers.until((one) => rowOf(one, named)?.state === "serving");
    expect(rowOf(snapshot, named)).toMatchObject({ role: "primary" });
    expect(rowOf(snapshot, old)).toMatchObject({ role: "primary", state: "other-primary" });
    for (const sentinel of group.sentinels.slice(1)) await sentinel.kill();
    await servers.until(({ warnings }) =>
      warnings.includes("only 1 of 3 Sentinels answer, so no failover is possible"),
    );
  });
});
