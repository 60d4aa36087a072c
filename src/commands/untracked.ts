/** Commands that were given through an `untracked` client: their writes count for no session. */
import type { Command } from "ioredis";

const given = new WeakSet<object>();

/** Has the writes of `command` count for no session. */
export function leaveUntracked(command: Command): void {
  given.add(command);
}

/** Whether that was asked for. */
export function isLeftUntracked(command: Command): boolean {
  return given.has(command);
}
