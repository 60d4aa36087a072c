/** How long a command may take by the user's options, kept at the client for all the ways it may go. */
import type { Command, RedisOptions } from "ioredis";
import { Ends } from "./ends.js";

const defaultGraceMs = 100;

/** After how many milliseconds a command that blocks is no longer waited for; Infinity when it always is. */
export function blockingDeadline(command: Command, options: RedisOptions): number {
  return Math.min(options.commandTimeout ?? Number.POSITIVE_INFINITY, blockingTimeout(command, options));
}

/** Rejects `command` after `commandTimeout`, or resolves it with null after `blockingTimeout`, as ioredis does. */
export function limitTime(command: Command, options: RedisOptions, blocks: boolean): void {
  const { commandTimeout } = options;
  const { resolve, reject } = command;
  // The command stays with whoever has sent it: that it was late does not mean that it is over.
  if (typeof commandTimeout === "number")
    limit(command, commandTimeout, () => reject(new Error("Command timed out")));
  const blockingMs = blocks ? blockingTimeout(command, options) : Number.POSITIVE_INFINITY;
  if (Number.isFinite(blockingMs)) limit(command, blockingMs, () => resolve(null));
}

function blockingTimeout(command: Command, options: RedisOptions): number {
  const { blockingTimeout, blockingTimeoutGrace = defaultGraceMs } = options;
  if (typeof blockingTimeout !== "number" || blockingTimeout <= 0) return Number.POSITIVE_INFINITY;
  const own = command.extractBlockingTimeout();
  return typeof own === "number" && own > 0 ? own + blockingTimeoutGrace : blockingTimeout;
}

function limit(command: Command, ms: number, overdue: () => void): void {
  const ends = new Ends(command);
  const timer = setTimeout(overdue, ms);
  command.resolve = (reply) => {
    clearTimeout(timer);
    return ends.resolve(reply);
  };
  command.reject = (error) => {
    clearTimeout(timer);
    ends.reject(error);
  };
}
