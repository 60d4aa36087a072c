/** What became of a write, and who learns of it. */
import type { Position } from "./position.js";

/** What became of a write: the position that covers it, nothing known, or proof that no server received it. */
export type WriteOutcome = Position | "unknown" | "not-sent";

/** Learns of a write, and says what its answer has to wait for, if it succeeds. */
export interface WriteTracker {
  writeStarted(command?: string): void;
  writeEnded(end: WriteOutcome): void;
  readonly held?: ((position: Position | undefined) => Promise<unknown>) | undefined;
}
