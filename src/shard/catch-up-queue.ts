/** Reads that wait for a replica to catch up: woken by what replicas say, in the order of what they wait for. */

/** A read that waits. All times are on the monotonic clock. */
export interface CatchUpWaiter {
  /** The offset it waits for in the history of now; 0 where no offset tells. */
  offset: number;
  /** When what it waits for was made. */
  readonly madeAt: number;
  readonly until: number;
  /** Goes on when it can by now; says whether it did. */
  readonly attempt: () => boolean;
  readonly giveUp: () => void;
  /** Whether it cannot go on however long it waits; asked at every look. */
  readonly isStranded?: (() => boolean) | undefined;
}

/** How the replicas are looked at, all of them for all who wait. */
export interface ReplicaMonitor {
  /** Asks them how far they are, those that are not being asked already. */
  look(now: number): void;
  /** By how much the most promising one lags, in milliseconds. */
  leastLagMs(): number;
}

const soonestMs = 1;
const latestMs = 25;
/** Looks for each lag: the wait is longer than it needs to be by no more than such a part. */
const looksPerLag = 4;

/**
 * Invariant: those who wait are in the order of their offsets. What a replica has said ends the wait of all up to its
 * offset; in between one timer has the replicas asked, ends waits whose time is over, and those that have become hopeless.
 */
export class CatchUpQueue {
  #latecomers: CatchUpWaiter[] = [];
  #timer: NodeJS.Timeout | undefined;
  #closed = false;
  readonly #lookout: ReplicaMonitor;

  constructor(lookout: ReplicaMonitor) {
    this.#lookout = lookout;
  }

  get isEmpty(): boolean {
    return this.#latecomers.length === 0;
  }

  /** By how much the most promising replica lags, in milliseconds. */
  get leastLagMs(): number {
    return this.#lookout.leastLagMs();
  }

  /** Has `latecomer` wait, or gives it up at once when no replica is likely to be in time. */
  add(latecomer: CatchUpWaiter): void {
    if (this.#closed || this.#isHopeless(latecomer, this.leastLagMs)) {
      latecomer.giveUp();
      return;
    }
    this.#insert(latecomer);
    if (this.#timer === undefined) this.#rest();
  }

  /** Has `latecomer` wait no more; whether it did. */
  remove(latecomer: CatchUpWaiter): boolean {
    const at = this.#latecomers.indexOf(latecomer);
    if (at >= 0) this.#latecomers.splice(at, 1);
    return at >= 0;
  }

  /** Told that a replica has come to `offset`. */
  reached(offset: number): void {
    if (this.#latecomers.length === 0) return;
    const ready = this.#latecomers.splice(0, this.#firstBeyond(offset));
    for (const latecomer of ready) if (!latecomer.attempt()) this.#insert(latecomer);
  }

  /** Told that there is another history now: in that, nobody's offset need mean what it meant. */
  reconsider(): void {
    for (const latecomer of this.#latecomers.splice(0)) {
      latecomer.offset = 0;
      if (!latecomer.attempt()) this.#insert(latecomer);
    }
  }

  /** Takes latecomers again after it was closed. */
  open(): void {
    this.#closed = false;
  }

  /** Gives all up, at the end. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const { giveUp } of this.#latecomers.splice(0)) giveUp();
  }

  #tick(): void {
    this.#timer = undefined;
    const now = performance.now();
    const { leastLagMs } = this;
    const isOver = (one: CatchUpWaiter): boolean =>
      now >= one.until || this.#isHopeless(one, leastLagMs) || (one.isStranded?.() ?? false);
    if (this.#latecomers.some(isOver)) {
      const over = this.#latecomers.filter(isOver);
      this.#latecomers = this.#latecomers.filter((one) => !isOver(one));
      for (const one of over) if (!one.attempt()) one.giveUp();
    }
    if (this.#latecomers.length === 0) return;
    this.#lookout.look(now);
    this.#rest();
  }

  #rest(): void {
    const ms = Math.min(Math.max(this.leastLagMs / looksPerLag, soonestMs), latestMs);
    this.#timer = setTimeout(() => this.#tick(), ms);
  }

  #isHopeless({ madeAt, until }: CatchUpWaiter, leastLagMs: number): boolean {
    return madeAt + leastLagMs > until;
  }

  #insert(latecomer: CatchUpWaiter): void {
    this.#latecomers.splice(this.#firstBeyond(latecomer.offset), 0, latecomer);
  }

  /** The index of the first that waits for more than `offset`. */
  #firstBeyond(offset: number): number {
    let low = 0;
    let high = this.#latecomers.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#latecomers[middle]?.offset ?? 0) <= offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
