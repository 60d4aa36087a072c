/** How many commands a Tidemark has sent. It counts them before they are answered, when `tidemark:route` does not know them yet. */
import type { Reason, Tidemark } from "../../../src/index.js";

/** All commands, or those that were sent for `reason`. */
export function sentCommands(tidemark: Tidemark, reason?: Reason): number {
  const counts = tidemark.stats().commands.filter((one) => reason === undefined || one.reason === reason);
  return counts.reduce((sum, { count }) => sum + count, 0);
}
