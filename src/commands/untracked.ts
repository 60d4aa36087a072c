/** Marks commands that were sent through an `untracked` client: later reads of their session need not see their writes. */
import type { Command } from "ioredis";

const given = new WeakSet<object>();

/** Marks `command`, so that later reads of its session need not see its writes. */
export function leaveUntracked(command: Command): void {
  given.add(command);
}

/** Whether `command` was marked by {@link leaveUntracked}. */
export function isLeftUntracked(command: Command): boolean {
  return given.has(command);
}
