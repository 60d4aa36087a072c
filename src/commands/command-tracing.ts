/** Tells whether the app traces the commands of ioredis. */
import { tracingChannel } from "node:diagnostics_channel";

const commands = tracingChannel("ioredis:command");

/** Whether someone traces the commands of ioredis. Also true on a Node that does not report the subscribers of a tracing channel. */
export function areCommandsTraced(): boolean {
  return commands.hasSubscribers !== false;
}
