/** What became of a write, and who learns of it. */
import type { Position } from "./position.js";

/** What became of a write: the position that covers it, nothing known, or proof that no server received it. */
export type WriteOutcome = Position | "unknown" | "not-sent";

/** A write that may be on its way. Its session counts it as in flight until `end` is called. */
export interface WriteHandle {
  /** Says what became of the write; only the first call counts. */
  end(outcome: WriteOutcome): void;
  /** What the answer has to wait for besides the position: replicas, where a write concern asks for them. */
  readonly acknowledged?: ((position: Position | undefined) => Promise<unknown>) | undefined;
}
