/** Tells whether the app traces the commands of ioredis. */
import { channel, tracingChannel } from "node:diagnostics_channel";
import { Redis } from "ioredis";

const commands = tracingChannel("ioredis:command");
/** Looking at one of the five channels takes a fraction of the time. */
const starts = channel("tracing:ioredis:command:start");

/** Whether someone subscribes to the commands of ioredis. Also true on a Node that does not report subscribers. */
export function hasTraceSubscribers(): boolean {
  return commands.hasSubscribers !== false;
}

let checkedMethod: unknown;
let isPatched = false;

/**
 * Whether a tracer may look at the context in which ioredis sends commands: it has subscribed to their starts, or has replaced
 * `sendCommand`. Also true for a `sendCommand` that cannot be recognized.
 */
export function areCommandsTraced(): boolean {
  const { sendCommand } = Redis.prototype;
  if (sendCommand !== checkedMethod) {
    checkedMethod = sendCommand;
    // A replacement calls the method of ioredis, and does not keep the queue of commands itself.
    isPatched = !Function.prototype.toString.call(sendCommand).includes("commandQueue");
  }
  return isPatched || starts.hasSubscribers;
}
