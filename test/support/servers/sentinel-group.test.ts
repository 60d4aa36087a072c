import { Redis } from "ioredis";
import { describe, expect, test } from "vitest";
import { waitUntil } from "../wait-until.js";
import { quickPeriods, type SentinelGroup, startSentinelGroup } from "./sentinel-group.js";

const quick = { periods: quickPeriods };

describe.concurrent("startSentinelGroup()", () => {
  test("starts nodes and sentinels that know each other by the ports of the proxies", async () => {
    await using group = await startSentinelGroup();
    const [primary, ...replicas] = group.nodes;
    const ports = replicas.map(({ port }) => port).sort();
    expect(await group.primary()).toBe(primary);
    expect(await group.replicas()).toEqual(replicas);
    for (const sentinel of group.sentinels) {
      const named = await sentinel.admin().call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", group.name);
      expect(named).toEqual(["127.0.0.1", String(primary?.port)]);
      expect(await portsKnown(sentinel.admin(), "REPLICAS", group)).toEqual(ports);
      const others = group.sentinels.filter((other) => other !== sentinel).map(({ port }) => port);
      expect(await portsKnown(sentinel.admin(), "SENTINELS", group)).toEqual(others.sort());
    }
    expect(primary?.proxy.connectionsOf("replicas")).toBe(2);
    expect(primary?.proxy.connectionsOf("sentinels")).toBe(6);
  });

  test("delays one replica by the port that the replica announces", async () => {
    await using group = await startSentinelGroup({ replicas: 2, sentinels: 1, ...quick });
    const [primary, held, free] = group.nodes;
    primary?.proxy.hold(held?.port);
    await primary?.server.admin().set("k", "v");
    await waitUntil(async () => (await free?.server.admin().get("k")) === "v", {
      what: "the other replica has k",
    });
    expect(await held?.server.admin().get("k")).toBeNull();
    await primary?.proxy.release();
    await group.caughtUp();
    expect(await held?.server.admin().get("k")).toBe("v");
  });

  test("replaces a primary that is killed, and accepts it back as a replica", async () => {
    await using group = await startSentinelGroup(quick);
    const old = await group.primary();
    const killedAt = performance.now();
    await old.server.kill();
    const { text } = await group.events.first("+switch-master", killedAt);
    const primary = await group.primary();
    expect(primary).not.toBe(old);
    expect(text).toBe(`${group.name} 127.0.0.1 ${old.port} 127.0.0.1 ${primary.port}`);
    await group.ready();
    expect(new Set(group.events.named("+switch-master").map(({ sentinel }) => sentinel)).size).toBe(3);
    expect(group.events.named("+switch-master", performance.now())).toEqual([]);
    await primary.server.admin().set("k", "v");
    await old.server.restart();
    await group.ready();
    expect(await old.server.admin().get("k")).toBe("v");
    // Whom it follows is in its file now.
    await old.server.restart();
    expect((await old.server.info("replication")).master_port).toBe(String(primary.port));
  });

  test("failover() promotes a replica, while the old primary still accepts writes", async () => {
    await using group = await startSentinelGroup();
    const old = await group.primary();
    const askedAt = performance.now();
    await group.failover();
    await group.events.first("+switch-master", askedAt);
    const primary = await group.primary();
    expect(primary).not.toBe(old);
    expect(await primary.server.admin().set("k", "new")).toBe("OK");
    expect(await old.server.admin().set("k", "lost")).toBe("OK");
    expect(group.events.named("+convert-to-slave")).toEqual([]);
    expect(await primary.server.admin().get("k")).toBe("new");
  });

  test("replaces a primary that only its clients can reach, and demotes it once others can reach it", async () => {
    await using group = await startSentinelGroup(quick);
    const old = await group.primary();
    const client = new Redis(old.port);
    old.proxy.cut("replicas", "sentinels");
    await group.events.first("+switch-master");
    expect(await client.set("k", "lost")).toBe("OK");
    old.proxy.mend();
    await group.ready();
    expect(await group.primary()).not.toBe(old);
    expect(await client.get("k")).toBeNull();
    client.disconnect();
  });

  test("primary() follows the newest configuration, even if one sentinel has not heard of it", async () => {
    await using group = await startSentinelGroup({ replicas: 1, sentinels: 2 });
    const [awake, asleep] = group.sentinels;
    const old = await group.primary();
    await asleep?.kill();
    await group.failover();
    await group.events.first("+switch-master");
    await awake?.kill();
    await asleep?.restart();
    expect(await group.primary()).toBe(old);
    await awake?.restart();
    expect(await group.primary()).not.toBe(old);
  });

  test("ready() waits while a sentinel considers the primary down", async () => {
    await using group = await startSentinelGroup({ replicas: 0, sentinels: 1, ...quick });
    const primary = await group.primary();
    primary.proxy.stall("sentinels");
    await group.events.first("+sdown");
    const becoming = group.ready().then(() => performance.now());
    for (let trips = 0; trips < 200; trips += 1) await primary.server.admin().ping();
    const unstalledAt = performance.now();
    primary.proxy.unstall();
    expect(await becoming).toBeGreaterThan(unstalledAt);
  });

  test("ready() waits for a replica that is held", async () => {
    await using group = await startSentinelGroup({ replicas: 1, sentinels: 1, ...quick });
    const primary = await group.primary();
    primary.proxy.hold();
    await primary.server.admin().set("k", "v");
    let isReady = false;
    const becoming = group.ready().then(() => (isReady = true));
    for (let trips = 0; trips < 500; trips += 1) await primary.server.admin().ping();
    expect(isReady).toBe(false);
    await primary.proxy.release();
    await becoming;
    const [replica] = await group.replicas();
    expect(await replica?.server.admin().get("k")).toBe("v");
  });

  test("works with passwords", async () => {
    const [password, sentinelPassword] = ["s3cret", "0ther"];
    await using group = await startSentinelGroup({ password, sentinelPassword, ...quick });
    const [sentinel] = group.sentinels;
    const open = new Redis({ port: sentinel?.port, enableReadyCheck: false });
    open.on("error", () => {});
    await expect(open.call("SENTINEL", "MASTERS")).rejects.toThrow("NOAUTH");
    open.disconnect();
    const old = await group.primary();
    expect(new URL(old.server.url).password).toBe(password);
    await old.server.kill();
    await group.events.first("+switch-master");
    await group.ready();
    expect(await group.primary()).not.toBe(old);
  });

  test("leaves nothing running when a sentinel does not start", async () => {
    const starting = startSentinelGroup({ replicas: 0, sentinelArgs: ["--loglevel", "no-such-level"] });
    await expect(starting).rejects.toThrow("no-such-level");
  });
});

/** The ports that a sentinel lists of one kind. */
async function portsKnown(sentinel: Redis, kind: "REPLICAS" | "SENTINELS", group: SentinelGroup) {
  const reply = await sentinel.call("SENTINEL", kind, group.name);
  const listed: unknown[][] = Array.isArray(reply) ? reply : [];
  return listed.map((fields) => Number(fields[fields.indexOf("port") + 1])).sort();
}
