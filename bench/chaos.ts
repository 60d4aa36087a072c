/**
 * `npm run bench:chaos`: random faults under users who check every read; `npm run bench:chaos:ioredis5` on ioredis 5.
 *
 * - `CHAOS_SEED` repeats the faults of another run in the same order; the run prints its own.
 * - `CHAOS_SECONDS` is how long it lasts, default 60.
 * - `CHAOS_VERIFY=always` proves each read.
 * - `CHAOS_FAULTS=repoint,spoil` leaves out all other faults.
 * - `CHAOS_SHOW=1` prints each fault as it begins.
 */
import { randomInt } from "node:crypto";
import { runChaos } from "../test/support/load/chaos.js";

const seed = Number(process.env.CHAOS_SEED ?? randomInt(1_000_000));
const seconds = Number(process.env.CHAOS_SECONDS ?? 60);
const verify = process.env.CHAOS_VERIFY === "always" ? "always" : "when-needed";
const faults = process.env.CHAOS_FAULTS?.split(",");

console.log(`CHAOS_SEED=${seed} CHAOS_SECONDS=${seconds} CHAOS_VERIFY=${verify}`);
const startedAt = performance.now();
const onFault = (fault: string): void => {
  if (process.env.CHAOS_SHOW) console.log(`${Math.round(performance.now() - startedAt)} ms: ${fault}`);
};
const { stale, onReplicas, ...counts } = await runChaos({
  ...{ seed, seconds, onFault, tidemark: { verify } },
  ...(faults === undefined ? {} : { faults }),
});
const byFault: Record<string, number> = {};
for (const { during } of stale) byFault[during] = (byFault[during] ?? 0) + 1;
console.dir({ ...counts, onReplicas: `${(100 * onReplicas).toFixed(1)} %`, stale: stale.length, byFault });
for (const read of stale.slice(0, 20)) console.log(JSON.stringify(read));
