/** Routes that only read by their method, and whose requests all write all the same. */
import type { Session } from "../session/session.js";
import type { Route } from "./late-writes.js";

/** How many requests of a route in a row have to write. */
const requests = 50;
/** An app may make routes of what its users send. */
const maxRoutes = 100;
const maxWarnings = 5;
/** For a request that writes nothing, finding its route is work that has to end some day. */
const maxLooks = 10_000;
const maxNameLength = 200;

/** A session, as far as it shows whether its request has written to keys that are in no scope. */
type Writer = Pick<Session, "wroteUnscoped" | "unscopedPrefix">;

/** Counts the requests of each route, and warns once when 50 in a row have written to keys that are in no scope. */
export class ReadingRoutes {
  /** How many requests have written, by their routes; undefined for a route that is not counted any more. */
  readonly #writing = new Map<string, number | undefined>();
  /** How many routes are counted. */
  #open = 0;
  #looks = 0;
  #warnings = 0;

  /** Whether the request of `session` has to be counted: a look at two numbers, where the request has written nothing. */
  concerns({ wroteUnscoped }: Writer): boolean {
    return (wroteUnscoped || this.#open > 0) && this.#looks < maxLooks && this.#warnings < maxWarnings;
  }

  /** Counts a request; only the pattern of its route names it, because anybody can ask for any path. */
  count({ method, pattern }: Route, session: Writer): void {
    if (!session.wroteUnscoped) this.#looks += 1;
    if (pattern === undefined || (method !== "GET" && method !== "HEAD")) return;
    const name = `${method} ${pattern}`;
    const isKnown = this.#writing.has(name);
    const written = isKnown ? this.#writing.get(name) : 0;
    if (written === undefined) return;
    if (!session.wroteUnscoped) {
      if (isKnown) this.#close(name);
    } else if (written + 1 === requests) {
      this.#close(name);
      this.#warn(name, session.unscopedPrefix);
    } else if (isKnown || this.#writing.size < maxRoutes) {
      if (!isKnown) this.#open += 1;
      this.#writing.set(name, written + 1);
    }
  }

  #close(name: string): void {
    this.#writing.set(name, undefined);
    this.#open -= 1;
  }

  #warn(name: string, prefix: string | undefined): void {
    this.#warnings += 1;
    const what = prefix === undefined ? "to Redis" : `keys that begin with "${prefix}"`;
    process.emitWarning(
      `${name.slice(0, maxNameLength)} wrote ${what} in ${requests} requests in a row, so later reads of the same ` +
        "request go to the primary until a replica has the write.",
      {
        type: "TidemarkWarning",
        code: "TIDEMARK_READING_ROUTE_WRITES",
        detail:
          "If the user's later reads need not see the writes, as with counters and logs, send them with redis.untracked, or " +
          "name their prefix in the option untracked. If a session store or a rate limiter makes the writes, name their prefix " +
          'in the option scopes. Otherwise change nothing. See "Untracked writes" in docs/guarantees.md.',
      },
    );
  }
}
