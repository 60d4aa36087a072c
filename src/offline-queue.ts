/** What waits for a connection, as in ioredis's offline queue. */
import { retriesError } from "./retries-error.js";

/** Told that there is a connection, or why there will be none. */
export type Start = (error?: Error) => void;

export class OfflineQueue {
  readonly #retries: number;
  #waiting: { readonly start: Start; retriesLeft: number }[] = [];

  /** `retries` connections may fail before an entry is given up. */
  constructor(retries: number) {
    this.#retries = retries;
  }

  get isEmpty(): boolean {
    return this.#waiting.length === 0;
  }

  add(start: Start): void {
    this.#waiting.push({ start, retriesLeft: this.#retries });
  }

  /** Lets all go, in the order they came. */
  startAll(): void {
    for (const { start } of this.#take()) start();
  }

  /** Gives all up. */
  failAll(error: Error): void {
    for (const { start } of this.#take()) start(error);
  }

  /** Counts a connection that failed, and gives those up that have waited for enough of them. */
  countFailure(cause: Error | undefined): void {
    for (const entry of this.#take()) {
      if (entry.retriesLeft <= 0) retriesError(this.#retries, cause).then(entry.start);
      else this.#waiting.push({ start: entry.start, retriesLeft: entry.retriesLeft - 1 });
    }
  }

  #take(): { readonly start: Start; readonly retriesLeft: number }[] {
    const taken = this.#waiting;
    this.#waiting = [];
    return taken;
  }
}
