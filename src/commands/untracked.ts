/** Marks commands that were sent through an `untracked` client, because their writes count for no session. */
import type { Command } from "ioredis";

const given = new WeakSet<object>();

/** Marks `command`, so that its writes count for no session. */
export function leaveUntracked(command: Command): void {
  given.add(command);
}

/** Whether `command` was marked by {@link leaveUntracked}. */
export function isLeftUntracked(command: Command): boolean {
  return given.has(command);
}
