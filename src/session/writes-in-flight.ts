/** The writes of a session that are on their way, and who waits for the last of them. */

import type { Touched } from "../commands/touched-keys.js";
import { SmallMap } from "./small-map.js";

const settleDeadlineMs = 1_000;

/** The writes in one scope. */
class Writes {
  inFlight = 0;
  /** What the latest of all touches, whether it is still on its way or not; undefined while there was none. */
  latest: Touched | undefined;
  /** When that was started: a greater number is later. */
  latestAt = 0;
}

export class WritesInFlight {
  #count = 0;
  #started = 0;
  /** By scopes; those whose scope is not known count for every one. */
  readonly #ofScope = new SmallMap<string | undefined, Writes>();
  #waiting: (() => void)[] | undefined;
  #latestOfAnyKey: Touched | undefined;

  get any(): boolean {
    return this.#count > 0;
  }

  /** Whether a read in `scope`, or in any where it is undefined, may see one of them. */
  anyIn(scope: string | undefined): boolean {
    if (scope === undefined || this.#count === 0) return this.any;
    return this.#inFlight(scope) + this.#inFlight(undefined) > 0;
  }

  /** What the latest write in `scope` touches, or in any where it is undefined, also when that write is over. */
  latestIn(scope: string | undefined): Touched | undefined {
    let latest: Writes | undefined;
    for (const [ofScope, writes] of this.#ofScope.entries) {
      const counts = scope === undefined || ofScope === undefined || ofScope === scope;
      if (counts && writes.latestAt > (latest?.latestAt ?? 0)) latest = writes;
    }
    return latest?.latest;
  }

  /** The latest write that may touch any key, also when it is over; undefined when there was none. */
  get latestOfAnyKey(): Touched | undefined {
    return this.#latestOfAnyKey;
  }

  /** `touched` is undefined where the write itself is still to come: it stands for all scopes until then. */
  started(touched: Touched | undefined): void {
    this.#count += 1;
    const writes = this.#in(touched?.scope);
    writes.inFlight += 1;
    if (touched === undefined) return;
    this.#started += 1;
    writes.latest = touched;
    writes.latestAt = this.#started;
    if (touched.keys === undefined) this.#latestOfAnyKey = touched;
  }

  /** Called once for each that was started, with the same scope. */
  ended(scope: string | undefined): void {
    this.#count -= 1;
    this.#in(scope).inFlight -= 1;
    // Not at once: ioredis answers NOSCRIPT by sending the script, and a write that follows a write is part of it.
    if (!this.any && this.#waiting !== undefined) setImmediate(() => this.#release());
  }

  /** Resolves when there is none any more, or after one second, when `late` is called before. */
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

  #in(scope: string | undefined): Writes {
    let writes = this.#ofScope.get(scope);
    if (writes === undefined) {
      writes = new Writes();
      this.#ofScope.set(scope, writes);
    }
    return writes;
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
