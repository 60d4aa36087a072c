/** Defines the outcome of a write and the handle that reports it. */
import type { Position } from "./position.js";

/**
 * The outcome of a write: the position that covers it, or `unknown`. A write is `not-asked` if it was sent without a question for its
 * position, and `not-sent` if it changes nothing: no server received it, or another handle stands for it.
 */
export type WriteOutcome = Position | "unknown" | "not-asked" | "not-sent";

/** A write that may be in flight. Its session counts it as in flight until `end` is called. */
export interface WriteHandle {
  /** Reports the outcome of the write. Only the first call counts. */
  end(outcome: WriteOutcome): void;
  /** Resolves when the replicas of a write concern have the write. The answer waits for this in addition to the position. */
  readonly whenReplicated?: ((position: Position | undefined) => Promise<unknown>) | undefined;
}
