/** Read your writes on Express 4 and 5, Connect and plain `node:http`, without types for Express's requests. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { pipeline } from "node:stream";
import { InvalidOptionError } from "../../errors/errors.js";
import { Dashboard, type DashboardOptions, type DashboardSource } from "../dashboard/dashboard.js";
import { dashboardRequestOf } from "../dashboard/node-request.js";
import { refuseEntry, wrongEntry } from "../entries.js";
import { type Exchange, Exchanges, isHttp2, letResponseGo, type MiddlewareOptions } from "../exchange.js";
import { type Route, UrlRoute } from "../late-writes.js";
import type { SessionSource } from "../request-session.js";
import { deferHeadAgain, deferHeadByPrototype, layRequestProperties } from "./express-prototypes.js";
import { consistencyFor, markersFor } from "./markers.js";

export * from "./middleware-exports.js";

/** A middleware that Express, Connect and plain `node:http` can call. */
export type ExpressMiddleware<Request> = (
  request: Request,
  response: ServerResponse,
  next: (error?: unknown) => void,
) => void;

/**
 * Gives every request a session as `req.consistency` and the session's client as `req.redis`. The response brings the user the
 * token of the request's writes. Mount this middleware first: it defers the headers of a response while a write of the request is
 * in flight, and middleware that is mounted earlier may send the headers without waiting. Writes that start after the headers were
 * sent, for example while a body is streamed, are reported on `tidemark:late-write`.
 *
 * If you mount this middleware again for the same Tidemark, the second one does nothing, with one exception: an app that was made
 * by another copy of Express, and that you call as a function instead of mounting it with `app.use(app)`. Mount this middleware in
 * such an app as well. Otherwise requests have no `redis` in that app, and a response does not wait for a write that starts while
 * the response ends. Throws an `InvalidOptionError` at once for invalid options.
 */
export function readYourWrites<Request extends IncomingMessage = IncomingMessage>(
  tidemark: SessionSource,
  options: MiddlewareOptions<Request>,
): ExpressMiddleware<Request> {
  const exchanges = new Exchanges(tidemark, options, { routeOf, deferHead: deferHeadByPrototype });
  const needsNothing = layRequestProperties(exchanges.names);

  return function readYourWritesMiddleware(request, response, next) {
    if (typeof next !== "function" || typeof response?.setHeader !== "function")
      return refuseEntry("readYourWrites", "express", [request, response, next]);
    let exchange: Exchange<Request> | undefined;
    const message = needsNothing(request) ? undefined : request;
    try {
      if (message !== undefined) checkProtocol(response);
      exchange = exchanges.open(request, message, response);
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

/** A handler for routes of Express and Connect, and for plain `node:http`. */
export type ExpressHandler<Request> = (
  request: Request,
  response: ServerResponse,
  next?: (error?: unknown) => void,
) => void;

/**
 * Returns a handler that shows a live page about `tidemark`: `app.get("/tidemark", dashboard(tidemark))`. The page and its feed have
 * the same URL. Without `allow` only requests from the same machine may see it. Everything else is refused with 403. From now on
 * Tidemark keeps the last five minutes. Throws an `InvalidOptionError` at once for invalid options.
 */
export function dashboard<Request extends IncomingMessage = IncomingMessage>(
  tidemark: DashboardSource,
  options?: DashboardOptions<Request>,
): ExpressHandler<Request> {
  const shown = new Dashboard(tidemark, options);

  return function dashboardHandler(request, response, next) {
    if (typeof response?.setHeader !== "function")
      return refuseEntry("dashboard", "express", [request, response, next]);
    shown.answer(dashboardRequestOf(request), request).then(({ status, headers, body }) => {
      // Other middleware may have answered while `allow` was waiting.
      if (response.headersSent) {
        if (typeof body !== "string") body.destroy();
        return;
      }
      response.statusCode = status;
      for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
      if (typeof body === "string") {
        response.end(body);
        return;
      }
      letResponseGo(request);
      // Viewers come and go, and neither is an error.
      pipeline(body, response, () => {});
    });
  };
}

/** Over HTTP/2 Node sends the headers as soon as they are written, so they cannot be deferred. */
function checkProtocol(response: ServerResponse): void {
  if (!isHttp2(response)) return;
  const remedy = "Serve HTTP/1.1, and put a proxy in front for HTTP/2";
  throw new InvalidOptionError(
    "request",
    response,
    remedy,
    "got an HTTP/2 request, whose headers cannot wait for the token",
  );
}

/** A request with the properties that Express adds once it has found the route. */
interface Routed extends IncomingMessage {
  readonly baseUrl?: string;
  readonly originalUrl?: string;
  readonly route?: { readonly path?: unknown };
}

function routeOf({ method, url = "", originalUrl = url, baseUrl = "", route }: Routed): Route {
  const pattern = typeof route?.path === "string" ? `${baseUrl}${route.path}` : undefined;
  return new UrlRoute(method, pattern, originalUrl);
}
