/** What this process uses in a span of time: CPU, and the work of its garbage collector. */
import { GCProfiler, getHeapSpaceStatistics } from "node:v8";

export interface Usage {
  /** CPU of all threads, those of the garbage collector included. */
  readonly cpuUs: number;
  /** Time in which scavenges held up the program. */
  readonly scavengeUs: number;
  /** Bytes that those scavenges have removed from the young space. */
  readonly scavengedBytes: number;
  /** Bytes that those scavenges have moved to the old space. */
  readonly promotedBytes: number;
  /** Bytes that were allocated in the young space. */
  readonly bornYoungBytes: number;
  /** Bytes that were allocated in the old space at once. */
  readonly bornOldBytes: number;
}

/** The bytes in use in each of the two spaces. */
interface Heap {
  readonly young: number;
  readonly old: number;
}

/**
 * Counts between `begin` and `end`, and forces no collection. The promoted bytes are exactly those that `--trace-gc-nvp` prints as
 * `promoted`, and the time of scavenges is what it prints as `pause`.
 */
export class UsageMeter {
  #profiler = new GCProfiler();
  #heapBefore: Heap = { young: 0, old: 0 };
  #cpuBefore = process.cpuUsage();

  begin(): void {
    this.#profiler = new GCProfiler();
    this.#profiler.start();
    this.#heapBefore = heapNow();
    this.#cpuBefore = process.cpuUsage();
  }

  end(): Usage {
    const { user, system } = process.cpuUsage(this.#cpuBefore);
    const { statistics = [] } = this.#profiler.stop() ?? {};
    const now = heapNow();
    let [scavengeUs, scavengedBytes, promotedBytes, bornYoungBytes, bornOldBytes] = [0, 0, 0, 0, 0];
    let last = this.#heapBefore;
    const grownTo = ({ young, old }: Heap): void => {
      bornYoungBytes += Math.max(0, young - last.young);
      // A collection that still sweeps makes the old space smaller. More may have been born there than this.
      bornOldBytes += Math.max(0, old - last.old);
    };
    for (const { gcType, cost, beforeGC, afterGC } of statistics) {
      const before = heapOf(beforeGC.heapSpaceStatistics);
      grownTo(before);
      last = heapOf(afterGC.heapSpaceStatistics);
      if (gcType !== "Scavenge") continue;
      scavengeUs += cost;
      scavengedBytes += before.young - last.young;
      promotedBytes += Math.max(0, last.old - before.old);
    }
    grownTo(now);
    return { cpuUs: user + system, scavengeUs, scavengedBytes, promotedBytes, bornYoungBytes, bornOldBytes };
  }
}

function heapNow(): Heap {
  const spaces = getHeapSpaceStatistics();
  return heapOf(
    spaces.map(({ space_name, space_used_size }) => ({
      spaceName: space_name,
      spaceUsedSize: space_used_size,
    })),
  );
}

function heapOf(spaces: readonly { readonly spaceName: string; readonly spaceUsedSize: number }[]): Heap {
  const used = (name: string): number =>
    spaces.find(({ spaceName }) => spaceName === name)?.spaceUsedSize ?? Number.NaN;
  return { young: used("new_space"), old: used("old_space") };
}
