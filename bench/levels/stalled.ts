/**
 * `npm run bench:levels`: 2000 reads a second, which together are more than a primary can bear, while all replicas stall:
 * what becomes of them, and of the latency of writes, with the limit on reads that fall back to the primary and without.
 */
import type { TidemarkOptions } from "tidemark";
import { startReplicationGroup } from "../../test/support/servers/replication-group.js";
import { quantile, row } from "../report/quantile.js";
import { Worker } from "../report/worker.js";
import type { ReadersAnswer, ReadersQuestion } from "./stalled-readers.js";
import type { WriterQuestion } from "./stalled-writer.js";

const forMs = Number(process.env.BENCH_MS ?? 5_000);
const perSecond = 2_000;
/** How much of the primary's one core all reads together would take. */
const burden = 0.85;
const read = ["sintercard", "2", "some", "others"];

await using group = await startReplicationGroup({ replicas: 3 });
const admin = group.primary.admin();
const members = await weigh();
const options = { primary: group.primary.url, replicas: group.replicas.map(({ server }) => server.url) };

console.log(
  `${perSecond} reads/s, each an intersection of two sets of ${members} members; all in ms but for counts.`,
);
const headings = [
  "fallbackLimit",
  "replicas  ",
  "writes p50",
  "p99     ",
  "times calm",
  "times calm",
  "   reads",
  "  served",
  "  behind",
  "  failed",
  "unanswered",
  "served p50",
  "served p99",
  "on the primary",
];
console.log(headings.join("  "));
for (const limited of [true, false]) await run(limited);

async function run(limited: boolean): Promise<void> {
  const own: TidemarkOptions = limited ? options : { ...options, fallbackLimit: false as const };
  using readers = new Worker(new URL("./stalled-readers.js", import.meta.url));
  using writer = new Worker(new URL("./stalled-writer.js", import.meta.url));
  await readers.ask({ options: own, read } satisfies ReadersQuestion);
  await writer.ask({ options: own } satisfies WriterQuestion);
  const phase = async (): Promise<{ reads: ReadersAnswer; writes: number[] }> => {
    const reading = readers.ask<ReadersAnswer>({ forMs, perSecond } satisfies ReadersQuestion);
    const writes = await writer.ask<number[]>({ forMs } satisfies WriterQuestion);
    return { reads: await reading, writes };
  };
  // Connections and code have to warm up, for which all at once would be too much.
  await readers.ask({ forMs, perSecond: perSecond / 4 } satisfies ReadersQuestion);
  const calm = await phase();
  const name = limited ? "default" : "false";
  console.log(line(name, "calm", calm, calm));
  for (const { link } of group.replicas) link.hold();
  console.log(line(name, "stalled", await phase(), calm));
  await Promise.all(group.replicas.map(({ link }) => link.release()));
  await group.caughtUp();
  console.log(line(name, "released", await phase(), calm));
}

function line(
  name: string,
  state: string,
  { reads, writes }: { reads: ReadersAnswer; writes: number[] },
  calm: { writes: number[] },
): string {
  const [p50, p99] = [quantile(writes, 0.5), quantile(writes, 0.99)];
  return row(headings, [
    name,
    state,
    p50,
    p99,
    p50 / quantile(calm.writes, 0.5),
    p99 / quantile(calm.writes, 0.99),
    ...[reads.sent, reads.served, reads.behind, reads.failed, reads.open].map(String),
    reads.p50,
    reads.p99,
    String(reads.onPrimary),
  ]);
}

/** Makes the sets so large that all reads together are the burden; resolves with the number of their members. */
async function weigh(): Promise<number> {
  const [command = "", ...args] = read;
  const trial = 2_000;
  const fill = async (count: number): Promise<void> => {
    await admin.del("some", "others");
    const members = Array.from({ length: count }, (_, i) => `member-${i}`);
    for (const key of ["some", "others"]) await admin.sadd(key, ...members);
  };
  await fill(trial);
  let usPerCall = Number.POSITIVE_INFINITY;
  // The least of several, because whatever else the machine does only adds to it.
  for (let round = 0; round < 20; round++) {
    await admin.config("RESETSTAT");
    for (let i = 0; i < 25; i++) await admin.call(command, ...args);
    const { [`cmdstat_${command}`]: stats = "" } = await group.primary.info("commandstats");
    usPerCall = Math.min(usPerCall, Number(/usec_per_call=([\d.]+)/.exec(stats)?.[1]));
  }
  const count = Math.round((burden * 1e6 * trial) / perSecond / usPerCall);
  await fill(count);
  await group.caughtUp();
  return count;
}
