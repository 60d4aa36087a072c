/**
 * Sends each command in the async context in which it was given, for apps that trace the commands of ioredis. A tracer takes the
 * span of the current context as the parent of a command. This file must not load ioredis, because apps import it before the
 * instrumentation that patches ioredis when it is loaded.
 */
import { AsyncResource } from "node:async_hooks";
import type { Command } from "ioredis";

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

const trace = Symbol("trace");

/** The trace is a property of the command, because each entry of a WeakMap takes a microsecond. */
type WithTrace = Command & { [trace]?: TracedCommand };

/** The context of the commands that Tidemark sends by itself. No request is running when this module is loaded. */
const noRequest = new AsyncResource("Tidemark", { requireManualDestroy: true });

/** Has the command that ioredis is sending at this moment as its only value. */
type Sending = Map<"command", TracedCommand | null | undefined>;

const place = Symbol.for("tidemark.sending");
const sending = sharedSending();

/** A property of `globalThis`, because bundlers may give an app and the code that sets up its tracing separate copies of this file. */
function sharedSending(): Sending {
  const kept: unknown = Reflect.get(globalThis, place);
  if (kept instanceof Map) return kept;
  const made: Sending = new Map();
  Reflect.set(globalThis, place, made);
  return made;
}

/** The command that ioredis is sending at this moment. Null for a command that Tidemark sends by itself. */
export function commandBeingSent(): TracedCommand | null | undefined {
  return sending.get("command");
}

/** Keeps the current context for `command`, which is given now. A command that is given again keeps its first context. */
export function keepContext(command: Command): void {
  const given: WithTrace = command;
  given[trace] ??= new TracedCommand();
}

/** Makes `copy` appear in traces like `command`. */
export function traceAs(copy: Command, command: Command): void {
  const original = traceOf(command);
  const given: WithTrace = copy;
  if (original !== undefined) given[trace] = original;
}

/** The trace of `command`. Undefined if it was given while commands were not traced. */
export function traceOf(command: WithTrace): TracedCommand | undefined {
  return command[trace];
}

/**
 * Calls `send`, which passes `command` to ioredis, in the context in which the command was given. A command that no user gave is
 * sent outside of all requests.
 */
export function sendInContext<Result>(command: Command, send: () => Result): Result {
  return sendAs(traceOf(command) ?? null, send);
}

/** Calls `send` like {@link sendInContext}, but in the current context if no context was kept for `command`. */
export function sendInKeptContext<Result>(command: Command, send: () => Result): Result {
  const kept = traceOf(command);
  return kept === undefined ? send() : sendAs(kept, send);
}

function sendAs<Result>(command: TracedCommand | null, send: () => Result): Result {
  const before = sending.get("command");
  sending.set("command", command);
  try {
    return (command ?? noRequest).runInAsyncScope(send);
  } finally {
    sending.set("command", before);
  }
}

/** Calls `act` outside of all requests. */
export function outsideRequests<Result>(act: () => Result): Result {
  return noRequest.runInAsyncScope(act);
}
