/** Read your writes for handlers that answer a Web `Request` with a `Response`: Hono, Next.js, Remix and their like. */

import type { IncomingHttpHeaders } from "node:http";
import { addAbortSignal, Readable } from "node:stream";
import { InvalidOptionError, TidemarkError, UnavailableError } from "../../errors/errors.js";
import { refuseUnknown } from "../../errors/option-names.js";
import type { Session, SessionClient } from "../../session/session.js";
import { sessionOf as carriedSession } from "../attached-sessions.js";
import type { CarrierRequest, CarrierResponse } from "../carriers/carrier.js";
import { isSessionCarrier } from "../carriers/session.js";
import { Dashboard, type DashboardOptions, type DashboardSource } from "../dashboard/dashboard.js";
import { entryFor, wrongEntry } from "../entries.js";
import { Exchanges } from "../exchange.js";
import { Given } from "../given-object.js";
import type { Route } from "../late-writes.js";
import { type ReadYourWritesOptions, refuseUnknownOptions, type SessionSource } from "../request-session.js";
import { checkChoice, type LevelChoice, setLevel } from "./markers.js";

export type { DashboardOptions, DashboardSource } from "../dashboard/dashboard.js";
export * from "../entry-exports.js";
export type { LevelChoice } from "./markers.js";

/** A function that answers a request. A framework may pass further arguments. */
export type Handler<Asked extends Request, Rest extends unknown[]> = (
  request: Asked,
  ...rest: Rest
) => Response | Promise<Response>;

/** The options of one handler. */
export interface HandlerOptions<Asked> {
  /**
   * The level of the handler's requests, or a function that returns the level. It overrides the level of a handler around this one.
   */
  readonly level?: LevelChoice<Asked>;
}

/** Wraps a handler, so that each request has a session and each response brings its token. */
export type WithConsistency = <Asked extends Request, Rest extends unknown[]>(
  handler: Handler<Asked, Rest>,
  options?: HandlerOptions<Asked>,
) => (request: Asked, ...rest: Rest) => Promise<Response>;

/**
 * Returns a function that wraps handlers: `const withConsistency = readYourWrites(tidemark, { secret })`, then `export const GET =
 * withConsistency(handler)`. While a handler runs, `tidemark.redis` uses its session. `redisOf` and `sessionOf` return the client
 * and the session of a request.
 *
 * The `Response` that the handler returns or throws waits for the writes that have started, and brings their token. Tidemark
 * answers an `UnavailableError` with 503. After any other error no response of Tidemark can bring the token, so answer errors
 * inside the handler. If writes are followed by such an error, or start while a body is streamed, they are reported on
 * `tidemark:late-write`.
 *
 * If a wrapped handler is called inside another one of the same Tidemark, only its level applies. The protocol is taken from
 * `request.url`: behind a proxy that serves HTTPS, pass `cookie({ secure: true })`. Throws an `InvalidOptionError` at once for
 * invalid options.
 */
