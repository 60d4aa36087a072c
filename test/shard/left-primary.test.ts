/** The shard reports a primary that it abandons, so that further connections to that primary can be dropped. */
import { expect, it } from "vitest";
import { Counts } from "../../src/diagnostics/counts.js";
import { checkOptions } from "../../src/options/options.js";
import { Lineage } from "../../src/replication/lineage.js";
import { staticTopology } from "../../src/topology/topology.js";
import { replicaOf } from "../support/servers/failover.js";
import { stageGroup } from "../support/stages/staged-group.js";
import { waitUntil } from "../support/wait-until.js";

const stage = stageGroup({ replicas: 1 });

it("the shard reports a primary that is silent for too long, and one that another server replaces", async () => {
  const { primary } = stage.group;
  const heir = replicaOf(stage.group);
  const options = checkOptions({ primary: primary.url, replicas: [heir.url], primaryTimeoutMs: 400 });
  if (options.servers.kind !== "static") throw new Error("the servers were given");
  const heard: string[] = [];
  const left = ({ connection }: { connection: { address: string } }): void => {
    heard.push(connection.address);
  };
  const ground = {
    options,
    counts: new Counts({}),
    lineage: new Lineage(),
    joined: () => {},
    outages: { unnamed: () => {}, named: () => {} },
    left,
  };
  const topology = staticTopology(options.servers, ground);
  const [shard] = topology.shards;
  if (shard === undefined) throw new Error("there is no shard");
  try {
    const isKnown = (): boolean => shard.nodes.every(({ lastReport }) => lastReport !== undefined);
    await waitUntil(isKnown, { what: "both servers have reported their positions" });
    primary.pause();
    shard.primary.probeBefore();
    const address = `${primary.host}:${primary.port}`;
    await waitUntil(() => heard.length > 0, { what: "the silent primary is reported" });
    expect(heard).toEqual([address]);
    await heir.replicate(undefined);
    shard.monitor.searchUntilAnswered();
    await waitUntil(() => shard.primaryAddress !== address, { what: "the promoted replica is followed" });
    expect(heard.length).toBeGreaterThan(1);
    expect(new Set(heard)).toEqual(new Set([address]));
  } finally {
    topology.close();
    primary.resume();
  }
});
