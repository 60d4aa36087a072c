/** Those who keep connections to a primary and have to leave it with everybody else. */
import type { Node } from "./node.js";
import type { Shard } from "./shard.js";

/** Keeps connections of its own to the primary of a shard. */
export interface Follower {
  /** Told that nobody is to stay connected to `node` as a primary, because it is one no more or does not answer. */
  leave(node: Node): void;
}

/** How often the primary is looked at for those whose own connections may be silent for hours. */
const lookEveryMs = 1_000;

/** Tells its followers when a primary is left, and keeps looking at the primaries as long as there are any. */
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

  /** Has every follower leave `node`. */
  left(node: Node): void {
    for (const follower of [...this.#followers]) follower.leave(node);
  }
}
