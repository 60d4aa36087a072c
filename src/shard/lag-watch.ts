/** Looks at the replicas after a read was refused, until they have caught up: else a process that reads seldom never sees how long that takes. */
import type { ReplicaMonitor } from "./catch-up-queue.js";

const soonestMs = 1;
const latestMs = 25;
const looksPerLag = 4;
/** A replica that takes longer is looked at again by the next read that is refused. */
const longestMs = 5_000;

export class LagWatch {
  readonly #lookout: ReplicaMonitor;
  /** Whether all that can catch up have come to an offset. */
  readonly #areAt: (offset: number) => boolean;
  #offset = 0;
  #until = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;

  constructor(lookout: ReplicaMonitor, areAt: (offset: number) => boolean) {
    this.#lookout = lookout;
    this.#areAt = areAt;
  }

  /** Looks at the replicas from `now` until they have come to `offset`, or it takes too long; one watch at a time. */
  begin(offset: number, now: number): void {
    if (this.#timer !== undefined) return;
    this.#offset = offset;
    this.#until = now + longestMs;
    this.#rest();
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #tick(): void {
    this.#timer = undefined;
    const now = performance.now();
    if (now >= this.#until || this.#areAt(this.#offset)) return;
    this.#lookout.look(now);
    this.#rest();
  }

  #rest(): void {
    const ms = Math.min(Math.max(this.#lookout.leastLagMs() / looksPerLag, soonestMs), latestMs);
    this.#timer = setTimeout(() => this.#tick(), ms);
    // No process has to go on for the sake of an estimate.
    this.#timer.unref();
  }
}
