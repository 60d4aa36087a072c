/** Read your writes on Koa. */
import type { ExtendableContext, Next } from "koa";
import type { Session, SessionClient } from "../../session/session.js";
import type { CarrierResponse } from "../carriers/carrier.js";
import { refuseEntry } from "../entries.js";
import { type Exchange, Exchanges, isHttp2, type MiddlewareOptions } from "../exchange.js";
import type { Route } from "../late-writes.js";
import type { SessionSource } from "../request-session.js";
import { consistencyFor, markersFor } from "./markers.js";

export * from "./middleware-entry.js";

declare module "koa" {
  interface DefaultContext {
    /** An ioredis client whose reads see what the user has written. */
    readonly redis: SessionClient;
    /** The user's session, which knows what their reads require. */
    readonly consistency: Session;
  }
}

/** A middleware for `app.use` and for routers. */
export type KoaMiddleware<Context> = (ctx: Context, next: Next) => Promise<void>;

/**
 * Gives every request a session as `ctx.consistency` and its client as `ctx.redis`, and its user the token of what
 * they wrote, also with the errors that Koa answers. Mount it first: the head of a response waits for the writes of
 * its request, those of middleware mounted before excepted over HTTP/2. Once a head has left, with the first bytes of
 * a streamed body, later writes of its request cannot be carried any more, and `tidemark:late-write` reports them. Mounted
 * again for the same Tidemark, it does nothing. Throws an `InvalidOptionError` at once for options that cannot work.
 */
export function readYourWrites<Context extends ExtendableContext = ExtendableContext>(
  tidemark: SessionSource,
  options: MiddlewareOptions<Context>,
): KoaMiddleware<Context> {
  const exchanges = new Exchanges(tidemark, options, { routeOf });

  const pass: KoaMiddleware<Context> = async (ctx, next) => {
    const { req: message, res } = ctx;
    const isHeld = !isHttp2(res);
    const held = isHeld ? { response: res } : {};
    const exchange = exchanges.open(ctx, { message, ...held, closing: res });
    if (exchange === undefined) return next();
    Object.defineProperties(ctx, exchanges.properties);
    const going = tidemark.run(exchange.session, next);
    if (exchange.store !== undefined) await going.finally(exchange.store);
    await (isHeld ? going : bringing(going, exchange, res));
  };
  // Not async: Express 4 hears of no error in a promise.
  return function readYourWritesMiddleware(ctx, next, ...rest: unknown[]) {
    if (typeof next !== "function" || ctx.req?.headers === undefined)
      return Promise.resolve(refuseEntry("readYourWrites", "koa", [ctx, next, ...rest]));
    return pass(ctx, next);
  };
}

/**
 * Sets the level of the requests that pass. Mount it after `readYourWrites`. The last level set before a read applies: a
 * route's level overrides its router's level, which overrides the app's level. Throws an `InvalidOptionError` for an invalid level.
 */
export const consistency = consistencyFor(marking);

const markers = markersFor(marking);

/** Reads of the requests that pass go to the primary. */
export const strong = markers.strong;

/** Any healthy node may answer reads of the requests that pass. The reads may miss the user's own writes. */
export const eventual = markers.eventual;

/** Reads of the requests that pass see the user's own writes and are at most `maxStalenessMs` behind the primary. */
export const bounded = markers.bounded;

/**
 * A write of the requests that pass resolves once `replicas` replicas, or all connected ones with `"all"`, have applied it. If
 * too few replicas apply it in time, the write rejects with a `NotReplicatedError`. Throws an `InvalidOptionError` at once for
 * invalid arguments.
 */
export const replicated = markers.replicated;

function marking<Context extends ExtendableContext = ExtendableContext>(
  name: string,
  mark: (ctx: Context) => void,
): KoaMiddleware<Context> {
  const pass: KoaMiddleware<Context> = async (ctx, next) => {
    mark(ctx);
    await next();
  };
  return function marker(ctx, next, ...rest: unknown[]) {
    if (typeof next !== "function") return Promise.resolve(refuseEntry(name, "koa", [ctx, next, ...rest]));
    return pass(ctx, next);
  };
}

/** A head of HTTP/2 cannot be held, but Koa sends it only when all middleware is through. */
async function bringing(
  going: Promise<unknown>,
  exchange: Pick<Exchange<ExtendableContext>, "bring">,
  head: CarrierResponse,
): Promise<void> {
  try {
    await going;
  } catch (error) {
    // For middleware mounted before, which may answer by itself.
    await exchange.bring(head);
    // Koa clears the head it answers an error with, but for what the error brings.
    if (error instanceof Error) await exchange.bring(headOf(error));
    throw error;
  }
  await exchange.bring(head);
}

/** The head of Koa's answer to an error. */
function headOf(error: Error & { headers?: unknown }): CarrierResponse {
  const { headers } = error;
  const head = new Map<string, number | string | readonly string[]>();
  for (const [name, value] of Object.entries(headers ?? {})) head.set(name.toLowerCase(), value);
  return {
    getHeader: (name) => head.get(name.toLowerCase()),
    setHeader: (name, value) => {
      head.set(name.toLowerCase(), value);
      Reflect.set(error, "headers", Object.fromEntries(head));
    },
  };
}

/** What a router adds to a context once it has found the route. */
interface Routed extends ExtendableContext {
  readonly _matchedRoute?: unknown;
}

function routeOf({ method, path, _matchedRoute: route }: Routed): Route {
  return { method, pattern: typeof route === "string" ? route : undefined, path };
}
