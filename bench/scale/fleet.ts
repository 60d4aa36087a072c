/** What replicas and shards cost: an app in a process of its own for each number of them, all under the same load. */
import { startAll } from "../../test/support/servers/announced-node.js";
import { startClusterGroup } from "../../test/support/servers/cluster-group.js";
import type { RedisServer } from "../../test/support/servers/redis-server.js";
import { startReplicationGroup } from "../../test/support/servers/replication-group.js";
import { type Figure, figureOf, type Table } from "../report/section.js";
import type { Worker } from "../report/worker.js";
import type { Load, Work } from "./app.js";
import { Apps } from "./apps.js";
import { countInfosUnder, meanOf } from "./info-calls.js";

const replicaCounts = [1, 2, 4, 8];
const shardCounts = [1, 3];
const rounds = 5;
const load = { perSecond: 2_000, writeShare: 0.05 };
const turnMs = 400;
/** More than can be done, so that all has been run often enough to be compiled. */
const warmUp = { ...load, perSecond: 50_000 };

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
  const groups = await startAll(replicaCounts.map((replicas) => startReplicationGroup({ replicas })));
  try {
    using apps = new Apps();
    const entries: Entry[] = [];
    for (const group of groups) {
      const replicas = group.replicas.map(({ server }) => server);
      const options = { primary: group.primary.url, replicas: replicas.map(({ url }) => url) };
      const primaries = [group.primary];
      if (entries.length === 0) {
        const app = await apps.start({ alone: group.primary.url });
        entries.push({ name: "ioredis, the primary alone", app, primaries, replicas: [] });
      }
      const app = await apps.start({ options });
      entries.push({ name: `Tidemark, replicas: ${replicas.length}`, app, primaries, replicas });
    }
    const costs = await takeTurns(entries, scale);
    return tableOf("Replicas", "Each number of replicas has servers of its own.", costs);
  } finally {
    await Promise.all(groups.map((group) => group.stop()));
  }
}

async function measureShards(scale: number): Promise<Table> {
  const groups = await startAll(shardCounts.map((shards) => startClusterGroup({ shards })));
  try {
    using apps = new Apps();
    const entries: Entry[] = [];
    for (const [i, { nodes }] of groups.entries()) {
      const shards = shardCounts[i] ?? Number.NaN;
      const servers = nodes.map(({ server }) => server);
      const cluster = nodes.map(({ host, port }) => ({ host, port }));
      const app = await apps.start({ options: { cluster } });
      const [primaries, replicas] = [servers.slice(0, shards), servers.slice(shards)];
      entries.push({ name: `Tidemark, shards: ${shards}`, app, primaries, replicas });
    }
    const costs = await takeTurns(entries, scale);
    return tableOf("Shards", "The clusters have one replica for each shard.", costs);
  } finally {
    await Promise.all(groups.map((group) => group.stop()));
  }
}

async function takeTurns(entries: readonly Entry[], scale: number): Promise<Map<string, Cost[]>> {
  const costs = new Map<string, Cost[]>(entries.map(({ name }) => [name, []]));
  for (let round = -1; round < rounds; round++) {
    const question: Load = { ...(round < 0 ? warmUp : load), forMs: turnMs * scale };
    for (const { name, app, primaries, replicas } of entries) {
      const { perSecond, works } = await countInfosUnder(question, [app], [...primaries, ...replicas]);
      if (round < 0) continue;
      const onPrimary = meanOf(perSecond.slice(0, primaries.length));
      const onReplica = meanOf(perSecond.slice(primaries.length));
      for (const work of works) costs.get(name)?.push({ ...work, onPrimary, onReplica });
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
      `Each cell is the median of ${rounds} rounds, with minimum and maximum in brackets. In each round the apps take turns, at ` +
      `${load.perSecond} operations/s, ${load.writeShare * 100} % of them writes. Each operation has a session of its own, made ` +
      `from its user's token. The CPU is for one operation. ${how}`,
    columns: [
      "",
      "operations/s",
      "CPU of the app, µs",
      "ratio to the first row",
      "INFO/s, a primary",
      "INFO/s, a replica",
    ],
    rows,
  };
}
