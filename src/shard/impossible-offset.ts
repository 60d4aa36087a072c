/** Replicas that claim an offset that their primary has not reached: what they say of themselves cannot be true. */

import type { Node } from "../node/node.js";
import type { OffsetTimeline } from "../replication/offset-timeline.js";
import type { Position } from "../replication/position.js";

interface Claim {
  readonly position: Position;
  /** When it was heard, on the monotonic clock. */
  readonly at: number;
}

/** More than any primary can write in a millisecond. */
const maxBytesPerMs = 10_000_000;
const slackMs = 10;

/**
 * A replica may well be ahead of the newest sample of its primary, since that grows old. It claims too much if the primary
 * cannot have written so much since, or reports less in an INFO that it was sent later.
 */
export class ImpossibleOffsets {
  readonly #history: OffsetTimeline;
  /** What each replica has claimed beyond the newest sample, until a later sample is there. */
  readonly #claims = new Map<Node, Claim>();
  readonly #proven = new WeakSet<Node>();

  constructor(history: OffsetTimeline) {
    this.#history = history;
  }

  /** Takes in what a replica says of itself. One that has claimed too much has to claim less first. */
  saw(node: Node, position: Position): void {
    const { replid, offset } = position;
    if (replid !== this.#history.replid || offset <= this.#history.latestOffset) {
      this.#claims.delete(node);
      this.#proven.delete(node);
    } else if (this.#proven.has(node) || offset > this.#mostNow()) this.#refute(node, offset);
    else if (!this.#claims.has(node)) this.#claims.set(node, { position, at: performance.now() });
  }

  /** Takes in that the primary was at this position, by an INFO that was sent at `sentAt`. */
  sampled(sentAt: number, { replid, offset }: Position): void {
    for (const [node, { position, at }] of this.#claims) {
      if (sentAt < at) continue;
      this.#claims.delete(node);
      if (position.replid === replid && offset < position.offset) this.#refute(node, position.offset);
    }
  }

  /** What the primary can have written by now. */
  #mostNow(): number {
    const { latestOffset, latestAt } = this.#history;
    return latestOffset + (performance.now() - latestAt + slackMs) * maxBytesPerMs;
  }

  #refute(node: Node, offset: number): void {
    this.#proven.add(node);
    node.disbelieve(
      `says that it is at offset ${offset}, which its primary has not reached, so its INFO, or a proxy in front of it, is wrong`,
    );
  }
}
