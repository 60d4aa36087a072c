/**
 * Sends each command in the async context in which it was given, for apps that trace the commands of ioredis. A tracer takes the
 * span of the current context as the parent of a command.
 */
import { AsyncResource } from "node:async_hooks";
import { tracingChannel } from "node:diagnostics_channel";
import { type Command, Redis } from "ioredis";

const channel = tracingChannel("ioredis:command");

/** Whether someone subscribes to the commands of ioredis. Also true on a Node that does not report subscribers. */
export function hasTraceSubscribers(): boolean {
  return channel.hasSubscribers !== false;
}

let checkedMethod: unknown;
let isPatched = false;

/**
 * Whether a tracer may look at the commands of ioredis: it has subscribed to them, or has replaced `sendCommand`. Also true for a
 * `sendCommand` that cannot be recognized.
 */
export function areCommandsTraced(): boolean {
  const { sendCommand } = Redis.prototype;
  if (sendCommand !== checkedMethod) {
    checkedMethod = sendCommand;
    // A replacement calls the method of ioredis, and does not keep the queue of commands itself.
    isPatched = !Function.prototype.toString.call(sendCommand).includes("commandQueue");
  }
  return isPatched || hasTraceSubscribers();
}

/** Where a command is sent, and why. The strings and numbers are shown in traces. */
export interface TracedRoute {
  readonly role: "primary" | "replica";
  readonly reason: string;
  readonly level: string;
  /** The estimated lag of the replica, in milliseconds. Undefined if nothing is proven. */
  readonly lagMs: number | undefined;
}

/** A command that a user gave while commands were traced. */
export class TracedCommand extends AsyncResource {
  readonly #givenAt = performance.now();
  /** Undefined until a server is selected. */
  route: TracedRoute | undefined;
  /** From giving the command until it was last sent, in milliseconds. */
  waitedMs = 0;
  /** How often the command was sent again. */
  resends = -1;

  constructor() {
    super("TidemarkCommand", { requireManualDestroy: true });
  }

  /** Records that the command is sent now as `route` says. */
  sent(route: TracedRoute): void {
    this.route = route;
    this.resends += 1;
    this.waitedMs = performance.now() - this.#givenAt;
  }
}

const traced = new WeakMap<Command, TracedCommand>();

/** The context of the commands that Tidemark sends by itself. No request is running when this module is loaded. */
const noRequest = new AsyncResource("Tidemark", { requireManualDestroy: true });

/** The command that ioredis is taking over at this moment. Null for a command that Tidemark sends by itself. */
let sending: TracedCommand | null | undefined;

/** The command that ioredis is taking over at this moment. Null for a command that Tidemark sends by itself. */
export function commandBeingSent(): TracedCommand | null | undefined {
  return sending;
}

/** Keeps the current context for `command`, which is given now. A command that is given again keeps its first context. */
export function keepContext(command: Command): void {
  if (!traced.has(command)) traced.set(command, new TracedCommand());
}

/** Makes `copy` appear in traces like `command`. */
export function traceAs(copy: Command, command: Command): void {
  const original = traced.get(command);
  if (original !== undefined) traced.set(copy, original);
}

/** The trace of `command`. Undefined if it was given while commands were not traced. */
export function traceOf(command: Command): TracedCommand | undefined {
  return traced.get(command);
}

/**
 * Calls `send`, which passes `command` to ioredis, in the context in which the command was given. A command that no user gave is
 * sent outside of all requests.
 */
export function sendInContext<Result>(command: Command, send: () => Result): Result {
  return sendAs(traced.get(command) ?? null, send);
}

/** Calls `send` like {@link sendInContext}, but in the current context if no context was kept for `command`. */
export function sendInKeptContext<Result>(command: Command, send: () => Result): Result {
  const kept = traced.get(command);
  return kept === undefined ? send() : sendAs(kept, send);
}

function sendAs<Result>(command: TracedCommand | null, send: () => Result): Result {
  const before = sending;
  sending = command;
  try {
    return (command ?? noRequest).runInAsyncScope(send);
  } finally {
    sending = before;
  }
}

/** Calls `act` outside of all requests. */
export function outsideRequests<Result>(act: () => Result): Result {
  return noRequest.runInAsyncScope(act);
}
