/** The checks of load, on real servers. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { checked, finding } from "../../support/cli/inspected.js";
import { RewritingProxy } from "../../support/proxies/rewriting-proxy.js";
import { RedisServer } from "../../support/servers/redis-server.js";
import { waitUntil } from "../../support/wait-until.js";

describe("The check slow-commands", () => {
  let server: RedisServer;
  beforeAll(async () => {
    server = await RedisServer.start({ args: ["--slowlog-log-slower-than", "50000"] });
  });
  afterAll(() => server.stop());

  it("passes an empty slow log", async () => {
    expect(await checked("slow-commands", [server.url])).toEqual([finding("pass", "empty")]);
  });

  it("warns of a slow command, without its arguments", async () => {
    await server.admin().call("DEBUG", "SLEEP", "0.15");
    const findings = await checked("slow-commands", [server.url]);
    expect(findings).toEqual([finding("warn", "DEBUG with 1", "ms")]);
    expect(JSON.stringify(findings)).not.toContain("SLEEP");
    await server.admin().call("SLOWLOG", "RESET");
  });

  it("warns of a slow event of the latency monitor", async () => {
    await server.admin().call("CONFIG", "SET", "latency-monitor-threshold", "100");
    await server.admin().call("DEBUG", "SLEEP", "0.15");
    await server.admin().call("SLOWLOG", "RESET");
    expect(await checked("slow-commands", [server.url])).toEqual([
      finding("warn", "the event command with 1"),
    ]);
    await server.admin().call("LATENCY", "RESET");
  });

  it("passes commands that are not very slow", async () => {
    await server.admin().call("CONFIG", "SET", "slowlog-log-slower-than", "10000");
    await server.admin().call("DEBUG", "SLEEP", "0.02");
    const findings = await checked("slow-commands", [server.url]);
    expect(findings).toEqual([finding("pass", "the slowest of the latest is DEBUG")]);
  });
});

describe("The check fork-time", () => {
  it("warns of a slow fork, and passes a quick one and none", async () => {
    await using server = await RedisServer.start({ args: ["--disable-thp", "no"] });
    expect(await checked("fork-time", [server.url])).toEqual([finding("pass", "not forked yet")]);
    await using proxy = await RewritingProxy.start({ targetPort: server.port });
    const latest = (micros: number) => {
      proxy.rewrite = (text) => text.replace(/^latest_fork_usec:\d+/m, `latest_fork_usec:${micros}`);
      return checked("fork-time", [`redis://127.0.0.1:${proxy.port}`]);
    };
    expect(await latest(1_500)).toEqual([finding("pass", "took 1.5 ms")]);
    expect(await latest(250_000)).toEqual([
      expect.objectContaining({
        verdict: "warn",
        found: "the latest fork took 250 ms",
        why: expect.stringContaining("disable-thp is no"),
      }),
    ]);
  });
});

describe("The check replica-buffers", () => {
  it("warns while much data waits for a replica, and passes otherwise", async () => {
    const args = ["--client-output-buffer-limit", "replica 256mb 8mb 600"];
    await using primary = await RedisServer.start({ args });
    // Without a proxy, which would take in all that the primary sends.
    await using replica = await RedisServer.start({ replicaOf: primary });
    const isLinked = async () => (await replica.info("replication")).master_link_status === "up";
    await waitUntil(isLinked, { what: "the replica is in sync" });
    expect(await checked("replica-buffers", [primary.url])).toEqual([
      finding("pass", "wait for the slowest of one replica"),
    ]);
    replica.pause();
    const isFull = async () => {
      await primary.admin().set("k", Buffer.alloc(1_000_000));
      const line = String(await primary.admin().call("CLIENT", "LIST", "TYPE", "replica"));
      return Number(/ omem=(\d+)/.exec(line)?.[1]) > 3_000_000;
    };
    await waitUntil(isFull, { what: "the primary keeps data for the replica" });
    expect(await checked("replica-buffers", [primary.url], { timeoutMs: 1_000 })).toEqual([
      finding("warn", "MB wait", "soft limit is 8 MB"),
    ]);
  });

  it("is skipped without replicas", async () => {
    await using alone = await RedisServer.start();
    expect(await checked("replica-buffers", [alone.url])).toEqual([finding("skip", "no replica")]);
  });
});
