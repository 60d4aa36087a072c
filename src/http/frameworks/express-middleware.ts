/** Read your writes on Express 4 and 5, Connect and plain `node:http`, without types for Express's requests. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { InvalidOptionError } from "../../errors/errors.js";
import { refuseEntry, wrongEntry } from "../entries.js";
import { type Exchange, Exchanges, isHttp2, type MiddlewareOptions } from "../exchange.js";
import type { Route } from "../late-writes.js";
import type { SessionSource } from "../request-session.js";
import { deferHeadAgain, deferHeadByPrototype, layRequestProperties } from "./express-prototypes.js";
import { consistencyFor, markersFor } from "./markers.js";

export * from "./middleware-entry.js";

/** A middleware as Express, Connect and plain `node:http` can call it. */
export type ExpressMiddleware<Request> = (
  request: Request,
  response: ServerResponse,
  next: (error?: unknown) => void,
) => void;

/**
 * Gives every request a session as `req.consistency` and its client as `req.redis`, and its user the token of what
 * they wrote. Mount it first: it keeps the head of a response back while a write of its request is in flight, and
 * what is mounted before it may send the head without asking. Once a head has left, with the first bytes of a
 * streamed body, later writes of its request cannot be carried any more, and `tidemark:late-write` reports them. Mounted
 * again for the same Tidemark, it does nothing, with one exception: an app that another copy of Express has made, and that
 * is called by hand and not mounted with `app.use(app)`, needs it again. Without it requests have no `redis` there, and a write
 * that begins while the response ends is not waited for. Throws an `InvalidOptionError` at once for options that cannot work.
 */
export function readYourWrites<Request extends IncomingMessage = IncomingMessage>(
  tidemark: SessionSource,
  options: MiddlewareOptions<Request>,
): ExpressMiddleware<Request> {
  const exchanges = new Exchanges(tidemark, options, { routeOf, hold: deferHeadByPrototype });
  const needsNothing = layRequestProperties(exchanges.names);

  return function readYourWritesMiddleware(request, response, next) {
    if (typeof next !== "function" || typeof response?.setHeader !== "function")
      return refuseEntry("readYourWrites", "express", [request, response, next]);
    let exchange: Exchange<Request> | undefined;
    const message = needsNothing(request) ? undefined : request;
    try {
      if (message !== undefined) checkProtocol(response);
      exchange = exchanges.open(request, { message, response });
    } catch (error) {
      return next(error);
    }
    if (message !== undefined) Object.defineProperties(message, exchanges.properties);
    if (exchange === undefined) {
      deferHeadAgain(response);
      return next();
    }
    tidemark.run(exchange.session, () => next());
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

function marking<Request extends IncomingMessage = IncomingMessage>(
  name: string,
  mark: (request: Request) => void,
): ExpressMiddleware<Request> {
  return function marker(request, response, next) {
    if (typeof next !== "function") throw wrongEntry(name, "express", request, response);
    try {
      mark(request);
    } catch (error) {
      return next(error);
    }
    next();
  };
}

/** Over HTTP/2 the headers are sent as soon as they are written, so they cannot be held. */
function checkProtocol(response: ServerResponse): void {
  if (!isHttp2(response)) return;
  const remedy = "serve HTTP/1.1, with a proxy in front for HTTP/2";
  throw new InvalidOptionError("request", response, remedy, "got HTTP/2");
}

/** What Express adds to a request once it has found its route. */
interface Routed extends IncomingMessage {
  readonly baseUrl?: string;
  readonly originalUrl?: string;
  readonly route?: { readonly path?: unknown };
}

function routeOf({ method, url = "", originalUrl = url, baseUrl = "", route }: Routed): Route {
  const pattern = typeof route?.path === "string" ? `${baseUrl}${route.path}` : undefined;
  return { method, pattern, path: originalUrl.split("?", 1)[0] ?? "" };
}
