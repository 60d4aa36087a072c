/** Finds routes whose method only reads, but whose requests all write. */
import type { Session } from "../session/session.js";
import type { Route } from "./late-writes.js";

/** How many requests of a route in a row must write before a warning. */
const requests = 50;
/** The most routes that are counted, because an app may create routes from the input of its users. */
const maxRoutes = 100;
const maxWarnings = 5;
/** Limits the work of finding the routes of requests that write nothing. */
const maxLooks = 10_000;
const maxNameLength = 200;

/** Stands in a proposed option for a prefix that is not known. */
const placeholder = "your-prefix:";
const byFunction = "return true for them in your function `untracked`";

/**
 * The part of a session that shows whether its request has written to keys outside of all scopes.
 *
 * @internal
 */
type Writer = Pick<Session, "unscopedWrite" | "statistics">;

/** Counts the requests of each route. Warns once when 50 in a row have written to keys outside of all scopes. */
export class ReadingRoutes {
  /** How many requests of a route have written; undefined for a route that is no longer counted. */
  readonly #writing = new Map<string, number | undefined>();
  /** How many routes are still counted. */
  #open = 0;
  #looks = 0;
  #warnings = 0;

  /**
   * Whether the request of `session` has to be counted. Cheap for a request that has written nothing.
   *
   * @internal
   */
  concerns({ unscopedWrite }: Writer): boolean {
    return (
      (unscopedWrite !== undefined || this.#open > 0) &&
      this.#looks < maxLooks &&
      this.#warnings < maxWarnings
    );
  }

  /**
   * Counts a request. Only the pattern of its route names it, because anybody can request any path.
   *
   * @internal
   */
  count({ method, pattern }: Route, session: Writer): void {
    if (session.unscopedWrite === undefined) this.#looks += 1;
    if (pattern === undefined || (method !== "GET" && method !== "HEAD")) return;
    const name = `${method} ${pattern}`;
    const isKnown = this.#writing.has(name);
    const written = isKnown ? this.#writing.get(name) : 0;
    if (written === undefined) return;
    if (session.unscopedWrite === undefined) {
      if (isKnown) this.#close(name);
    } else if (written + 1 === requests) {
      this.#close(name);
      this.#warn(name, session);
    } else if (isKnown || this.#writing.size < maxRoutes) {
      if (!isKnown) this.#open += 1;
      this.#writing.set(name, written + 1);
    }
  }

  #close(name: string): void {
    this.#writing.set(name, undefined);
    this.#open -= 1;
  }

  #warn(name: string, { unscopedWrite, statistics }: Writer): void {
    this.#warnings += 1;
    const { prefixes } = statistics;
    const prefix = unscopedWrite?.named && prefixes.ofAll(unscopedWrite.named);
    const what = prefix === undefined ? "to Redis" : `keys that begin with "${prefix}"`;
    const nextReads = unscopedWrite?.keys === undefined ? "next reads" : "next reads of the written keys";
    const { scopes, untracked } = prefixes.optionsWith(prefix ?? placeholder);
    process.emitWarning(
      `${name.slice(0, maxNameLength)} wrote ${what} in ${requests} requests in a row. Until a replica has these writes, ` +
        `the primary answers later reads of the same request and the user's ${nextReads}.`,
      {
        type: "TidemarkWarning",
        code: "TIDEMARK_READING_ROUTE_WRITES",
        detail:
          "If no later read has to see these writes, as with counters, logs and rate limiters that count by scripts, send " +
          `them with redis.untracked, or ${untracked === undefined ? byFunction : `set ${untracked}`}. If the values never ` +
          `refer to other data, as in a session store, set ${scopes}. Otherwise change nothing. ` +
          (prefix === undefined ? `Replace "${placeholder}" by the prefix of the keys. ` : "") +
          'See "Scopes" and "Untracked writes" in docs/guarantees.md.',
      },
    );
  }
}
