/** Finds replicas that report an offset that their primary has not reached. Such a report cannot be true. */
import type { Node } from "../node/node.js";
import type { OffsetTimeline } from "../replication/offset-timeline.js";
import type { Position } from "../replication/position.js";

interface Claim {
  readonly position: Position;
  /** When the replica reported the position, on the monotonic clock. */
  readonly at: number;
}

/** More than any primary can write in a millisecond. */
const maxBytesPerMs = 10_000_000;
const slackMs = 10;

/**
 * A replica may be ahead of the newest sample of its primary, because the sample grows old. An offset is impossible if the primary
 * cannot have written so much since the sample. It is also impossible if the primary reports a smaller offset in an INFO that was
 * sent after the report of the replica.
 */
export class ImpossibleOffsets {
  readonly #history: OffsetTimeline;
  /**
   * By replica: a position beyond the newest sample that the replica has reported. A later sample shows whether the position is
   * possible.
   */
  readonly #claims = new Map<Node, Claim>();
  /** Replicas whose latest position was impossible. */
  readonly #refuted = new WeakSet<Node>();

  constructor(history: OffsetTimeline) {
    this.#history = history;
  }

  /**
   * Checks the position that a replica reports. A replica that was refuted is believed again once it reports an offset that the
   * primary is known to have reached.
   */
  saw(node: Node, position: Position): void {
    const { replid, offset } = position;
    if (replid !== this.#history.replid || offset <= this.#history.latestOffset) {
      this.#claims.delete(node);
      this.#refuted.delete(node);
    } else if (this.#refuted.has(node) || offset > this.#mostNow()) this.#refute(node, offset);
    else if (!this.#claims.has(node)) this.#claims.set(node, { position, at: performance.now() });
  }

  /** Checks all claims against a position that the primary reported in an INFO sent at `sentAt`. */
  sampled(sentAt: number, { replid, offset }: Position): void {
    for (const [node, { position, at }] of this.#claims) {
      if (sentAt < at) continue;
      this.#claims.delete(node);
      if (position.replid === replid && offset < position.offset) this.#refute(node, position.offset);
    }
  }

  /** The greatest offset that the primary can have reached by now. */
  #mostNow(): number {
    const { latestOffset, latestAt } = this.#history;
    return latestOffset + (performance.now() - latestAt + slackMs) * maxBytesPerMs;
  }

  #refute(node: Node, offset: number): void {
    this.#refuted.add(node);
    node.disbelieve(
      `it reports offset ${offset}, which its primary has not reached, so its INFO or a proxy in front of it is wrong`,
    );
  }
}
