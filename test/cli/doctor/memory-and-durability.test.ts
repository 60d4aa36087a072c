/** Checks of memory and durability: each fires on a server with that fault, and on no other. */
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Deployment } from "../../../src/cli/inspection/deployment.js";
import { applyFix, faultsOf, inspected, verdictsOf } from "../../support/cli/inspected.js";
import type { RedisServer } from "../../support/servers/redis-server.js";
import { type ReplicationGroup, startReplicationGroup } from "../../support/servers/replication-group.js";
import { waitUntil } from "../../support/wait-until.js";

let group: ReplicationGroup;
beforeEach(async () => {
  group = await startReplicationGroup({ replicas: 1 });
});
afterEach(() => group.stop());

const look = (): Promise<Deployment> => inspected([group.primary.url]);

function replica(): RedisServer {
  const [first] = group.replicas;
  if (first === undefined) throw new Error("the group has no replica");
  return first.server;
}

async function set(server: RedisServer, settings: Readonly<Record<string, string>>): Promise<void> {
  for (const [name, value] of Object.entries(settings)) await server.admin().config("SET", name, value);
}

/** The finding goes away when its fix is applied. */
async function expectCured(check: string): Promise<void> {
  const [finding] = faultsOf(await look(), check);
  if (finding !== undefined) await applyFix(finding);
  expect(new Set(verdictsOf(await look(), check))).toEqual(new Set(["pass"]));
}

describe("The check of eviction", () => {
  it("passes where nothing is evicted", async () => {
    expect(verdictsOf(await look(), "eviction")).toEqual(["pass", "pass"]);
  });

  it("fires for a replica that evicts keys by itself", async () => {
    const limits = {
      maxmemory: "100mb",
      "maxmemory-policy": "allkeys-lru",
      "replica-ignore-maxmemory": "no",
    };
    await set(replica(), limits);
    expect(faultsOf(await look(), "eviction")).toMatchObject([
      {
        verdict: "fail",
        server: `127.0.0.1:${replica().port}`,
        found: expect.stringContaining("allkeys-lru"),
      },
    ]);
    await expectCured("eviction");
  });

  it("warns that a primary with LRU does not see the reads of replicas", async () => {
    await set(group.primary, { maxmemory: "100mb", "maxmemory-policy": "allkeys-lru" });
    expect(faultsOf(await look(), "eviction")).toMatchObject([
      { verdict: "warn", why: expect.stringContaining("does not see reads on replicas") },
    ]);
    await set(group.primary, { "maxmemory-policy": "volatile-ttl" });
    expect(faultsOf(await look(), "eviction")).toEqual([]);
  });
});

describe("The check of the memory that is left", () => {
  it("passes for servers with the same limits", async () => {
    await set(group.primary, { maxmemory: "100mb" });
    await set(replica(), { maxmemory: "100mb" });
    expect(verdictsOf(await look(), "memory-headroom")).toEqual(["pass", "pass"]);
  });

  it("fires for a replica with less memory than its primary", async () => {
    await set(replica(), { maxmemory: "50mb" });
    expect(faultsOf(await look(), "memory-headroom")).toMatchObject([
      { verdict: "warn", found: "maxmemory is 50 MB, and unlimited on the primary" },
    ]);
    await expectCured("memory-headroom");
  });

  it("fires for a primary that is nearly full", async () => {
    const { used_memory: used } = await group.primary.info("memory");
    await set(group.primary, { maxmemory: String(Math.round(Number(used) * 1.05)) });
    expect(faultsOf(await look(), "memory-headroom")[0]).toMatchObject({
      verdict: "warn",
      why: expect.stringContaining("OOM"),
    });
    await expectCured("memory-headroom");
  });
});

describe("The check of persistence", () => {
  it("fires for a primary that keeps its data in memory only", async () => {
    expect(faultsOf(await look(), "persistence")).toMatchObject([
      { verdict: "warn", found: "keeps its data in memory only" },
    ]);
    await expectCured("persistence");
  });

  it("fires for a primary whose last snapshot failed", async () => {
    await set(group.primary, { save: "3600 1" });
    expect(verdictsOf(await look(), "persistence")).toEqual(["pass"]);
    // Redis cannot put a file in the place of a folder that has something in it.
    await rm(join(group.primary.dir, "dump.rdb"), { force: true });
    await mkdir(join(group.primary.dir, "dump.rdb", "something"), { recursive: true });
    await expectFailedSnapshot();
    expect(faultsOf(await look(), "persistence")).toMatchObject([
      { verdict: "fail", found: "the last snapshot failed" },
    ]);
  });
});

async function expectFailedSnapshot(): Promise<void> {
  await group.primary.admin().call("BGSAVE");
  await waitUntil(async () => (await group.primary.info("persistence")).rdb_last_bgsave_status === "err", {
    what: "the snapshot has failed",
  });
}

describe("The check of replicas that must be there for a write", () => {
  it("fires for a primary that refuses writes for want of replicas", async () => {
    await set(group.primary, { "min-replicas-to-write": "3" });
    expect(faultsOf(await look(), "min-replicas")).toMatchObject([
      { verdict: "fail", why: "The primary refuses every write with NOREPLICAS." },
    ]);
    await expectCured("min-replicas");
  });

  it("passes without Sentinels, because nothing promotes another server", async () => {
    expect(verdictsOf(await look(), "min-replicas")).toEqual(["pass"]);
  });
});
