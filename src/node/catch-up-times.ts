/** Measures how long a replica takes to apply what its primary has, as far as its reports show it. */
import { timesMs } from "../diagnostics/counts.js";

/**
 * A report shows only that the replica has caught up since the report before. If that time is longer than this, the report says too
 * little. Otherwise an idle process, which rarely asks, would seem to have slow replicas.
 */
const longestDoubtMs = 250;

export class CatchUpTimes {
  /** From the time when the primary reported a position until the replica reported it too, in milliseconds. */
  readonly ms = timesMs();
  #coveredAt = Number.NEGATIVE_INFINITY;
  #reportedAt = Number.NEGATIVE_INFINITY;

  /**
   * Takes in the answer to a question asked at `at`. The replica has the newest write that the primary had reported by `coveredAt`.
   * Both times are on the monotonic clock.
   */
  observe(at: number, coveredAt = Number.NEGATIVE_INFINITY): void {
    const isNew = coveredAt > this.#coveredAt;
    const doubtMs = at - Math.max(coveredAt, this.#reportedAt);
    if (isNew && doubtMs <= longestDoubtMs) this.ms.add(Math.max(0, at - coveredAt));
    if (isNew) this.#coveredAt = coveredAt;
    this.#reportedAt = at;
  }
}
