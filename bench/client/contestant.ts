/** A process with one client: does what it is asked as often as it is asked, and tells what that took. */
import { quantile } from "../report/quantile.js";
import { answer } from "../report/worker.js";
import { type ClientName, clients } from "./clients.js";
import { type Operation, type Operations, type Servers, value } from "./operations.js";

export type What = "read" | "write" | "readAnew" | "readChecked";

/** The first says which client and where, all others what to do. */
export type ContestantQuestion =
  | { readonly client: ClientName; readonly servers: Servers }
  | { readonly what: What; readonly inFlight: number; readonly count: number };

/** What one operation took, but for the quantiles in µs of the mean of all. */
export interface Cost {
  readonly us: number;
  readonly cpuUs: number;
  readonly p50: number;
  readonly p99: number;
  /** Bytes; undefined where the heap is too small to tell. */
  readonly allocated: number | undefined;
}

/** One of so many is timed on its own, so that looking at the clock does not count. */
const timed = 8;

let operations: Operations | undefined;

answer(async (question: ContestantQuestion): Promise<Cost | undefined> => {
  if ("client" in question) {
    operations = await clients[question.client](question.servers);
    return undefined;
  }
  const { what, inFlight, count } = question;
  const { [what]: operation, unsettle = async () => {} } = operations ?? {};
  if (operation === undefined) throw new Error(`${what} cannot be done`);
  const expected = what === "write" ? "OK" : value;
  global.gc?.();
  if (what !== "readChecked") return costOf(count, [await loop(operation, expected, inFlight, count)]);
  const bursts: Burst[] = [];
  for (let done = 0; done < count; done += inFlight) {
    await unsettle();
    bursts.push(await loop(operation, expected, inFlight, inFlight));
  }
  return costOf(bursts.length * inFlight, bursts);
});

interface Burst {
  readonly ms: number;
  readonly cpuUs: number;
  readonly bytes: number;
  readonly latencies: readonly number[];
}

async function loop(run: Operation, expected: string, inFlight: number, count: number): Promise<Burst> {
  const latencies: number[] = [];
  let left = count;
  const work = async (): Promise<void> => {
    while (left-- > 0) {
      const sentAt = left % timed === 0 ? performance.now() : 0;
      const given = await run();
      if (given !== expected) throw new Error(`the answer was ${String(given)}`);
      if (sentAt > 0) latencies.push(performance.now() - sentAt);
    }
  };
  const { heapUsed } = process.memoryUsage();
  const cpuBefore = process.cpuUsage();
  const startedAt = performance.now();
  await Promise.all(Array.from({ length: inFlight }, work));
  const ms = performance.now() - startedAt;
  const { user, system } = process.cpuUsage(cpuBefore);
  return { ms, cpuUs: user + system, bytes: process.memoryUsage().heapUsed - heapUsed, latencies };
}

function costOf(count: number, bursts: readonly Burst[]): Cost {
  const perOperation = (of: (burst: Burst) => number): number =>
    bursts.reduce((sum, burst) => sum + of(burst), 0) / count;
  const latencies = bursts.flatMap((burst) => burst.latencies);
  return {
    us: perOperation(({ ms }) => ms * 1_000),
    cpuUs: perOperation(({ cpuUs }) => cpuUs),
    p50: quantile(latencies, 0.5) * 1_000,
    p99: quantile(latencies, 0.99) * 1_000,
    allocated: global.gc === undefined ? undefined : perOperation(({ bytes }) => bytes),
  };
}
