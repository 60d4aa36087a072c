/** Waits that end when a server is ready: commands wait for a primary, and reads for room at the primary. */

interface Waiter {
  /** Continues the command or read if possible. Returns whether it has continued. */
  readonly attempt: () => boolean;
  readonly giveUp: () => void;
  /** The end of the wait, on the monotonic clock. */
  readonly until: number;
  /** Whether a command was sent before and came back. It then goes ahead of all new commands. Default false. */
  readonly isReturned?: boolean;
}

const everyMs = 5;

/** One list and one timer for all waiters for the same servers, so that each server is asked once for all waiters. */
export class WaitQueue {
  #waiters: Waiter[] = [];
  #timer: NodeJS.Timeout | undefined;
  #closed = false;
  readonly #probe: (now: number) => void;

  /** `probe` asks the servers for their state. It is called repeatedly while there are waiters. */
  constructor(probe: (now: number) => void) {
    this.#probe = probe;
  }

  get isEmpty(): boolean {
    return this.#waiters.length === 0;
  }

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

  /** Takes waiters again after {@link close}. */
  open(): void {
    this.#closed = false;
  }

  /** Gives up all waiters. */
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
      this.#probe(now);
      return;
    }
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}
