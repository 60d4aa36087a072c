import { Cluster } from "ioredis";
import { describe, expect, test } from "vitest";
import { slotOf, tagOf } from "../commands/hash-slot.js";
import { waitUntil } from "../wait-until.js";
import { startClusterGroup } from "./cluster-group.js";
import type { ClusterNode } from "./cluster-node.js";
import { toldBy } from "./cluster-view.js";

const slot = slotOf("k");

describe.concurrent("startClusterGroup()", () => {
  test("starts shards that clients find by the ports of the proxies", async ({ onTestFinished }) => {
    await using group = await startClusterGroup();
    const [first, , last] = group.nodes;
    const all = new Set(group.nodes.map(({ port }) => port));
    for (const { server } of group.nodes) expect(await toldBy(server)).toEqual(all);
    expect(await group.primaryOf(0)).toBe(first);
    expect(await group.primaryOf(16_383)).toBe(last);
    for (const [i, primary] of group.nodes.slice(0, 3).entries()) {
      expect(await group.replicasOf(primary)).toEqual([group.nodes[3 + i]]);
      expect(primary.proxy.connectionsOf("replicas")).toBe(1);
    }
    const client = new Cluster([{ host: "127.0.0.1", port: first?.port }]).on("error", () => {});
    onTestFinished(() => client.disconnect());
    for (const wanted of [0, 6_000, 16_383]) {
      const key = `{${tagOf(wanted)}}`;
      expect(await client.set(key, "v")).toBe("OK");
      expect(await (await group.primaryOf(wanted)).server.admin().get(key)).toBe("v");
    }
    const ports = client.nodes().map(({ options }) => options.port);
    expect(new Set(ports)).toEqual(all);
  });

  test("lets replicas lag behind their primary", async () => {
    await using group = await startClusterGroup({ shards: 1, replicasPerShard: 2 });
    const primary = await group.primaryOf(slot);
    const [held, free] = await group.replicasOf(primary);
    for (const replica of [held, free]) await replica?.server.admin().readonly();
    primary.proxy.hold(held?.port);
    await primary.server.admin().set("k", "v");
    await waitUntil(async () => (await free?.server.admin().get("k")) === "v", {
      what: "the other replica has k",
    });
    expect(await held?.server.admin().get("k")).toBeNull();
    let isReady = false;
    const becoming = group.ready().then(() => (isReady = true));
    for (let trips = 0; trips < 500; trips += 1) await held?.server.admin().ping();
    expect(isReady).toBe(false);
    await primary.proxy.release();
    await becoming;
    expect(await held?.server.admin().get("k")).toBe("v");
  });

  test("isolate() separates a replica from its primary", async () => {
    await using group = await startClusterGroup({ shards: 1 });
    const primary = await group.primaryOf(slot);
    const [replica] = await group.replicasOf(primary);
    if (replica === undefined) throw new Error("no replica");
    group.isolate(replica);
    const isParted = async () => (await replica.server.info("replication")).master_link_status === "down";
    await waitUntil(isParted, { what: "the replica is isolated" });
    await primary.server.admin().set("k", "v");
    group.rejoin(replica);
    await group.ready();
    await replica.server.admin().readonly();
    expect(await replica.server.admin().get("k")).toBe("v");
  });

  test("moves a slot step by step and key by key", async () => {
    const args = ["--requirepass", "s3cret", "--masterauth", "s3cret"];
    await using group = await startClusterGroup({ shards: 3, args });
    const from = await group.primaryOf(slot);
    const to = await group.primaryOf((slot + 8_000) % 16_384);
    const keys = ["k", "{k}1", "{k}2"];
    for (const key of keys) await from.server.admin().set(key, key);
    const ask = (node: ClusterNode, key: string) => node.server.admin().get(key);

    const migration = await group.migration(slot, to);
    expect(migration.from).toBe(from);
    await migration.begin();
    for (const key of keys) expect(await ask(from, key)).toBe(key);
    const moved = await migration.moveKeys(1);
    expect(moved).toHaveLength(1);
    for (const key of keys.filter((key) => !moved.includes(key))) expect(await ask(from, key)).toBe(key);
    for (const key of moved) await expect(ask(from, key)).rejects.toThrow(`ASK ${slot} 127.0.0.1:${to.port}`);
    expect([...moved, ...(await migration.moveKeys())].sort()).toEqual(keys.sort());
    expect(await group.primaryOf(slot)).toBe(from);
    const bystander = group.nodes.slice(0, 3).find((node) => node !== from && node !== to);
    if (bystander === undefined) throw new Error("no third primary");
    group.isolate(bystander);
    await migration.finish();
    expect(await group.primaryOf(slot)).toBe(to);
    // It was told by nobody but the one who moved the slot.
    await expect(ask(bystander, "k")).rejects.toThrow(`MOVED ${slot} 127.0.0.1:${to.port}`);
    group.rejoin(bystander);
    await group.ready();
    for (const node of group.nodes.filter((node) => node !== to)) {
      await expect(ask(node, "k")).rejects.toThrow(`MOVED ${slot} 127.0.0.1:${to.port}`);
    }
    for (const key of keys) expect(await ask(to, key)).toBe(key);
  });

  test("failover() promotes a replica, and demotes its primary", async () => {
    await using group = await startClusterGroup();
    const old = await group.primaryOf(slot);
    const [replica, ...none] = await group.replicasOf(old);
    if (replica === undefined) throw new Error("no replica");
    expect(none).toEqual([]);
    await group.failover(replica);
    expect(await group.primaryOf(slot)).toBe(replica);
    expect(await group.replicasOf(replica)).toEqual([old]);
    await group.ready();
    await replica.server.admin().set("k", "v");
    await group.ready();
    await old.server.admin().readonly();
    expect(await old.server.admin().get("k")).toBe("v");
  });

  test("replaces a primary that is killed, and accepts it back as a replica", async () => {
    await using group = await startClusterGroup();
    const old = await group.primaryOf(slot);
    const [replica] = await group.replicasOf(old);
    await old.server.kill();
    await group.ready();
    expect(await group.primaryOf(slot)).toBe(replica);
    await replica?.server.admin().set("k", "v");
    await old.server.restart();
    await group.ready();
    await old.server.admin().readonly();
    expect(await old.server.admin().get("k")).toBe("v");
  });

  test("isolate() lets clients write to a replaced primary, until rejoin()", async () => {
    await using group = await startClusterGroup();
    const old = await group.primaryOf(slot);
    const client = old.server.admin().duplicate({ port: old.port });
    await client.set("k", "kept");
    await group.ready();
    group.isolate(old);
    expect(await client.set("k", "lost")).toBe("OK");
    await waitUntil(async () => (await group.primaryOf(slot)) !== old, { what: "the primary is replaced" });
    const primary = await group.primaryOf(slot);
    expect(await primary.server.admin().get("k")).toBe("kept");
    // A primary that has missed the majority for the node timeout stops.
    const isDown = async () =>
      String(await client.set("k", "lost").catch((error: unknown) => error)).includes("CLUSTERDOWN");
    await waitUntil(isDown, { what: "the isolated primary refuses writes" });
    group.rejoin(old);
    await group.ready();
    expect(await group.replicasOf(primary)).toEqual([old]);
    await client.readonly();
    expect(await client.get("k")).toBe("kept");
    client.disconnect();
  });

  test("leaves nothing running when a node does not start", async () => {
    const starting = startClusterGroup({ shards: 1, args: ["--no-such-option", "1"] });
    await expect(starting).rejects.toThrow("no-such-option");
  });
});