export function readYourWrites(
  tidemark: SessionSource,
  options: ReadYourWritesOptions<Request>,
): WithConsistency {
  refuseUnknownOptions(options, []);
  const { level, carrier, serverTiming, rollout } = options;
  if ([carrier].flat().some(isSessionCarrier)) {
    const remedy = "Pass cookie() or header(), because a Web Request has no session";
    throw new InvalidOptionError("carrier", carrier, remedy, "got session()");
  }
  const levelOf = typeof level === "function" ? ({ request }: WebRequest) => level(request) : level;
  const timingOf =
    typeof serverTiming === "function" ? ({ request }: WebRequest) => serverTiming(request) : serverTiming;
  const exchanges = new Exchanges<WebRequest>(
    tidemark,
    {
      ...options,
      level: levelOf,
      serverTiming: timingOf,
      rollout: rollout && (({ request }) => rollout(request)),
    },
    { routeOf: ({ request }) => routeOf(request), signalOf: ({ request }) => request.signal, options: [] },
  );

  return (handler, handlerOptions = {}) => {
    if (entryFor(handler, handlerOptions) !== undefined)
      throw wrongEntry("readYourWrites", "web", handler, handlerOptions);
    if (typeof handler !== "function")
      throw new InvalidOptionError("withConsistency", handler, "Pass the handler, a function");
    refuseUnknown("withConsistency", handlerOptions, ["level"]);
    const { level: choice } = handlerOptions;
    if (choice !== undefined) checkChoice(choice, "level");
    return async (request, ...rest) => {
      if (!isWebRequest(request) && entryFor(request, rest[0]) !== undefined)
        throw wrongEntry("withConsistency", "web", request, rest[0]);
      const webRequest = webRequestOf(request);
      const exchange = exchanges.open(webRequest);
      if (choice !== undefined) {
        setLevel(webRequest, typeof choice === "function" ? () => choice(request) : choice, "level");
      }
      if (exchange === undefined) return handler(request, ...rest);
      const finish = (head: CarrierResponse): Promise<void> => exchange.finish(head);
      exchange.responseBegins();
      try {
        const response = await tidemark.run(exchange.session, () => handler(request, ...rest));
        return await WebResponseHead.of(response, finish);
      } catch (thrown) {
        if (thrown instanceof Response) throw await WebResponseHead.of(thrown, finish);
        if (thrown instanceof UnavailableError) return await WebResponseHead.of(thrown.getResponse(), finish);
        await exchange.finishWithoutResponse();
        throw thrown;
      } finally {
        exchange.responseEnds();
      }
    };
  };
}

/**
 * The session of a request that a wrapped handler answers. With two Tidemarks, pass one to get its session; the default is the
 * session of the inner one. Throws a `TidemarkError` if the request has no session.
 */
export function sessionOf(request: Request, tidemark?: SessionSource): Session {
  const session = carriedSession(webRequestOf(request), tidemark);
  if (session !== undefined) return session;
  throw new TidemarkError(
    "TIDEMARK_INVALID_OPTION",
    "This request has no session. Wrap its handler in withConsistency, and pass the request that the handler was called with.",
  );
}

/** The client of the session that {@link sessionOf} returns: its reads see what the user of the request has written. */
export function redisOf(request: Request, tidemark?: SessionSource): SessionClient {
  return sessionOf(request, tidemark).redis;
}

const unknownOrigin = "a Web Request does not show where it comes from";

/**
 * Returns a handler that shows a live page about `tidemark`: `export const GET = dashboard(tidemark, { allow })`, or on Hono
 * `app.get("/tidemark", (c) => show(c.req.raw))`. The page and its feed have the same URL. Without `allow` it refuses every request
 * with 403, because a `Request` does not show where it comes from. From now on Tidemark keeps the last five minutes. Throws an
 * `InvalidOptionError` at once for invalid options.
 */
export function dashboard<Asked extends Request = Request>(
  tidemark: DashboardSource,
  options?: DashboardOptions<Asked>,
): (request: Asked) => Promise<Response> {
  const shown = new Dashboard(tidemark, options);

  const answer = async (request: Asked): Promise<Response> => {
    const asked = {
      method: request.method,
      accept: request.headers.get("accept") ?? undefined,
      site: request.headers.get("sec-fetch-site") ?? undefined,
      objection: () => unknownOrigin,
    };
    const { status, headers, body } = await shown.answer(asked, request);
    const head = { status, headers: { ...headers } };
    if (typeof body === "string") return new Response(request.method === "HEAD" ? null : body, head);
    // Some servers do not cancel the body when the client has left.
    addAbortSignal(request.signal, body);
    return new Response(Readable.toWeb(body), head);
  };
  return function dashboardHandler(request, ...rest: unknown[]) {
    if (isWebRequest(request)) return answer(request);
    // Express 4 ignores a rejected promise.
    throw wrongEntry("dashboard", "web", request, rest[0]);
  };
}

/**
 * A request of another implementation is no instance of Node's Request. The headers are looked at last, because servers such as
 * `@hono/node-server` make them only when they are first used, which takes longer than a short handler.
 */
function isWebRequest(request: Request): boolean {
  if (typeof request !== "object" || request === null) return false;
  return "clone" in request || typeof Object(request).headers?.get === "function";
}

