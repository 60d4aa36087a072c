/** How the cost of an operation grows with what it has to handle. */

import { Tidemark } from "tidemark";
import { seeded } from "../../test/support/load/seeded.js";
import { startReplicationGroup } from "../../test/support/servers/replication-group.js";
import type { Cost } from "../client/burst.js";
import { key, type Servers, value } from "../client/operations.js";
import { shuffled } from "../client/shuffled.js";
import { WaitingApp } from "../client/waiting-reads.js";
import { intervalOf, takeRounds } from "../report/rounds.js";
import type { Figure, Table } from "../report/section.js";
import { Worker } from "../report/worker.js";
import type { GrowthQuestion, GrowthTask, GrowthTurn } from "./growth-app.js";

export interface Sample {
  readonly cpuUs: number;
  readonly p99: number;
}

/** The costs of operations of some sizes, round by round. */
export interface Curve {
  readonly name: string;
  readonly samples: ReadonlyMap<number, readonly Sample[]>;
}

interface Axis {
  readonly task: GrowthTask;
  readonly name: string;
  readonly sizes: readonly number[];
  readonly inFlight: number;
}

const axes: readonly Axis[] = [
  { task: "tokens", name: "tokens that a request carries", sizes: [1, 8, 32, 180], inFlight: 64 },
  { task: "positions", name: "positions in a session", sizes: [1, 4, 16, 64], inFlight: 64 },
  { task: "pipeline", name: "reads in a pipeline", sizes: [1, 10, 100, 1_000], inFlight: 1 },
];
const waitingCounts = [1, 10, 100, 1_000];
const waitingLagMs = 100;
const limits = { least: 8, most: 16, tolerance: 0.1 };
const turnMs = 500;
/** Turns of each size before the measured ones. V8 then knows all of the code. */
const warmUps = 4;
const seed = 3;

/** Measures requests of growing size, and growing numbers of reads that wait. */
export async function measureGrowth(scale: number): Promise<Curve[]> {
  return [...(await measureOperations(scale)), await measureWaits(scale)];
}

/**
 * One row for each size. Growth is how many times as much CPU an operation takes as at the size before, divided by how many times
 * as large it is.
 */
export function growthTable(curves: readonly Curve[]): Table {
  const rows = curves.flatMap(({ name, samples }) => {
    const sizes = [...samples];
    return sizes.map(([size, all], i): (string | number | Figure)[] => {
      const before = sizes[i - 1];
      const growth = before === undefined ? undefined : growthOf(before, [size, all]);
      return [
        name,
        size,
        intervalOf(all.map(({ cpuUs }) => cpuUs)),
        intervalOf(all.map(({ p99 }) => p99)),
        growth ?? "-",
        growth !== undefined && growth.least > 1 ? "more than linear" : "",
      ];
    });
  });
  return {
    title: "Growth",
    how:
      "Each cell is the median of all rounds. The brackets hold its 95 % interval. Growth is how many times as much CPU an operation takes as in " +
      "the row above, divided by how many times as large it is. Above 1, the cost grows faster than the size. The CPU is that of the process for " +
      "one operation. A request with tokens opens a session from them and reads once. The tokens are those of different users. The positions " +
      "are those of one token. They belong to histories that the servers do not know, so the primary answers. Requests with tokens or " +
      "positions are measured with 64 in flight, and pipelines with 1 in flight. The reads that wait belong to different sessions. They wait for a replica that " +
      `is ${waitingLagMs} ms behind, and their CPU is that of all of them together. The tables "Replicas" and "Shards" say how the rest is measured.`,
    columns: ["", "size", "CPU in µs", "p99 in µs", "growth", ""],
    rows,
  };
}

function growthOf(
  [smallerSize, smaller]: readonly [number, readonly Sample[]],
  [size, all]: readonly [number, readonly Sample[]],
): Figure {
  const ratios = all.map(({ cpuUs }, round) => cpuUs / (smaller[round]?.cpuUs ?? Number.NaN));
  return intervalOf(ratios.map((ratio) => ratio / (size / smallerSize)));
}

