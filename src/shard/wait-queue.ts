/** What waits for a server: commands for a primary to be there, reads for room at the primary. */

interface Waiter {
  /** Goes on when it can by now; says whether it did. */
  readonly attempt: () => boolean;
  readonly giveUp: () => void;
  readonly until: number;
  /** Whether it was sent before and came back, so that it goes ahead of everything that is new. Default false. */
  readonly isReturned?: boolean;
}

const everyMs = 5;

/** One list and one timer for all who wait for the same; it asks the servers for all of them together. */
export class WaitQueue {
  #waiters: Waiter[] = [];
  #timer: NodeJS.Timeout | undefined;
  #closed = false;
  readonly #look: (now: number) => void;

  /** `look` asks the servers how they are; it is called while somebody waits. */
  constructor(look: (now: number) => void) {
    this.#look = look;
  }

  get isEmpty(): boolean {
    return this.#waiters.length === 0;
  }

  /** Adds one that has until `until` on the monotonic clock. */
  add(waiter: Waiter): void {
    if (this.#closed) {
      waiter.giveUp();
      return;
    }
    const behind =
      waiter.isReturned === true ? this.#waiters.findIndex((one) => one.isReturned !== true) : -1;
    this.#waiters.splice(behind < 0 ? this.#waiters.length : behind, 0, waiter);
    this.#timer ??= setInterval(() => this.#tick(), everyMs);
  }

  /** Takes waiters again after it was closed. */
  open(): void {
    this.#closed = false;
  }

  /** Gives all up, at the end. */
  close(): void {
    this.#closed = true;
    if (this.#timer !== undefined) clearInterval(this.#timer);
    this.#timer = undefined;
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const { giveUp } of waiters) giveUp();
  }

  #tick(): void {
    const now = performance.now();
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) {
      if (waiter.attempt()) continue;
      if (now >= waiter.until) waiter.giveUp();
      else this.#waiters.push(waiter);
    }
    if (this.#waiters.length > 0) {
      this.#look(now);
      return;
    }
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}