/** Reads each header when a carrier asks for it, because a copy of all headers takes longer than a short handler. */
class HeadersOnDemand implements ProxyHandler<IncomingHttpHeaders> {
  readonly #request: Request;

  constructor(request: Request) {
    this.#request = request;
  }

  get(_target: object, name: string | symbol): string | undefined {
    return typeof name === "string" ? (this.#request.headers.get(name) ?? undefined) : undefined;
  }

  has(_target: object, name: string | symbol): boolean {
    return typeof name === "string" && this.#request.headers.has(name);
  }

  ownKeys(): string[] {
    return [...this.#request.headers.keys()];
  }

  getOwnPropertyDescriptor(target: object, name: string | symbol): PropertyDescriptor | undefined {
    const value = this.get(target, name);
    return value === undefined ? undefined : { value, configurable: true, enumerable: true };
  }
}

/** A Web request with the properties that carriers read. */
class WebRequest implements CarrierRequest {
  readonly request: Request;
  #headers: IncomingHttpHeaders | undefined;

  constructor(request: Request) {
    this.request = request;
  }

  get headers(): IncomingHttpHeaders {
    this.#headers ??= new Proxy<IncomingHttpHeaders>({}, new HeadersOnDemand(this.request));
    return this.#headers;
  }

  get protocol(): string {
    return new URL(this.request.url).protocol.slice(0, -1);
  }
}

/**
 * Holds the `WebRequest` of a request, because a handler must get its request unchanged. Nested handlers of one request share it.
 */
class Held extends Given {
  readonly #webRequest: WebRequest;

  private constructor(request: Request) {
    super(request);
    this.#webRequest = new WebRequest(request);
  }

  static of(request: Request): WebRequest {
    const held: object = #webRequest in request ? request : new Held(request);
    return #webRequest in held ? held.#webRequest : new WebRequest(request);
  }
}

function webRequestOf(request: Request): WebRequest {
  if (typeof request !== "object" || request === null || !("headers" in request) || !("url" in request)) {
    throw new InvalidOptionError("request", request, "Pass the Request that the handler answers");
  }
  return Held.of(request);
}

function routeOf({ method, url }: Request): Route {
  return {
    method,
    pattern: undefined,
    get path() {
      return new URL(url).pathname;
    },
  };
}

/** The statuses that the constructor of Response refuses: 0 for an error, 101 for a switch of protocols. */
const notConstructible = new Set([0, 101]);

class WebResponseHead implements CarrierResponse {
  readonly #response: Response;
  /** The headers that replace those of the response, which are immutable. */
  #copy: Headers | undefined;

  private constructor(response: Response) {
    this.#response = response;
  }

  /** Read only when needed: `@hono/node-server` sends a response faster if nobody has looked at it. */
  get #headers(): Headers {
    return this.#copy ?? this.#response.headers;
  }

  /** The response with the headers that `finish` sets, or a copy with these headers if its own are immutable. */
  static async of(response: Response, finish: (head: CarrierResponse) => Promise<void>): Promise<Response> {
    const head = new WebResponseHead(response);
    await finish(head);
    return head.#built();
  }

  getHeader(name: string): string | readonly string[] | undefined {
    if (name.toLowerCase() !== "set-cookie") return this.#headers.get(name) ?? undefined;
    const cookies = this.#headers.getSetCookie();
    return cookies.length === 0 ? undefined : cookies;
  }

  setHeader(name: string, value: string | readonly string[]): void {
    try {
      replace(this.#headers, name, value);
    } catch {
      // The headers of redirects and of responses of `fetch` are immutable.
      this.#copy = new Headers(this.#headers);
      replace(this.#copy, name, value);
    }
  }

  #built(): Response {
    const headers = this.#copy;
    if (headers === undefined) return this.#response;
    const { body, status, statusText } = this.#response;
    return notConstructible.has(status)
      ? this.#response
      : new Response(body, { status, statusText, headers });
  }
}

function replace(headers: Headers, name: string, value: string | readonly string[]): void {
  headers.delete(name);
  for (const one of typeof value === "string" ? [value] : value) headers.append(name, one);
}
