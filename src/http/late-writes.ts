/** Reports writes whose token no response can bring, because the headers were sent before the write started. */
import { lateWriteChannel } from "../diagnostics/channels.js";

/** The route of a request, or its path if the framework knows no route. */
export interface Route {
  readonly method: string | undefined;
  readonly pattern: string | undefined;
  readonly path: string;
}

/** A route of which the URL is known. */
export class UrlRoute implements Route {
  readonly method: string | undefined;
  readonly pattern: string | undefined;
  readonly #url: string;

  constructor(method: string | undefined, pattern: string | undefined, url: string) {
    this.method = method;
    this.pattern = pattern;
    this.#url = url;
  }

  get path(): string {
    return this.#url.split("?", 1)[0] ?? "";
  }
}

/** The state of the response when the write started. */
export type Moment = "ended" | "streaming" | "compressed" | "thrown";

const maxRoutes = 100;
/** Anybody can request any path, so paths must neither flood a log nor use up the warnings about routes. */
const maxPaths = 10;
const maxNameLength = 200;
const maxFrames = 50;

const remedies: Readonly<Record<Moment, string>> = {
  ended:
    "The response had ended. Await the write before you end the response. If a library makes the write and you " +
    "cannot await it, such as the cleanup of a store, run it in a separate session.",
  streaming: "The body was being sent. Await the write before the first bytes of the body.",
  compressed:
    "The body was being sent compressed. If a session store made the write, mount compression before the session " +
    "middleware: compression sends the headers before the session is saved. Otherwise await the write before the first " +
    "bytes of the body.",
  thrown: "Handle errors inside the handler, so that the response can carry the token.",
};

/** Publishes every late write on `tidemark:late-write`, and warns once for each route. */
export class LateWrites {
  readonly #warned = new Set<string>();
  #paths = 0;

  report(tidemark: object, session: object, route: Route, moment: Moment, command: string | undefined): void {
    const { method, pattern, path } = route;
    const name = `${method} ${pattern ?? path}`;
    if (lateWriteChannel.hasSubscribers) lateWriteChannel.publish({ tidemark, session, route: name });
    if (this.#isWarnedOf(name, pattern)) return;
    const written =
      command !== undefined && /^[\w.-]{1,32}$/.test(command) ? ` (${command.toUpperCase()})` : "";
    const when = moment === "thrown" ? ", but its handler threw" : " after its response headers were sent";
    process.emitWarning(
      `${name.slice(0, maxNameLength)} wrote to Redis${written}${when}, so this user's next request may not see the write.`,
      {
        type: "TidemarkWarning",
        code: "TIDEMARK_LATE_WRITE",
        detail: [remedies[moment], ...writtenBy(), "See docs/late-writes.md."].join("\n"),
      },
    );
  }

  /** Whether this route had a warning already, or too many routes had one. If not, records a warning for this route. */
  #isWarnedOf(name: string, pattern: string | undefined): boolean {
    if (this.#warned.has(name)) return true;
    if (pattern === undefined ? this.#paths >= maxPaths : this.#warned.size - this.#paths >= maxRoutes)
      return true;
    this.#warned.add(name);
    if (pattern === undefined) this.#paths += 1;
    return false;
  }
}

/** Where the app called the write: the first frame outside of Tidemark, ioredis and Node. Empty if it is unknown. */
function writtenBy(): string[] {
  const [first = "", ...frames] = stackLines();
  const [, folder] = /(\/\S*\/)http\/late-writes\.[jt]s/.exec(first) ?? [];
  if (folder === undefined) return [];
  const inner = [folder, "/node_modules/ioredis", "node:", "<anonymous>"];
  const frame = frames.find((one) => !inner.some((part) => one.includes(part)));
  return frame === undefined ? [] : [`Written ${frame.trim()}`];
}

/** The current stack. Empty if the app formats stacks itself (`Error.prepareStackTrace`). */
function stackLines(): string[] {
  const { stackTraceLimit } = Error;
  try {
    Reflect.set(Error, "stackTraceLimit", maxFrames);
    const stack: unknown = new Error().stack;
    // The first line is the message, and the second line is this function.
    return typeof stack === "string" ? stack.split("\n").slice(2) : [];
  } catch {
    return [];
  } finally {
    Reflect.set(Error, "stackTraceLimit", stackTraceLimit);
  }
}
