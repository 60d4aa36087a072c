/** Connections to cluster nodes after they were closed, and the addresses that are used for nodes. */
import { expect, it } from "vitest";
import type { Tidemark } from "../../src/index.js";
import type { ClusterNode } from "../support/servers/cluster-node.js";
import { clusterIsEligible, keyIn, stageCluster } from "../support/stages/staged-cluster.js";
import { waitUntil } from "../support/wait-until.js";

const stage = stageCluster();
const key = keyIn(1);

async function readsOnReplica(tidemark: Tidemark): Promise<void> {
  const isThere = async () => {
    stage.routes.clear();
    expect(await tidemark.session().redis.get(key)).toBe("v");
    return stage.routes.of("get").join() === "replica:known";
  };
  await waitUntil(isThere, { what: "the replica answers" });
}

it("a replica answers again after its connection was closed", async () => {
  const tidemark = await stage.open();
  await tidemark.session().redis.set(key, "v");
  const [replica] = await stage.group.replicasOf(await stage.group.primaryOf(1));
  await readsOnReplica(tidemark);
  const killed = await replica?.server.admin().call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
  expect(Number(killed)).toBeGreaterThan(0);
  await waitUntil(() => tidemark.topology().some(({ eligible }) => !eligible), {
    what: "the closed connection is noticed",
  });
  await clusterIsEligible(tidemark);
  await readsOnReplica(tidemark);
});

it("the connection to a demoted primary becomes read-only, and the one to a promoted replica writable", async () => {
  const tidemark = await stage.open();
  const primary = await stage.group.primaryOf(6_000);
  /** Whether all other connections of clients have sent READONLY (flag "r"), or none has. */
  const isSaid = async (node: ClusterNode, word: "readonly" | "readwrite") => {
    const lines = String(await node.server.admin().client("LIST")).split("\n");
    // Those that track have the flag "t" as well.
    const flags = lines.flatMap((line) => {
      return / cmd=client/.test(line) ? [] : (/ flags=([Nrt]+) /.exec(line)?.[1] ?? []);
    });
    return flags.length > 0 && flags.every((one) => one.includes("r") === (word === "readonly"));
  };
  const [replica] = await stage.group.replicasOf(primary);
  if (replica === undefined) throw new Error("no replica");
  await clusterIsEligible(tidemark);
  expect(await isSaid(primary, "readwrite")).toBe(true);
  expect(await isSaid(replica, "readonly")).toBe(true);
  await stage.group.failover(replica);
  await tidemark.session().redis.set(keyIn(6_000), "v");
  await stage.group.ready();
  await clusterIsEligible(tidemark);
  await waitUntil(() => isSaid(replica, "readwrite"), { what: "the new primary has received READWRITE" });
  await waitUntil(() => isSaid(primary, "readonly"), { what: "the old primary has received READONLY" });
});

it("nodes are reached at the addresses that natMap has for their announced ones", async () => {
  const { nodes } = stage.group;
  const natMap = Object.fromEntries(
    nodes.map(({ host, port, server }) => [`${host}:${port}`, { host, port: server.port }]),
  );
  const tidemark = await stage.open({ redis: { natMap } });
  await tidemark.session().redis.set(key, "v");
  await readsOnReplica(tidemark);
  const ports = tidemark.topology().map(({ address }) => Number(address.split(":")[1]));
  expect(new Set(ports)).toEqual(new Set(nodes.map(({ server }) => server.port)));
});
