/**
 * `npm run bench:levels`: reads with a bound of staleness against measured truth, under lag with jitter and spikes, and what
 * it costs the servers that staleness is proven.
 */
import { setTimeout as pause } from "node:timers/promises";
import { Redis } from "ioredis";
import { type GroupReplica, startReplicationGroup } from "../../test/support/servers/replication-group.js";
import { clock } from "../report/clock.js";
import { quantile, row } from "../report/quantile.js";
import { Worker } from "../report/worker.js";
import type { NotedRead, ReaderTask } from "./staleness-reader.js";

const lagsMs = [5, 50, 200];
const boundsMs = [50, 200, 500, 2_000];
const forMs = Number(process.env.BENCH_MS ?? 5_000);
const reader = new URL("./staleness-reader.js", import.meta.url);

await using group = await startReplicationGroup({ replicas: 2 });
const admins = [group.primary, ...group.replicas.map(({ server }) => server)];
const servers = { primary: group.primary.url, replicas: group.replicas.map(({ server }) => server.url) };

/** When each write was acknowledged; its place is the value it wrote. */
const acknowledgedAt: number[] = [clock()];
const writer = new Redis(group.primary.url);
await writer.set("clock", 0);
await group.caughtUp();
let isOver = false;
const writing = write();

console.log(
  `Reads bounded by maxStalenessMs for ${forMs} ms each; the lag comes with 50 % jitter and spikes. All in ms.`,
);
const headings = [
  "   lag",
  " bound",
  " reads",
  "violations",
  "on replicas",
  "checked",
  "true p50",
  "true p99",
  "true max",
  "over p50",
  "over p99",
  "samples every",
  "looks every",
  "round trip",
  "over p99 to their sum",
];
console.log(headings.join("  "));
for (const lagMs of lagsMs) {
  using _spikes = lag(group.replicas, lagMs);
  for (const maxStalenessMs of boundsMs) console.log(await judged(lagMs, maxStalenessMs));
}

console.log(
  "\nINFOs per second, of one process and of 20, and its CPU on the server for 1, 10, 100 and 1000 processes.",
);
const costs = [
  "level          ",
  "processes",
  "on the primary",
  "on each replica",
  "idle",
  "  1",
  "    10",
  "   100",
  "  1000",
];
console.log(costs.join("  "));
for (const maxStalenessMs of [undefined, ...boundsMs]) {
  for (const tidemarks of [1, 20]) console.log(await cost(tidemarks, maxStalenessMs));
}
isOver = true;
await writing;
writer.disconnect();

async function write(): Promise<void> {
  while (!isOver) {
    const value = acknowledgedAt.length;
    await writer.set("clock", value);
    acknowledgedAt[value] = clock();
    await pause(1);
  }
}

/** Delays what replicas are sent, and holds each back for up to six times as long now and then. */
function lag(replicas: readonly GroupReplica[], ms: number): Disposable {
  for (const { link } of replicas) link.delay(ms, ms / 2);
  const timers = replicas.map(({ link }) => {
    return setInterval(
      () => {
        link.hold();
        setTimeout(() => void link.release(), ms * 6 * Math.random());
      },
      700 + 10 * ms,
    );
  });
  return {
    [Symbol.dispose]: () => {
      for (const timer of timers) clearInterval(timer);
      for (const { link } of replicas) link.delay(0);
    },
  };
}

async function judged(lagMs: number, maxStalenessMs: number): Promise<string> {
  using worker = new Worker(reader);
  const before = await infoCalls();
  const startedAt = clock();
  const task: ReaderTask = { ...servers, maxStalenessMs, forMs };
  const reads = await worker.ask<NotedRead[]>(task);
  const tookMs = clock() - startedAt;
  const after = await infoCalls();
  const [primary = 0, first = 0, second = 0] = after.map(({ calls }, i) => calls - (before[i]?.calls ?? 0));
  const onReplicas = reads.filter(({ provenMs }) => provenMs !== undefined);
  const staleMs = onReplicas.map(stalenessOf);
  const overMs = onReplicas.map((read, i) => (read.provenMs ?? 0) - (staleMs[i] ?? 0));
  const [samplesMs, looksMs] = [tookMs / primary, tookMs / ((first + second) / 2)];
  const roundTripMs = quantile(
    reads.map(({ ms }) => ms),
    0.5,
  );
  return row(headings, [
    String(lagMs),
    String(maxStalenessMs),
    String(reads.length),
    String(reads.filter((read) => stalenessOf(read) > maxStalenessMs).length),
    `${((100 * onReplicas.length) / reads.length).toFixed(1)} %`,
    `${((100 * reads.filter(({ reason }) => reason === "checked").length) / reads.length).toFixed(1)} %`,
    ...[0.5, 0.99, 1].map((share) => quantile(staleMs, share)),
    ...[0.5, 0.99].map((share) => quantile(overMs, share)),
    samplesMs,
    looksMs,
    roundTripMs,
    quantile(overMs, 0.99) / (samplesMs + looksMs + roundTripMs),
  ]);
}

/** The age, when the read was sent, of the oldest acknowledged write that its answer lacks. */
function stalenessOf({ sentAt, value }: NotedRead): number {
  const missed = acknowledgedAt[value + 1];
  return missed === undefined ? 0 : Math.max(0, sentAt - missed);
}

async function cost(tidemarks: number, maxStalenessMs: number | undefined): Promise<string> {
  using worker = new Worker(reader);
  const before = await infoCalls();
  const startedAt = clock();
  const bound = maxStalenessMs === undefined ? {} : { maxStalenessMs };
  await worker.ask<NotedRead[]>({ ...servers, ...bound, forMs, tidemarks } satisfies ReaderTask);
  const tookMs = clock() - startedAt;
  const used = await infoCalls();
  await pause(forMs);
  const idle = await infoCalls();
  const perSecond = used.map(({ calls }, i) => (calls - (before[i]?.calls ?? 0)) / (tookMs / 1_000));
  const [primary = 0, ...replicas] = perSecond;
  const cpuMs = used[0] && before[0] ? (used[0].us - before[0].us) / tookMs / tidemarks / 10 : 0;
  return row(costs, [
    maxStalenessMs === undefined ? "session" : `${maxStalenessMs} ms`,
    String(tidemarks),
    primary,
    replicas.reduce((sum, one) => sum + one, 0) / replicas.length,
    // One of each server is the look itself.
    String(idle.reduce((sum, { calls }, i) => sum + calls - (used[i]?.calls ?? 0) - 1, 0)),
    ...[1, 10, 100, 1_000].map((processes) => `${(cpuMs * processes).toFixed(2)} %`),
  ]);
}

function infoCalls(): Promise<{ calls: number; us: number }[]> {
  return Promise.all(
    admins.map(async (server) => {
      const { cmdstat_info: stats = "" } = await server.info("commandstats");
      return { calls: Number(/calls=(\d+)/.exec(stats)?.[1]), us: Number(/usec=(\d+)/.exec(stats)?.[1]) };
    }),
  );
}
