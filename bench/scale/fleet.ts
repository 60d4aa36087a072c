/** What replicas and shards cost: an app in a process of its own for each number of them, all under the same load. */
import { seeded } from "../../test/support/load/seeded.js";
import { startAll } from "../../test/support/servers/announced-node.js";
import { startClusterGroup } from "../../test/support/servers/cluster-group.js";
import type { RedisServer } from "../../test/support/servers/redis-server.js";
import { startReplicationGroup } from "../../test/support/servers/replication-group.js";
import { shuffled } from "../client/shuffled.js";
import { intervalOf } from "../report/rounds.js";
import type { Figure, Table } from "../report/section.js";
import type { Worker } from "../report/worker.js";
import type { Load, Work } from "./app.js";
import { Apps } from "./apps.js";
import type { Curve } from "./growth.js";
import { countInfosUnder, meanOf } from "./info-calls.js";

const replicaCounts = [1, 2, 5];
const shardCounts = [1, 3, 6];
const rounds = 8;
const load = { perSecond: 2_000, writeShare: 0.05 };
const turnMs = 1_000;
const seed = 4;
/** More than can be done, so that all has been run often enough to be compiled. */
const warmUp = { ...load, perSecond: 50_000 };

interface Entry {
  readonly name: string;
  /** How many replicas or shards there are. Undefined without Tidemark. */
  readonly size?: number;
  readonly app: Worker;
  readonly primaries: readonly RedisServer[];
  readonly replicas: readonly RedisServer[];
}

interface Cost extends Work {
  readonly onPrimary: number;
  readonly onReplica: number;
}

/** A table, and the growth of its costs. */
export interface Fleet {
  readonly table: Table;
  readonly curve: Curve;
}

export async function measureFleets(scale: number): Promise<Fleet[]> {
  return [await measureReplicas(scale), await measureShards(scale)];
}

async function measureReplicas(scale: number): Promise<Fleet> {
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
      const size = replicas.length;
      entries.push({ name: `Tidemark, replicas: ${size}`, size, app, primaries, replicas });
    }
    const costs = await takeTurns(entries, scale);
    const how = "Each number of replicas has servers of its own.";
    return { table: tableOf("Replicas", how, costs), curve: curveOf("replicas", entries, costs) };
  } finally {
    await Promise.all(groups.map((group) => group.stop()));
  }
}

async function measureShards(scale: number): Promise<Fleet> {
  const groups = await startAll(shardCounts.map((shards) => startClusterGroup({ shards })));
  try {
    using apps = new Apps();
    const entries: Entry[] = [];
    for (const [i, { nodes }] of groups.entries()) {
      const size = shardCounts[i] ?? Number.NaN;
      const servers = nodes.map(({ server }) => server);
      const cluster = nodes.map(({ host, port }) => ({ host, port }));
      const app = await apps.start({ options: { cluster } });
      const [primaries, replicas] = [servers.slice(0, size), servers.slice(size)];
      entries.push({ name: `Tidemark, shards: ${size}`, size, app, primaries, replicas });
    }
    const costs = await takeTurns(entries, scale);
    const how = "The clusters have one replica for each shard.";
    return { table: tableOf("Shards", how, costs), curve: curveOf("shards of a cluster", entries, costs) };
  } finally {
    await Promise.all(groups.map((group) => group.stop()));
  }
}

async function takeTurns(entries: readonly Entry[], scale: number): Promise<Map<string, Cost[]>> {
  const costs = new Map<string, Cost[]>(entries.map(({ name }) => [name, []]));
  const random = seeded(seed);
  for (let round = -1; round < rounds; round++) {
    const question: Load = round < 0 ? { ...warmUp, forMs: turnMs } : { ...load, forMs: turnMs * scale };
    for (const { name, app, primaries, replicas } of shuffled(entries, random)) {
      const { perSecond, works } = await countInfosUnder(question, [app], [...primaries, ...replicas]);
      if (round < 0) continue;
      const onPrimary = meanOf(perSecond.slice(0, primaries.length));
      const onReplica = meanOf(perSecond.slice(primaries.length));
      for (const work of works) costs.get(name)?.push({ ...work, onPrimary, onReplica });
    }
  }
  return costs;
}

function curveOf(
  name: string,
  entries: readonly Entry[],
  costs: ReadonlyMap<string, readonly Cost[]>,
): Curve {
  const samples = entries.flatMap(({ name, size }): [number, readonly Cost[]][] =>
    size === undefined ? [] : [[size, costs.get(name) ?? []]],
  );
  return { name, samples: new Map(samples) };
}

function tableOf(title: string, how: string, costs: ReadonlyMap<string, readonly Cost[]>): Table {
  const [first = []] = costs.values();
  const rows = [...costs].map(([name, all]): (string | Figure)[] => {
    const of = (what: keyof Cost): Figure => intervalOf(all.map((cost) => cost[what]));
    const ratio = intervalOf(all.map(({ cpuUs }, round) => cpuUs / (first[round]?.cpuUs ?? Number.NaN)));
    return [name, of("perSecond"), of("cpuUs"), ratio, of("p99"), of("onPrimary"), of("onReplica")];
  });
  return {
    title,
    how:
      `Each cell is the median of ${rounds} rounds. The brackets hold its 95 % interval. In each round the apps take turns, at ` +
      `${load.perSecond} operations/s, ${load.writeShare * 100} % of them writes. Each operation has a session of its own, made ` +
      `from its user's token. The CPU is for one operation. ${how}`,
    columns: [
      "",
      "operations/s",
      "CPU of the app, µs",
      "ratio to the first row",
      "p99, µs",
      "INFO/s, a primary",
      "INFO/s, a replica",
    ],
    rows,
  };
}