async function measureOperations(scale: number): Promise<Curve[]> {
  await using group = await startReplicationGroup({ replicas: 1 });
  const servers: Servers = {
    primary: group.primary.url,
    replicas: group.replicas.map(({ server }) => server.url),
  };
  await group.primary.admin().set(key, value);
  const most = (task: GrowthTask) =>
    Math.max(...axes.flatMap((axis) => (axis.task === task ? axis.sizes : [])));
  using app = new Worker(new URL("./growth-app.js", import.meta.url));
  const tokens = await tokensOf(servers, most("tokens"));
  const foreign = await foreignTokens(most("positions"));
  await group.caughtUp();
  await app.ask({ servers, tokens, foreign } satisfies GrowthQuestion);
  const run = (turn: GrowthTurn) => app.ask<Cost>(turn satisfies GrowthQuestion);
  const turns = axes.flatMap(({ task, sizes, inFlight }) => sizes.map((size) => ({ task, size, inFlight })));
  const counts = new Map<(typeof turns)[number], number>(turns.map((turn) => [turn, turn.inFlight * 4]));
  const random = seeded(seed);
  for (let i = 0; i < warmUps; i++) {
    for (const turn of shuffled(turns, random)) {
      const { us } = await run({ ...turn, count: counts.get(turn) ?? 1 });
      counts.set(turn, Math.max(turn.inFlight, Math.ceil((turnMs * scale * 1_000) / us)));
    }
  }
  const curves = axes.map(({ name, sizes, task }) => ({
    name,
    task,
    samples: new Map<number, Sample[]>(sizes.map((size) => [size, []])),
  }));
  await takeRounds(
    scaled(scale),
    async () => {
      for (const turn of shuffled(turns, random)) {
        const cost = await run({ ...turn, count: counts.get(turn) ?? 1 });
        curves
          .find(({ task }) => task === turn.task)
          ?.samples.get(turn.size)
          ?.push(cost);
      }
    },
    () => curves.flatMap(cpusOf),
  );
  return curves;
}

/** The tokens of so many users, each with the position of a write of its own. */
async function tokensOf(servers: Servers, count: number): Promise<string[]> {
  await using tidemark = new Tidemark(servers);
  const tokens: string[] = [];
  // One after the other, because writes of one turn would have one token.
  for (let user = 0; user < count; user++) {
    const session = tidemark.session();
    await session.redis.set(`user:${user}`, user);
    tokens.push(session.token());
  }
  return tokens;
}

/** Tokens with one position each, no two of one history. */
async function foreignTokens(count: number): Promise<string[]> {
  // Without a replica a primary counts no offsets.
  await using group = await startReplicationGroup({ replicas: 1 });
  const tokens: string[] = [];
  await using tidemark = new Tidemark({ primary: group.primary.url });
  for (let i = 0; i < count; i++) {
    await group.primary.admin().debug("CHANGE-REPL-ID");
    const session = tidemark.session();
    await session.redis.set(key, i);
    tokens.push(session.token());
  }
  return tokens;
}

async function measureWaits(scale: number): Promise<Curve> {
  await using app = await WaitingApp.start(waitingLagMs, waitingCounts);
  const samples = new Map<number, Sample[]>(waitingCounts.map((reads) => [reads, []]));
  const random = seeded(seed);
  const curve: Curve = { name: "reads that wait for a replica", samples };
  await takeRounds(
    scaled(scale),
    async () => {
      for (const reads of shuffled(waitingCounts, random)) {
        const { cpuMs, idleCpuMs, waitedMs } = await app.wait(reads);
        samples.get(reads)?.push({ cpuUs: (cpuMs - idleCpuMs) * 1_000, p99: waitedMs * 1_000 });
      }
    },
    () => cpusOf(curve),
  );
  return curve;
}

function scaled(scale: number): typeof limits {
  return { ...limits, most: Math.max(limits.least, Math.ceil(limits.most * scale)) };
}

function cpusOf({ samples }: Curve): number[][] {
  return Array.from(samples.values(), (all) => all.map(({ cpuUs }) => cpuUs));
}
