/** Finds acknowledged writes that a failover has lost when their session reads next, and reports them. */
import { lostWriteChannel } from "../diagnostics/channels.js";
import type { Counts } from "../diagnostics/counts.js";
import { LostWriteError } from "../errors/errors.js";
import type { Position } from "../replication/position.js";
import type { Session } from "../session/session.js";
import type { Shard } from "../shard/shard.js";

/** How Tidemark reacts to a lost write, besides publishing it to subscribers. */
export type OnLostWrite = "report" | "error";

/**
 * Tidemark remembers this many positions and then forgets the oldest. A forgotten position is reported again if a token contains
 * it.
 */
const maxRemembered = 10_000;

export class LostWrites {
  readonly #reported = new Set<string>();
  readonly #counts: Counts;
  readonly #onLostWrite: OnLostWrite;

  constructor(counts: Counts, onLostWrite: OnLostWrite) {
    this.#counts = counts;
    this.#onLostWrite = onLostWrite;
  }

  /**
   * Reports the writes that `session` has lost. With `"error"`, returns the error that rejects the read. A write counts as lost
   * only if the primary's own history proves it. A history that is not known may contain everything.
   *
   * A token may be sent many times. Each session that begins with it gets the error, because the response with the error may have
   * been lost. The report and the count are made once for each position.
   */
  check(shards: readonly Shard[], session: Session, command: string): LostWriteError | undefined {
    let error: LostWriteError | undefined;
    for (const position of session.positions) {
      const shard = shardThatLost(position, shards);
      if (shard === undefined) continue;
      const survivor = shard.survivor(position);
      session.markLost(position, survivor);
      if (position.read) continue;
      const gap = position.offset - survivor.offset;
      if (this.#isNew(session, position)) {
        const { tidemark } = this.#counts;
        this.#counts.lostWrites += 1;
        const primary = shard.primaryAddress;
        const { replid, offset } = position;
        lostWriteChannel.publish({ tidemark, session, position: { replid, offset }, survivor, gap, primary });
      }
      if (this.#onLostWrite === "error") error = new LostWriteError(command.toUpperCase(), gap);
    }
    return error;
  }

  /** Whether `position` has not been reported yet, or belongs to a write that `session` itself has made. */
  #isNew(session: Session, position: Position): boolean {
    const name = `${position.replid}:${position.offset}`;
    const isReported = this.#reported.has(name);
    if (!isReported && this.#reported.size >= maxRemembered) {
      for (const oldest of this.#reported) {
        this.#reported.delete(oldest);
        break;
      }
    }
    this.#reported.add(name);
    return !isReported || !session.requirement.isBrought(position);
  }
}

/**
 * The shard that `position` belongs to, if the history of the shard lacks it. Undefined if the shard has it, or if that is not
 * known.
 */
function shardThatLost(position: Position, shards: readonly Shard[]): Shard | undefined {
  for (const shard of shards) {
    const outcome = shard.outcome(position);
    if (outcome !== "unknown") return outcome === "lost" ? shard : undefined;
  }
  return undefined;
}
