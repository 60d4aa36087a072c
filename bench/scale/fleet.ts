/** What replicas and shards cost: an app in a process of its own for each number of them, all under the same load. */
import { type ClusterGroup, startClusterGroup } from "../../test/support/cluster-group.js";
import type { RedisServer } from "../../test/support/redis-server.js";
import { type ReplicationGroup, startReplicationGroup } from "../../test/support/replication-group.js";
import { type Figure, figureOf, type Table } from "../section.js";
import type { Worker } from "../worker.js";
import type { Load, Work } from "./app.js";
import { Apps } from "./apps.js";
import { countInfos, meanOf } from "./info-calls.js";

const replicaCounts = [1, 2, 4, 8];
const shardCounts = [1, 3];
const rounds = 5;
const load = { perSecond: 2_000, writeShare: 0.05 };
const turnMs = 300;
/** What warms all up is so many times the load. */
const warmUp = 5;

interface Entry {
  readonly name: string;
  readonly app: Worker;
  readonly primaries: readonly RedisServer[];
  readonly replicas: readonly RedisServer[];
}

interface Cost extends Work {
  readonly onPrimary: number;
  readonly onReplica: number;
}

export async function measureFleets(scale: number): Promise<Table[]> {
  return [await measureReplicas(scale), await measureShards(scale)];
}

async function measureReplicas(scale: number): Promise<Table> {
  const groups: ReplicationGroup[] = [];
  using apps = new Apps();
  try {
    const entries: Entry[] = [];
    for (const count of replicaCounts) {
      const group = await startReplicationGroup({ replicas: count });
      groups.push(group);
      const replicas = group.replicas.map(({ server }) => server);
      const options = { primary: group.primary.url, replicas: replicas.map(({ url }) => url) };
      const primaries = [group.primary];
      if (entries.length === 0) {
        const app = await apps.start({ alone: group.primary.url });
        entries.push({ name: "ioredis, the primary alone", app, primaries, replicas: [] });
      }
      const app = await apps.start({ options });
      entries.push({ name: `Tidemark, replicas: ${count}`, app, primaries, replicas });
    }
    const costs = await takeTurns(entries, scale);
    return tableOf("Replicas", "Each number of replicas is a group of its own.", costs);
  } finally {
    await Promise.all(groups.map((group) => group.stop()));
  }
}

async function measureShards(scale: number): Promise<Table> {
  const groups: ClusterGroup[] = [];
  using apps = new Apps();
  try {
    const entries: Entry[] = [];
    for (const shards of shardCounts) {
      const group = await startClusterGroup({ shards, replicasPerShard: 1 });
      groups.push(group);
      const servers = group.nodes.map(({ server }) => server);
      const cluster = group.nodes.map(({ host, port }) => ({ host, port }));
      const app = await apps.start({ options: { cluster } });
      const [primaries, replicas] = [servers.slice(0, shards), servers.slice(shards)];
      entries.push({ name: `Tidemark, shards: ${shards}`, app, primaries, replicas });
    }
    const costs = await takeTurns(entries, scale);
    return tableOf("Shards", "Clusters with one replica for each shard.", costs);
  } finally {
    await Promise.all(groups.map((group) => group.stop()));
  }
}

async function takeTurns(entries: readonly Entry[], scale: number): Promise<Map<string, Cost[]>> {
  const costs = new Map<string, Cost[]>(entries.map(({ name }) => [name, []]));
  for (let round = -1; round < rounds; round++) {
    const perSecond = round < 0 ? warmUp * load.perSecond : load.perSecond;
    const question: Load = { ...load, perSecond, forMs: turnMs * scale };
    for (const { name, app, primaries, replicas } of entries) {
      const asked = await countInfos([...primaries, ...replicas], () => app.ask<Work>(question));
      if (round < 0) continue;
      const onPrimary = meanOf(asked.perSecond.slice(0, primaries.length));
      const onReplica = meanOf(asked.perSecond.slice(primaries.length));
      costs.get(name)?.push({ ...asked.given, onPrimary, onReplica });
    }
  }
  return costs;
}

function tableOf(title: string, how: string, costs: ReadonlyMap<string, readonly Cost[]>): Table {
  const [first = []] = costs.values();
  const rows = [...costs].map(([name, all]): (string | Figure)[] => {
    const of = (what: keyof Cost): Figure => figureOf(all.map((cost) => cost[what]));
    const ratio = figureOf(all.map(({ cpuUs }, round) => cpuUs / (first[round]?.cpuUs ?? Number.NaN)));
    return [name, of("perSecond"), of("cpuUs"), ratio, of("onPrimary"), of("onReplica")];
  });
  return {
    title,
    how:
      `Medians of ${rounds} rounds in which all took turns, at ${load.perSecond} operations/s, ` +
      `${load.writeShare * 100} % of them writes, each in a session of its own from its user's token. ${how}`,
    columns: [
      "",
      "operations/s",
      "CPU of the app, µs",
      "of the first",
      "INFO/s, a primary",
      "INFO/s, a replica",
    ],
    rows,
  };
}
