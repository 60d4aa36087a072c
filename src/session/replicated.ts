/** Holds a session's write concern, and delays the answers of its writes until enough replicas have them. */

import type { WriteConcern } from "../consistency/write-concern.js";
import { InvalidOptionError } from "../errors/errors.js";
import type { Position } from "../replication/position.js";
import type { WriteHandle } from "../replication/write-outcome.js";
import type { Replicate } from "./session-parts.js";

export class WriteConcernOfSession {
  readonly #replicate: Replicate | undefined;
  #wanted: WriteConcern | undefined;

  constructor(replicate: Replicate | undefined) {
    this.#replicate = replicate;
  }

  /** The condition that answers to writes in `shard` wait for. */
  heldIn(shard: object): WriteHandle["acknowledged"] {
    const [replicate, wanted] = [this.#replicate, this.#wanted];
    if (replicate === undefined || wanted === undefined) return undefined;
    return (position) => replicate(shard, position, wanted);
  }

  /** Applies `wanted` to all writes from now on. Resolves when the writes made `before` meet the same write concern. */
  async want(
    wanted: WriteConcern,
    before: () => Promise<readonly (Position | undefined)[]>,
  ): Promise<number> {
    const replicate = this.#replicate;
    if (replicate === undefined)
      throw new InvalidOptionError(
        "replicated",
        replicate,
        "Open it with tidemark.session()",
        "this session was not opened by a Tidemark",
      );
    this.#wanted = wanted;
    const held = (await before()).map((position) => replicate(undefined, position, wanted));
    return held.length === 0 ? 0 : Math.min(...(await Promise.all(held)));
  }
}
