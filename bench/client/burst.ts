/** Many operations of one kind in a row, and their cost. */
import { quantile } from "../report/quantile.js";
import type { Operation } from "./operations.js";

/** The cost of one operation: the mean of all, except for the quantiles. Times are in µs. */
export interface Cost {
  readonly us: number;
  readonly cpuUs: number;
  readonly p50: number;
  readonly p99: number;
  /** In bytes. Undefined in a process that cannot collect garbage on request. */
  readonly allocated: number | undefined;
}

/** Only one of this many operations is timed by itself, because reading the clock costs time. */
const usuallyTimed = 8;

export interface Burst {
  readonly ms: number;
  readonly cpuUs: number;
  readonly bytes: number;
  readonly latencies: readonly number[];
}

/** Runs `count` operations, `inFlight` of them at a time. Each must resolve with `expected`. */
export async function runBurst(
  run: Operation,
  expected: string,
  inFlight: number,
  count: number,
  token = "",
  timed = usuallyTimed,
): Promise<Burst> {
  const latencies: number[] = [];
  let left = count;
  const work = async (): Promise<void> => {
    while (left-- > 0) {
      const sentAt = left % timed === 0 ? performance.now() : 0;
      const given = await run(token);
      if (given !== expected) throw new Error(`the answer was ${String(given)}`);
      if (sentAt > 0) latencies.push(performance.now() - sentAt);
    }
  };
  const heapBefore = heapAfterCollection();
  const cpuBefore = process.cpuUsage();
  const startedAt = performance.now();
  await Promise.all(Array.from({ length: inFlight }, work));
  const ms = performance.now() - startedAt;
  const { user, system } = process.cpuUsage(cpuBefore);
  const bytes = heapBefore === undefined ? Number.NaN : process.memoryUsage().heapUsed - heapBefore;
  return { ms, cpuUs: user + system, bytes, latencies };
}

/** Undefined in processes whose turns are timed, because a collection would change the time of the next operations. */
function heapAfterCollection(): number | undefined {
  if (global.gc === undefined) return undefined;
  global.gc();
  return process.memoryUsage().heapUsed;
}

export function costOf(count: number, bursts: readonly Burst[]): Cost {
  const perOperation = (of: (burst: Burst) => number): number =>
    bursts.reduce((sum, burst) => sum + of(burst), 0) / count;
  const latencies = bursts.flatMap((burst) => burst.latencies);
  const bytes = perOperation((burst) => burst.bytes);
  return {
    us: perOperation(({ ms }) => ms * 1_000),
    cpuUs: perOperation(({ cpuUs }) => cpuUs),
    p50: quantile(latencies, 0.5) * 1_000,
    p99: quantile(latencies, 0.99) * 1_000,
    allocated: Number.isNaN(bytes) ? undefined : bytes,
  };
}
