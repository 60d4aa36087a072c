/**
 * `npm run bench:levels`: users whose requests go to any of several app processes, which read from three replicas of
 * different, changing lag. Counts the reads that show an older state than one before them in the same session.
 */
import type { TidemarkOptions } from "tidemark";
import { counters, raise, stepsBack } from "../../test/support/load/counters.js";
import { fickleLag } from "../../test/support/proxies/fickle-lag.js";
import { startReplicationGroup } from "../../test/support/servers/replication-group.js";
import { clock } from "../report/clock.js";
import { row } from "../report/quantile.js";
import { Worker } from "../report/worker.js";
import type { AppAnswer, AppCounts, AppQuestion } from "./monotonic-app.js";

const reads = Number(process.env.BENCH_READS ?? 200_000);
const readsPerRequest = counters.length + 1;
const apps = 3;
const users = 48;
const writingRequests = 0.02;
const writeEveryMs = 2;

await using group = await startReplicationGroup({ replicas: 3 });
await raise(group.primary.admin());
await group.caughtUp();

const headings = [
  "monotonicReads",
  "  reads",
  "steps back",
  "sessions that saw one",
  "on replicas",
  "reads/s",
];
console.log(headings.join("  "));
for (const monotonicReads of [true, false]) console.log(await run(monotonicReads));

async function run(monotonicReads: boolean): Promise<string> {
  await using _lag = fickleLag(
    group.replicas.map(({ link }) => link),
    { upToMs: 120, everyMs: 150, held: 0.2 },
  );
  const writing = setInterval(() => void raise(group.primary.admin()), writeEveryMs);
  const workers = Array.from(
    { length: apps },
    () => new Worker(new URL("./monotonic-app.js", import.meta.url)),
  );
  const replicas = group.replicas.map(({ server }) => server.url);
  const options = { primary: group.primary.url, replicas, monotonicReads };
  await Promise.all(workers.map((worker) => worker.ask({ options } satisfies { options: TidemarkOptions })));
  const startedAt = clock();
  let left = Math.ceil(reads / readsPerRequest);
  const seen = await Promise.all(Array.from({ length: users }, () => browse(workers, () => left-- > 0)));
  const tookMs = clock() - startedAt;
  const counts = await Promise.all(
    workers.map((worker) => worker.ask<AppCounts>({ token: "counts", writes: false } satisfies AppQuestion)),
  );
  clearInterval(writing);
  for (const worker of workers) worker[Symbol.dispose]();
  const onReplicas = counts.reduce((sum, one) => sum + one.replicas, 0);
  const onPrimary = counts.reduce((sum, one) => sum + one.primary, 0);
  const asked = seen.reduce((sum, { requests }) => sum + requests, 0) * readsPerRequest;
  return row(headings, [
    String(monotonicReads),
    String(asked),
    String(seen.reduce((sum, { steps }) => sum + steps, 0)),
    `${seen.filter(({ steps }) => steps > 0).length} of ${users}`,
    `${((100 * onReplicas) / (onReplicas + onPrimary)).toFixed(1)} %`,
    String(Math.round(asked / (tookMs / 1_000))),
  ]);
}

/** One user's requests, one after the other, each to any of the apps. */
async function browse(
  workers: readonly Worker[],
  isOn: () => boolean,
): Promise<{ requests: number; steps: number }> {
  let [token, floor, requests, steps] = ["", 0, 0, 0];
  while (isOn()) {
    const worker = workers[Math.floor(Math.random() * workers.length)];
    if (worker === undefined) throw new Error("there is no app");
    const writes = Math.random() < writingRequests;
    const answered = await worker.ask<AppAnswer>({ token, writes } satisfies AppQuestion);
    steps += stepsBack(answered.values, floor);
    floor = Math.max(floor, ...answered.values);
    token = answered.token;
    requests += 1;
  }
  return { requests, steps };
}
