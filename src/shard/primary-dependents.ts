/** Tells the owners of further connections to a primary when they have to leave the primary. */
import type { Node } from "../node/node.js";
import type { Shard } from "./shard.js";

/** Owns further connections to the primary of a shard. */
export interface PrimaryDependent {
  /** Called when `node` was demoted or does not answer, so that the dependent has to leave its connections to `node`. */
  leave(node: Node): void;
}

/** How often the primary is checked while there are dependents. The connections of the dependents may be silent for hours. */
const checkEveryMs = 1_000;

export class PrimaryDependents {
  readonly #shards: () => readonly Shard[];
  readonly #dependents = new Set<PrimaryDependent>();
  #timer: NodeJS.Timeout | undefined;

  constructor(shards: () => readonly Shard[]) {
    this.#shards = shards;
  }

  add(dependent: PrimaryDependent): void {
    this.#dependents.add(dependent);
    this.#timer ??= setInterval(() => {
      for (const shard of this.#shards()) shard.availability.check(performance.now());
    }, checkEveryMs).unref();
  }

  remove(dependent: PrimaryDependent): void {
    this.#dependents.delete(dependent);
    if (this.#dependents.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Makes every dependent leave `node`. */
  left(node: Node): void {
    for (const dependent of [...this.#dependents]) dependent.leave(node);
  }
}
