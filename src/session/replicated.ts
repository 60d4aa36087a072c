/** What a session wants of replicas before its writes are answered. */

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

  /** What the answers of writes to `shard` have to wait for. */
  heldIn(shard: object): WriteHandle["acknowledged"] {
    const [replicate, wanted] = [this.#replicate, this.#wanted];
    if (replicate === undefined || wanted === undefined) return undefined;
    return (position) => replicate(shard, position, wanted);
  }

  /** Holds the answers of the writes to come back; resolves when all that was made `before` is held in that way. */
  async want(
    wanted: WriteConcern,
    before: () => Promise<readonly (Position | undefined)[]>,
  ): Promise<number> {
    const replicate = this.#replicate;
    if (replicate === undefined)
      throw new InvalidOptionError(
        "replicated",
        replicate,
        "open it with tidemark.session()",
        "the session belongs to no Tidemark",
      );
    this.#wanted = wanted;
    const held = (await before()).map((position) => replicate(undefined, position, wanted));
    return held.length === 0 ? 0 : Math.min(...(await Promise.all(held)));
  }
}
