/** Read your writes on Koa. */
import type { ExtendableContext, Next } from "koa";
import type { Session, SessionClient } from "../../session/session.js";
import type { CarrierResponse } from "../carriers/carrier.js";
import { Dashboard, type DashboardOptions, type DashboardSource } from "../dashboard/dashboard.js";
import { dashboardRequestOf } from "../dashboard/node-request.js";
import { refuseEntry } from "../entries.js";
import { type Exchange, Exchanges, isHttp2, letResponseGo, type MiddlewareOptions } from "../exchange.js";
import { type Route, UrlRoute } from "../late-writes.js";
import type { SessionSource } from "../request-session.js";
import { consistencyFor, markersFor } from "./markers.js";

export * from "./middleware-exports.js";

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
 * Gives every request a session as `ctx.consistency` and the session's client as `ctx.redis`. The response brings the user the
 * token of the request's writes, also when Koa answers with an error. Mount this middleware first: the headers of a response wait
 * for the writes of the request. Over HTTP/2 the headers do not wait for writes of middleware that is mounted earlier. Writes that
 * start after the headers were sent, for example while a body is streamed, are reported on `tidemark:late-write`. If you mount this
 * middleware again for the same Tidemark, the second one does nothing. Throws an `InvalidOptionError` at once for invalid options.
 */
export function readYourWrites<Context extends ExtendableContext = ExtendableContext>(
  tidemark: SessionSource,
  options: MiddlewareOptions<Context>,
): KoaMiddleware<Context> {
  const exchanges = new Exchanges(tidemark, options, { routeOf });

  const pass: KoaMiddleware<Context> = async (ctx, next) => {
    const { req: message, res } = ctx;
    const isDeferred = !isHttp2(res);
    const exchange = exchanges.open(ctx, message, isDeferred ? res : undefined, res);
    if (exchange === undefined) return next();
    Object.defineProperties(ctx, exchanges.properties);
    const handled = tidemark.run(exchange.session, next);
    if (exchange.store !== undefined) await handled.finally(exchange.store);
    await (isDeferred ? handled : finishing(handled, exchange, res));
  };
  // Not async, because Express 4 ignores a rejected promise.
  return function readYourWritesMiddleware(ctx, next, ...rest: unknown[]) {
    if (typeof next !== "function" || ctx.req?.headers === undefined)
      return Promise.resolve(refuseEntry("readYourWrites", "koa", [ctx, next, ...rest]));
    return pass(ctx, next);
  };
}

/**
 * Returns a middleware that sets the level of the requests that pass through it. Mount it after `readYourWrites`. The last level
 * set before a read applies: a route's level overrides its router's level, which overrides the app's level. Throws an
 * `InvalidOptionError` for an invalid level.
 */
export const consistency = consistencyFor(marking);

const markers = markersFor(marking);

/** Returns a middleware. Reads of the requests that pass through it go to the primary. */
export const strong = markers.strong;

/**
 * Returns a middleware. Any healthy node may answer reads of the requests that pass through it. The reads may miss the user's own
 * writes.
 */
export const eventual = markers.eventual;

/**
 * Returns a middleware. Reads of the requests that pass through it see the user's own writes and are at most `maxStalenessMs`
 * behind the primary.
 */
export const bounded = markers.bounded;

/**
 * Returns a middleware. A write of the requests that pass through it resolves once `replicas` replicas, or all connected ones with
 * `"all"`, have applied the write. If too few replicas apply the write in time, it rejects with a `NotReplicatedError`. Throws an
 * `InvalidOptionError` at once for invalid arguments.
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

/** A handler for routes. It answers every request, so it calls no further middleware. */
export type KoaHandler<Context> = (ctx: Context) => Promise<void>;

/**
 * Returns a handler that shows a live page about `tidemark`: `router.get("/tidemark", dashboard(tidemark))`. The page and its feed
 * have the same URL. Without `allow` only requests from the same machine may see it. Everything else is refused with 403. From now on
 * Tidemark keeps the last five minutes. Throws an `InvalidOptionError` at once for invalid options.
 */
export function dashboard<Context extends ExtendableContext = ExtendableContext>(
  tidemark: DashboardSource,
  options?: DashboardOptions<Context>,
): KoaHandler<Context> {
  const shown = new Dashboard(tidemark, options);

  const answer: KoaHandler<Context> = async (ctx) => {
    const { status, headers, body } = await shown.answer(dashboardRequestOf(ctx.req), ctx);
    ctx.set(headers);
    ctx.body = body;
    ctx.status = status;
    if (typeof body === "string") return;
    letResponseGo(ctx);
    ignoreDeparture(ctx);
  };
  return function dashboardHandler(ctx, ...rest: unknown[]) {
    if (ctx?.req?.headers === undefined)
      return Promise.resolve(refuseEntry("dashboard", "koa", [ctx, ...rest]));
    return answer(ctx);
  };
}

/** Koa reports an error when a response ends before its stream. A viewer who leaves is no error. */
function ignoreDeparture(ctx: ExtendableContext): void {
  const { onerror } = ctx;
  ctx.onerror = (error: Error & { readonly code?: unknown }) => {
    if (error?.code !== "ERR_STREAM_PREMATURE_CLOSE") onerror.call(ctx, error);
  };
}

/** Over HTTP/2 the headers cannot be deferred, but Koa sends them only after all middleware has finished. */
async function finishing(
  handled: Promise<unknown>,
  exchange: Pick<Exchange<ExtendableContext>, "finish">,
  head: CarrierResponse,
): Promise<void> {
  try {
    await handled;
  } catch (error) {
    // Middleware that is mounted earlier may handle the error and answer by itself.
    await exchange.finish(head);
    // Koa answers an error with the headers of the error only.
    if (error instanceof Error) await exchange.finish(headOf(error));
    throw error;
  }
  await exchange.finish(head);
}

/** The headers that Koa answers an error with. */
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

/** A context with the property that a router adds once it has found the route. */
interface Routed extends ExtendableContext {
  readonly _matchedRoute?: unknown;
}

function routeOf({ method, path, _matchedRoute: route }: Routed): Route {
  return new UrlRoute(method, typeof route === "string" ? route : undefined, path);
}
