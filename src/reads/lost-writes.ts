/** Acknowledged writes that a failover has lost: found when their session reads next, and said. */
import { lostWriteChannel } from "../diagnostics/channels.js";
import { LostWriteError } from "../errors/errors.js";
import type { Position } from "../replication/position.js";
import type { Session } from "../session/session.js";
import type { Shard } from "../shard/shard.js";

/** What is done about a lost write, beside telling those who listen. */
export type OnLostWrite = "report" | "error";

/** So many positions are remembered: then the oldest is forgotten, and a token that says it is reported again. */
const maxRemembered = 10_000;

export class LostWrites {
  /** How many have been reported. */
  count = 0;
  readonly #reported = new Set<string>();
  readonly #onLostWrite: OnLostWrite;

  constructor(onLostWrite: OnLostWrite) {
    this.#onLostWrite = onLostWrite;
  }

  /**
   * Reports what `session` has lost, and gives with `"error"` what its read is to be rejected with. Only what the
   * primary's own history proves counts as lost: a history nobody knows may have everything.
   *
   * A token may be sent again and again. Each session that it begins gets the error, since the response that told its user may
   * have got lost; the report and the count are made once for each position.
   */
  check(shards: readonly Shard[], session: Session, command: string): LostWriteError | undefined {
    let error: LostWriteError | undefined;
    for (const position of session.positions) {
      const shard = loserOf(position, shards);
      if (shard === undefined) continue;
      const survivor = shard.survivor(position);
      session.markLost(position, survivor);
      if (position.read) continue;
      const gap = position.offset - survivor.offset;
      if (this.#isNews(session, position)) {
        this.count += 1;
        const primary = shard.primaryAddress;
        const { replid, offset } = position;
        lostWriteChannel.publish({ session, position: { replid, offset }, survivor, gap, primary });
      }
      if (this.#onLostWrite === "error") error = new LostWriteError(command.toUpperCase(), gap);
    }
    return error;
  }

  /** Whether `position` was not reported yet, or is of a write that `session` itself has made. */
  #isNews(session: Session, position: Position): boolean {
    const name = `${position.replid}:${position.offset}`;
    const isReported = this.#reported.has(name);
    if (!isReported && this.#reported.size >= maxRemembered) {
      for (const oldest of this.#reported) {
        this.#reported.delete(oldest);
        break;
      }
    }
    this.#reported.add(name);
    return !isReported || !session.demand.isBrought(position);
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
