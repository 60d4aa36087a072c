/** The writes of a session that are on their way, and who waits for the last of them. */
import { SmallMap } from "./small-map.js";

const settleDeadlineMs = 1_000;

export class WritesInFlight {
  #count = 0;
  /** By scopes; those whose scope is not known count for every one. */
  readonly #ofScope = new SmallMap<string | undefined, number>();
  #waiting: (() => void)[] | undefined;

  get any(): boolean {
    return this.#count > 0;
  }

  /** Whether a read in `scope`, or in any where it is undefined, may see one of them. */
  anyIn(scope: string | undefined): boolean {
    if (scope === undefined || this.#count === 0) return this.any;
    return (this.#ofScope.get(scope) ?? 0) + (this.#ofScope.get(undefined) ?? 0) > 0;
  }

  started(scope: string | undefined): void {
    this.#count += 1;
    this.#ofScope.set(scope, (this.#ofScope.get(scope) ?? 0) + 1);
  }

  /** Called once for each that was started, with the same scope. */
  ended(scope: string | undefined): void {
    this.#count -= 1;
    this.#ofScope.set(scope, (this.#ofScope.get(scope) ?? 0) - 1);
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

  #release(): void {
    if (this.any) return;
    const waiting = this.#waiting ?? [];
    this.#waiting = undefined;
    for (const resolve of waiting) resolve();
  }
}
