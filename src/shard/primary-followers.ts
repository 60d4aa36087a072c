/** Owners of connections to a primary that have to leave it when the primary changes. */
import type { Node } from "../node/node.js";
import type { Shard } from "./shard.js";

/** Keeps connections of its own to the primary of a shard. */
export interface Follower {
  /** Called when `node` was demoted or does not answer, so that connections to it have to be left. */
  leave(node: Node): void;
}

/** How often the primary is asked while there are followers, whose own connections may be silent for hours. */
const lookEveryMs = 1_000;

/** Tells followers when a primary is left, and checks the primaries while there are followers. */
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
      for (const shard of this.#shards()) shard.keepLooking(performance.now());
    }, lookEveryMs).unref();
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
