/** Reads that wait for a replica to catch up: the reports of replicas wake them, in the order of the offsets they wait for. */
import { pauseMs, type ShardMonitor, shortestPauseMs } from "./monitor.js";

/** A read that waits. All times are on the monotonic clock. */
export interface CatchUpWaiter {
  /** The offset that the read waits for in the present history; 0 if it does not wait for a particular offset. */
  offset: number;
  /** When the primary made the write at `offset`. Minus infinity if the read does not wait for a particular write. */
  readonly madeAt: number;
  /** Since when the read waits. */
  readonly since: number;
  readonly until: number;
  /** Continues the read if possible. Returns whether the read has continued. */
  readonly attempt: () => boolean;
  readonly giveUp: () => void;
  /** Whether the read cannot continue however long it waits. Called on each tick of the queue. */
  readonly isStranded?: (() => boolean) | undefined;
}

/**
 * Invariant: the waiters are in the order of their offsets. A replica's report ends the waits of all waiters up to its offset. One
 * timer makes sure that the replicas are asked, and ends the waits whose time is over or that have become hopeless.
 */
export class CatchUpQueue {
  #waiters: CatchUpWaiter[] = [];
  #timer: NodeJS.Timeout | undefined;
  /** When the next tick comes, on the monotonic clock. Meaningless without a timer. */
  #tickAt = 0;
  #closed = false;
  readonly #monitor: Pick<ShardMonitor, "probeForWaitingReads" | "leastLagMs">;

  constructor(monitor: Pick<ShardMonitor, "probeForWaitingReads" | "leastLagMs">) {
    this.#monitor = monitor;
  }

  get isEmpty(): boolean {
    return this.#waiters.length === 0;
  }

  /** The lag of the most promising replica, in milliseconds. */
  get leastLagMs(): number {
    return this.#monitor.leastLagMs;
  }

  /** Makes `waiter` wait, or gives it up at once if no replica is likely to be in time. */
  add(waiter: CatchUpWaiter): void {
    if (this.#closed || this.#isHopeless(waiter, this.leastLagMs)) {
      waiter.giveUp();
      return;
    }
    this.#insert(waiter);
    // The pause may be too long for this waiter. The tick that comes instead serves all waiters that are added until then.
    this.#tickIn(shortestPauseMs);
  }

  /** Ends the wait of `waiter`. Returns whether it was waiting. */
  remove(waiter: CatchUpWaiter): boolean {
    const at = this.#waiters.indexOf(waiter);
    if (at >= 0) this.#waiters.splice(at, 1);
    return at >= 0;
  }

  /** Called when a replica has reached `offset`. */
  reached(offset: number): void {
    if (this.#waiters.length === 0) return;
    const ready = this.#waiters.splice(0, this.#firstBeyond(offset));
    for (const waiter of ready) if (!waiter.attempt()) this.#insert(waiter);
  }

  /** Called when the primary has another history. An offset of the former history means nothing in the new one. */
  historyChanged(): void {
    for (const waiter of this.#waiters.splice(0)) {
      waiter.offset = 0;
      if (!waiter.attempt()) this.#insert(waiter);
    }
  }

  /** Takes waiters again after {@link close}. */
  open(): void {
    this.#closed = false;
  }

  /** Gives up all waiters. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const { giveUp } of this.#waiters.splice(0)) giveUp();
  }

  #tick(): void {
    this.#timer = undefined;
    const now = performance.now();
    const { leastLagMs } = this;
    const isOver = (one: CatchUpWaiter): boolean =>
      now >= one.until || this.#isHopeless(one, leastLagMs) || (one.isStranded?.() ?? false);
    if (this.#waiters.some(isOver)) {
      const over = this.#waiters.filter(isOver);
      this.#waiters = this.#waiters.filter((one) => !isOver(one));
      for (const one of over) if (!one.attempt()) one.giveUp();
    }
    if (this.#waiters.length > 0) this.#ask(now);
  }

  /** Asks the replicas, and schedules the next tick: when they should be asked again, or when a wait is over. */
  #ask(now: number): void {
    const askAgainMs = this.#monitor.probeForWaitingReads(now, this.#pauseAfter);
    let until = Number.POSITIVE_INFINITY;
    for (const waiter of this.#waiters) until = Math.min(until, waiter.until);
    this.#tickIn(Math.min(askAgainMs, until - now), now);
  }

  /** Makes the next tick come in `ms` milliseconds, unless it comes earlier. */
  #tickIn(ms: number, now = performance.now()): void {
    if (this.#timer !== undefined && this.#tickAt <= now + ms) return;
    clearTimeout(this.#timer);
    this.#tickAt = now + ms;
    this.#timer = setTimeout(() => this.#tick(), Math.ceil(ms));
  }

  /** The shortest pause that suits one of the waiters. */
  readonly #pauseAfter = (askedAt: number, usualLagMs: number): number => {
    let least = Number.POSITIVE_INFINITY;
    for (const { madeAt, since } of this.#waiters)
      least = Math.min(
        least,
        pauseMs(askedAt - (madeAt === Number.NEGATIVE_INFINITY ? since : madeAt), usualLagMs),
      );
    return least;
  };

  #isHopeless({ madeAt, until }: CatchUpWaiter, leastLagMs: number): boolean {
    return madeAt + leastLagMs > until;
  }

  #insert(waiter: CatchUpWaiter): void {
    this.#waiters.splice(this.#firstBeyond(waiter.offset), 0, waiter);
  }

  /** The index of the first waiter that waits for more than `offset`. */
  #firstBeyond(offset: number): number {
    let low = 0;
    let high = this.#waiters.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#waiters[middle]?.offset ?? 0) <= offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
