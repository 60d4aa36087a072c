/** Writes whose position no response can bring to its user, because the headers were sent before. */
import { lateWriteChannel } from "../diagnostics/channels.js";

/** A request by its route, or by its path if the framework knows no route. */
export interface Route {
  readonly method: string | undefined;
  readonly pattern: string | undefined;
  readonly path: string;
}

/** How far the response was when the write began. */
export type Moment = "ended" | "streaming" | "compressed" | "thrown";

const maxRoutes = 100;
/** Anybody can ask for any path, so these must neither flood a log nor use up the warnings about routes. */
const maxPaths = 10;
const maxNameLength = 200;
const framesLookedAt = 50;

const remedies: Readonly<Record<Moment, string>> = {
  ended:
    "The response had ended. Await the write before you end the response. If a library makes the write and nobody can " +
    "await it, such as a store's own upkeep, run it in a session of its own.",
  streaming: "The body was being sent. Await the write before the first bytes of the body.",
  compressed:
    "The body was being sent compressed. If a session store made the write, mount compression before the session " +
    "middleware: compression sends the headers before the session is saved. Otherwise await the write before the first " +
    "bytes of the body.",
  thrown: "Answer errors inside the handler, so that a response can bring the token.",
};

/** Published on `tidemark:late-write` each time, and warned about once for each route. */
export class LateWrites {
  readonly #warned = new Set<string>();
  #paths = 0;

  report(session: object, route: Route, moment: Moment, command: string | undefined): void {
    const { method, pattern, path } = route;
    const name = `${method} ${pattern ?? path}`;
    if (lateWriteChannel.hasSubscribers) lateWriteChannel.publish({ session, route: name });
    if (this.#isWarnedOf(name, pattern)) return;
    const written =
      command !== undefined && /^[\w.-]{1,32}$/.test(command) ? ` (${command.toUpperCase()})` : "";
    const when = moment === "thrown" ? ", but its handler threw" : " after its response headers were sent";
    process.emitWarning(
      `${name.slice(0, maxNameLength)} wrote to Redis${written}${when}, so this user's next request may not see the write.`,
      {
        type: "TidemarkWarning",
        code: "TIDEMARK_LATE_WRITE",
        detail: [remedies[moment], ...writtenBy(), "More: docs/late-writes.md"].join("\n"),
      },
    );
  }

  /** Whether there was a warning already, or were too many; else this one counts. */
  #isWarnedOf(name: string, pattern: string | undefined): boolean {
    if (this.#warned.has(name)) return true;
    if (pattern === undefined ? this.#paths >= maxPaths : this.#warned.size - this.#paths >= maxRoutes)
      return true;
    this.#warned.add(name);
    if (pattern === undefined) this.#paths += 1;
    return false;
  }
}

/** Where the write was called: the first place outside Tidemark, ioredis and Node. Empty where that is not known. */
function writtenBy(): string[] {
  const [first = "", ...frames] = stackLines();
  const [, folder] = /(\/\S*\/)http\/late-writes\.[jt]s/.exec(first) ?? [];
  if (folder === undefined) return [];
  const inner = [folder, "/node_modules/ioredis", "node:", "<anonymous>"];
  const frame = frames.find((one) => !inner.some((part) => one.includes(part)));
  return frame === undefined ? [] : [`Written ${frame.trim()}`];
}

/** The stack from here on. Empty where an app has its own kind of stacks (`Error.prepareStackTrace`). */
function stackLines(): string[] {
  const { stackTraceLimit } = Error;
  try {
    Reflect.set(Error, "stackTraceLimit", framesLookedAt);
    const stack: unknown = new Error().stack;
    // The first line is the message, the second one this function.
    return typeof stack === "string" ? stack.split("\n").slice(2) : [];
  } catch {
    return [];
  } finally {
    Reflect.set(Error, "stackTraceLimit", stackTraceLimit);
  }
}
