/** Measures how a command of a session ends, for the rule that may stop a rollout. */
import type { Command } from "ioredis";
import { CommandCallbacks } from "../commands/callbacks.js";
import { isStateError } from "../commands/server-reply.js";

/** Receives how commands end. */
export interface CommandOutcomes {
  ended(isLive: boolean, ms: number, isError: boolean): void;
}

/** Reports to `outcomes` when `command` ends. `isLive` is whether replicas may answer the reads of its session. */
export function timeCommand(command: Command, isLive: boolean, outcomes: CommandOutcomes): void {
  const callbacks = new CommandCallbacks(command);
  const givenAt = performance.now();
  command.resolve = (reply) => {
    outcomes.ended(isLive, performance.now() - givenAt, false);
    return callbacks.resolve(reply);
  };
  command.reject = (error) => {
    outcomes.ended(isLive, performance.now() - givenAt, isFault(error));
    callbacks.reject(error);
  };
}

/** Whether `error` is a fault of servers or connections. The server also answers mistakes of the app with errors. */
function isFault(error: Error): boolean {
  return error.name !== "ReplyError" || isStateError(error);
}
