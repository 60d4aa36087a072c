/** Tracks which writes of a session are in flight, and resolves the promises that wait for the last of them. */

import type { Touched } from "../commands/touched-keys.js";
import { SmallMap } from "./small-map.js";

const settleDeadlineMs = 1_000;

/** The writes in one scope. */
class Writes {
  inFlight = 0;
  /** The keys of the latest write, even if it is over. Undefined while there was none. */
  latest: Touched | undefined;
  /** The order of the latest write. A greater number is later. */
  latestAt = 0;
}

export class WritesInFlight {
  #count = 0;
  #started = 0;
  /** The writes by scope. A write of unknown scope counts for every scope. */
  readonly #ofScope = new SmallMap<string | undefined, Writes>();
  #waiting: (() => void)[] | undefined;
  /** The latest write that may touch any key, even if the write is over. Undefined when there was none. */
  latestOfAnyKey: Touched | undefined;

  get any(): boolean {
    return this.#count > 0;
  }

  /** Whether a read in `scope` may see a write in flight. If `scope` is undefined, the read may be in any scope. */
  anyIn(scope: string | undefined): boolean {
    if (scope === undefined || this.#count === 0) return this.any;
    return this.#inFlight(scope) + this.#inFlight(undefined) > 0;
  }

  /**
   * The keys of the latest write in `scope`, even if the write is over. If `scope` is undefined, the write may be in any scope.
   */
  latestIn(scope: string | undefined): Touched | undefined {
    let latest: Writes | undefined;
    for (const [ofScope, writes] of this.#ofScope.entries) {
      const counts = scope === undefined || ofScope === undefined || ofScope === scope;
      if (counts && writes.latestAt > (latest?.latestAt ?? 0)) latest = writes;
    }
    return latest?.latest;
  }

  /** `touched` is undefined if the write itself has not been sent yet. The write then stands for all scopes. */
  started(touched: Touched | undefined): void {
    this.#count += 1;
    const writes = this.#ofScope.getOrMake(touched?.scope, Writes);
    writes.inFlight += 1;
    if (touched === undefined) return;
    this.#started += 1;
    writes.latest = touched;
    writes.latestAt = this.#started;
    if (touched.keys === undefined) this.latestOfAnyKey = touched;
  }

  /** The caller calls this once for each started write, with the same scope. */
  ended(scope: string | undefined): void {
    this.#count -= 1;
    this.#ofScope.getOrMake(scope, Writes).inFlight -= 1;
    // Deferred, because ioredis answers NOSCRIPT by sending the script. A write that directly follows another is part of it.
    if (!this.any && this.#waiting !== undefined) setImmediate(() => this.#release());
  }

  /** Resolves when no write is in flight. After one second it calls `late` and resolves anyway. */
  settled(late: () => void): Promise<void> {
    return new Promise((resolve) => {
      const deadline = setTimeout(() => {
        late();
        resolve();
      }, settleDeadlineMs);
      this.#waiting ??= [];
      this.#waiting.push(() => {
        clearTimeout(deadline);
        resolve();
      });
    });
  }

  #inFlight(scope: string | undefined): number {
    return this.#ofScope.get(scope)?.inFlight ?? 0;
  }

  #release(): void {
    if (this.any) return;
    const waiting = this.#waiting ?? [];
    this.#waiting = undefined;
    for (const resolve of waiting) resolve();
  }
}
