/** The checks of a Redis Cluster, on a real one. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { checked, finding, type Inspected } from "../../support/cli/inspected.js";
import { type ClusterGroup, startClusterGroup } from "../../support/servers/cluster-group.js";
import type { ClusterNode } from "../../support/servers/cluster-node.js";
import { RedisServer } from "../../support/servers/redis-server.js";
import { waitUntil } from "../../support/wait-until.js";

let group: ClusterGroup;
/** Two primaries. Only the first has a replica. */
let first: ClusterNode;
let second: ClusterNode;
let replica: ClusterNode;
beforeAll(async () => {
  group = await startClusterGroup({ shards: 2, replicatedShards: 1 });
  const [one, two, three] = group.nodes;
  if (one === undefined || two === undefined || three === undefined)
    throw new Error("there are too few nodes");
  [first, second, replica] = [one, two, three];
});
afterAll(() => group.stop());

function urlOf({ host, port }: ClusterNode): string {
  return `redis://${host}:${port}`;
}

function checkedHere(id: string, options: Inspected = {}) {
  return checked(id, [urlOf(first)], { cluster: true, ...options });
}

function cluster(node: ClusterNode, ...args: readonly (string | number)[]): Promise<unknown> {
  return node.server.admin().call("CLUSTER", ...args);
}

async function stateOf(node: ClusterNode, field: string): Promise<string | undefined> {
  return new RegExp(`^${field}:(.*)\r$`, "m").exec(String(await cluster(node, "INFO")))?.[1];
}

describe("The check cluster-mode", () => {
  it("fails a node that was not given as one", async () => {
    const [finding1] = await checkedHere("cluster-mode", { cluster: false });
    expect(finding1).toEqual(finding("fail", "not given as one"));
    expect(finding1?.fix).toBe(`tidemark doctor --cluster ${urlOf(first)}`);
  });

  it("fails a server that is no node", async () => {
    await using alone = await RedisServer.start();
    expect(await checked("cluster-mode", [alone.url], { cluster: true })).toEqual([
      finding("fail", "no node"),
    ]);
    expect(await checked("cluster-state", [alone.url], { cluster: true })).toEqual([]);
  });

  it("says nothing of nodes that were given as such", async () => {
    expect(await checkedHere("cluster-mode")).toEqual([]);
  });
});

describe("The check cluster-state", () => {
  it("passes all nodes of a sound cluster", async () => {
    const passes = finding("pass", "ok, 3 nodes");
    expect(await checkedHere("cluster-state")).toEqual([passes, passes, passes]);
  });
});

describe("The check cluster-slots", () => {
  it("passes if all slots have an owner", async () => {
    expect(await checkedHere("cluster-slots")).toEqual([finding("pass", "all 16384")]);
  });

  it("fails if a slot has none, as do the state and the agreement", async () => {
    await cluster(first, "DELSLOTS", 0);
    await waitUntil(async () => (await stateOf(first, "cluster_state")) === "fail", {
      what: "the node finds the cluster incomplete",
    });
    const found = [
      await checkedHere("cluster-slots"),
      (await checkedHere("cluster-state")).filter(({ verdict }) => verdict === "fail"),
      await checkedHere("cluster-agreement"),
    ];
    await cluster(first, "ADDSLOTS", 0);
    await group.ready();
    expect(found).toEqual([
      [finding("fail", "1 of 16384 slots")],
      expect.arrayContaining([finding("fail", "cluster_state is fail")]),
      [finding("fail", "disagree")],
    ]);
  });
});

describe("The check cluster-replicas", () => {
  it("warns of a shard without a replica, and passes the other", async () => {
    const findings = await checkedHere("cluster-replicas");
    expect(findings).toHaveLength(2);
    expect(findings).toContainEqual({
      ...{ check: "cluster-replicas", group: "Cluster", verdict: "pass", found: "its shard has one replica" },
      server: `127.0.0.1:${first.port}`,
    });
    expect(findings).toContainEqual(finding("warn", "its shard has no replica"));
  });
});

