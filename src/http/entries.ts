/** Names the entry of this package to import, when a framework calls a function of another entry. */
import { InvalidOptionError } from "../errors/errors.js";

export type Entry = "express" | "koa" | "fastify" | "web";

const callers: Readonly<Record<Entry, string>> = {
  express: "Express, Connect or node:http",
  koa: "Koa",
  fastify: "Fastify",
  web: "a framework with Web requests, such as Hono",
};

/** How to use each entry, for a wrong call of the right entry. */
const uses: Readonly<Record<Entry, string>> = {
  express: "Call it with a request, its response and next",
  koa: "Call app.use(readYourWrites(tidemark, { secret })) directly, without a wrapper such as koa-connect",
  fastify: "Call app.register(readYourWrites, { tidemark, secret })",
  web: "Wrap each handler: withConsistency(handler)",
};

/** The same for the handlers of dashboards. */
const mounts: Readonly<Record<Entry, string>> = {
  express: 'Mount it with app.get("/tidemark", dashboard(tidemark))',
  koa: 'Mount it with router.get("/tidemark", dashboard(tidemark))',
  fastify: 'Mount it with app.get("/tidemark", dashboard(tidemark))',
  web: "Call it with the Request, for example (c) => show(c.req.raw) on Hono",
};

type Fields = Readonly<Record<string, unknown>>;

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null;
}

/** The entry for the framework that calls with these arguments; undefined for an unknown framework. */
export function entryFor(first: unknown, second: unknown): Entry | undefined {
  if (!isFields(first)) return undefined;
  if (typeof first.addHook === "function" && typeof first.register === "function") return "fastify";
  if (isFields(first.raw) && isFields(second) && isFields(second.raw)) return "fastify";
  if (first instanceof Request || (isFields(first.req) && first.req.raw instanceof Request)) return "web";
  if (isFields(first.req) && typeof second === "function") return "koa";
  return isFields(first.headers) ? "express" : undefined;
}

/** The error of the function `where` of the entry `own` after a call with these arguments. */
export function wrongEntry(where: string, own: Entry, first: unknown, second: unknown): InvalidOptionError {
  const meant = entryFor(first, second);
  if (meant === undefined || meant === own) {
    const use = where === "dashboard" ? mounts[own] : uses[own];
    const remedy = `${use}, or import it from the entry for your framework`;
    return new InvalidOptionError(
      where,
      first,
      remedy,
      `the one from "tidemark/${own}" was called with unexpected arguments`,
    );
  }
  const problem = `the one from "tidemark/${own}" was called by ${callers[meant]}`;
  return new InvalidOptionError(where, first, `Import it from "tidemark/${meant}"`, problem);
}

/**
 * Passes the error of {@link wrongEntry} to the callback among the arguments, or throws the error if there is no callback. Express
 * passes a callback after the response. Fastify passes one after the options of a plugin, and a plugin must not throw.
 */
export function refuseEntry(where: string, own: Entry, [first, second, done]: readonly unknown[]): void {
  const error = wrongEntry(where, own, first, second);
  if (typeof done !== "function") throw error;
  done(error);
}
