/** Acknowledged writes that a failover has lost: found when their session reads next, and said. */
import { lostWriteChannel } from "./channels.js";
import { LostWriteError } from "./errors.js";
import type { Position } from "./position.js";
import type { Session } from "./session.js";
import type { Shard } from "./shard.js";

/** What is done about a lost write, beside telling those who listen. */
export type OnLostWrite = "report" | "error";

export class Losses {
  /** How many have been found. */
  count = 0;
  readonly #onLostWrite: OnLostWrite;

  constructor(onLostWrite: OnLostWrite) {
    this.#onLostWrite = onLostWrite;
  }

  /**
   * Says what `session` has lost, once; with `"error"` it gives what its read is to be rejected with. Only what the
   * primary's own history proves counts as lost: a history nobody knows may have everything.
   */
  check(shards: readonly Shard[], session: Session, command: string): LostWriteError | undefined {
    let error: LostWriteError | undefined;
    for (const position of session.positions) {
      const shard = loserOf(position, shards);
      if (shard === undefined) continue;
      const survivor = shard.survivor(position);
      session.lose(position, survivor);
      if (position.read) continue;
      this.count += 1;
      const gap = position.offset - survivor.offset;
      lostWriteChannel.publish({
        session,
        position,
        survivor,
        gap,
        primary: shard.primary.connection.address,
      });
      if (this.#onLostWrite === "error") error = new LostWriteError(command.toUpperCase(), gap);
    }
    return error;
  }
}

/** The shard whose history lacks what belongs to it at `position`; undefined when it has it, or nobody knows. */
function loserOf(position: Position, shards: readonly Shard[]): Shard | undefined {
  for (const shard of shards) {
    const outcome = shard.outcome(position);
    if (outcome !== "unknown") return outcome === "lost" ? shard : undefined;
  }
  return undefined;
}