describe("The check cluster-migrations", () => {
  it("warns of a move that was broken off, and passes without one", async () => {
    expect(await checkedHere("cluster-migrations")).toEqual([finding("pass", "no slot")]);
    await cluster(first, "SETSLOT", 7, "MIGRATING", second.id);
    await cluster(second, "SETSLOT", 7, "IMPORTING", first.id);
    const findings = await checkedHere("cluster-migrations");
    const agreement = await checkedHere("cluster-agreement");
    await cluster(first, "SETSLOT", 7, "STABLE");
    await cluster(second, "SETSLOT", 7, "STABLE");
    expect(findings).toHaveLength(2);
    expect(findings).toContainEqual(finding("warn", "slot 7", "away from"));
    expect(findings).toContainEqual(finding("warn", "slot 7", "to this node"));
    expect(agreement).toEqual([finding("pass", "3 nodes agree")]);
  });
});

describe("The check cluster-agreement", () => {
  it("passes nodes that agree", async () => {
    expect(await checkedHere("cluster-agreement")).toEqual([finding("pass", "3 nodes agree")]);
  });
});

describe("The check cluster-settings", () => {
  it.each(["cluster-replica-no-failover", "cluster-allow-reads-when-down"])("warns of %s", async (name) => {
    await replica.server.admin().call("CONFIG", "SET", name, "yes");
    const findings = await checkedHere("cluster-settings");
    await replica.server.admin().call("CONFIG", "SET", name, "no");
    expect(findings).toContainEqual(
      expect.objectContaining({
        ...{ server: `127.0.0.1:${replica.port}`, verdict: "warn", found: `${name} is yes` },
        fix: `redis-cli -h 127.0.0.1 -p ${replica.port} CONFIG SET ${name} no`,
      }),
    );
  });

  it("passes the defaults", async () => {
    const passes = finding("pass", "may be promoted");
    expect(await checkedHere("cluster-settings")).toEqual([passes, passes, passes]);
  });
});

describe("The checks of a cluster with a fault", () => {
  it("warn of a node that is cut off while the epoch rises", async () => {
    expect(await checkedHere("cluster-epochs")).toEqual([finding("pass", "all are at epoch")]);
    // Only the bus is cut, because the doctor has to reach the node.
    replica.bus.cut();
    for (const other of [first, second]) other.bus.ban(replica.id);
    const epochOf = (node: ClusterNode) => stateOf(node, "cluster_current_epoch");
    await cluster(first, "BUMPEPOCH");
    await cluster(second, "BUMPEPOCH");
    const isHeard = async () => (await epochOf(first)) === (await epochOf(second));
    await waitUntil(isHeard, { what: "the other nodes are at the new epoch" });
    const findings = await checkedHere("cluster-epochs");
    replica.bus.mend();
    for (const other of [first, second]) other.bus.admit(replica.id);
    await group.ready();
    expect(findings).toEqual([
      expect.objectContaining({
        ...{ verdict: "warn", server: `127.0.0.1:${replica.port}` },
        found: expect.stringContaining("another node is at epoch"),
      }),
    ]);
  });

  it("warn of a dead node, and of the shard that it leaves without a replica", async () => {
    await replica.server.kill();
    const isFailed = async () =>
      new RegExp(`^${replica.id} .*,fail `, "m").test(String(await cluster(first, "NODES")));
    await waitUntil(isFailed, { what: "the node is taken for dead", timeoutMs: 30_000 });
    const options = { timeoutMs: 1_000 };
    expect(await checkedHere("cluster-state", options)).toContainEqual(
      expect.objectContaining({
        ...{ verdict: "warn", found: `it lists nodes that it cannot reach: 127.0.0.1:${replica.port}` },
        fix: expect.stringContaining(`CLUSTER FORGET ${replica.id}`),
      }),
    );
    const lonely = finding("warn", "no replica");
    expect(await checkedHere("cluster-replicas", options)).toEqual([lonely, lonely]);
    await replica.server.restart();
    await group.ready();
  });
});
