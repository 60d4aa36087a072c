/** Tells the owners of further connections to a primary when they have to leave the primary. */
import type { Node } from "../node/node.js";
import type { Shard } from "./shard.js";

/** Owns further connections to the primary of a shard. */
export interface Follower {
  /** Called when `node` was demoted or does not answer, so that the follower has to leave its connections to `node`. */
  leave(node: Node): void;
}

/** How often the primary is checked while there are followers. The connections of the followers may be silent for hours. */
const checkEveryMs = 1_000;

export class Followers {
  readonly #shards: () => readonly Shard[];
  readonly #followers = new Set<Follower>();
  #timer: NodeJS.Timeout | undefined;

  constructor(shards: () => readonly Shard[]) {
    this.#shards = shards;
  }

  add(follower: Follower): void {
    this.#followers.add(follower);
    this.#timer ??= setInterval(() => {
      for (const shard of this.#shards()) shard.availability.check(performance.now());
    }, checkEveryMs).unref();
  }

  remove(follower: Follower): void {
    this.#followers.delete(follower);
    if (this.#followers.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Makes every follower leave `node`. */
  left(node: Node): void {
    for (const follower of [...this.#followers]) follower.leave(node);
  }
}
