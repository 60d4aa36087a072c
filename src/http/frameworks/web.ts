/** Read your writes for handlers that answer a Web `Request` with a `Response`: Hono, Next.js, Remix and their like. */

import type { IncomingHttpHeaders } from "node:http";
import { InvalidOptionError, TidemarkError, UnavailableError } from "../../errors/errors.js";
import { refuseUnknown } from "../../errors/option-names.js";
import type { Session, SessionClient } from "../../session/session.js";
import { sessionOf as carriedSession } from "../attached-sessions.js";
import type { CarrierRequest, CarrierResponse } from "../carriers/carrier.js";
import { isSessionCarrier } from "../carriers/session.js";
import { entryFor, wrongEntry } from "../entries.js";
import { Exchanges } from "../exchange.js";
import type { Route } from "../late-writes.js";
import { type ReadYourWritesOptions, refuseUnknownOptions, type SessionSource } from "../request-session.js";
import { checkChoice, type LevelChoice, setLevel } from "./markers.js";

export * from "../every-entry.js";
export type { LevelChoice } from "./markers.js";

/** What answers a request; frameworks may hand it more than that. */
export type Handler<Asked extends Request, Rest extends unknown[]> = (
  request: Asked,
  ...rest: Rest
) => Response | Promise<Response>;

/** What one handler differs in. */
export interface HandlerOptions<Asked> {
  /** The level of its requests, or a function that chooses it; it counts more than that of a handler around it. */
  readonly level?: LevelChoice<Asked>;
}

/** Wraps handlers, so that each request has a session and each response its token. */
export type WithConsistency = <Asked extends Request, Rest extends unknown[]>(
  handler: Handler<Asked, Rest>,
  options?: HandlerOptions<Asked>,
) => (request: Asked, ...rest: Rest) => Promise<Response>;

/**
 * Returns what wraps handlers: `const withConsistency = readYourWrites(tidemark, { secret })`, then
 * `export const GET = withConsistency(handler)`. While a handler runs its session is that of `tidemark.redis`; `redisOf` and
 * `sessionOf` give it by the request. Its response waits for the writes that were begun and brings their token, and
 * so does a `Response` that it throws. An `UnavailableError` is answered with 503. No response of ours can bring the token
 * with any other error, so answer errors inside the handler. `tidemark:late-write` reports a write that such an error follows,
 * and writes begun while a body streams. Within another handler of
 * the same Tidemark only the level counts. The protocol is that of `request.url`: behind a proxy that speaks HTTPS
 * give `cookie({ secure: true })`. Throws an `InvalidOptionError` at once for options that cannot work.
 */
export function readYourWrites(
  tidemark: SessionSource,
  options: ReadYourWritesOptions<Request>,
): WithConsistency {
  refuseUnknownOptions(options, []);
  const { level, carrier } = options;
  if ([carrier].flat().some(isSessionCarrier)) {
    const remedy = "give cookie() or header(), because a Web Request has no session";
    throw new InvalidOptionError("carrier", carrier, remedy, "got session()");
  }
  const ofArrival = typeof level === "function" ? ({ request }: WebRequest) => level(request) : level;
  const exchanges = new Exchanges<WebRequest>(
    tidemark,
    { ...options, level: ofArrival },
    { routeOf: ({ request }) => routeOf(request), signalOf: ({ request }) => request.signal, options: [] },
  );

  return (handler, handlerOptions = {}) => {
    if (entryFor(handler, handlerOptions) !== undefined)
      throw wrongEntry("readYourWrites", "web", handler, handlerOptions);
    if (typeof handler !== "function")
      throw new InvalidOptionError("withConsistency", handler, "give the handler, a function");
    refuseUnknown("withConsistency", handlerOptions, ["level"]);
    const { level: choice } = handlerOptions;
    if (choice !== undefined) checkChoice(choice, "level");
    return async (request, ...rest) => {
      // Requests of other implementations than Node's have this too.
      const isRequest = typeof request?.headers?.get === "function";
      if (!isRequest && entryFor(request, rest[0]) !== undefined)
        throw wrongEntry("withConsistency", "web", request, rest[0]);
      const arrival = arrivalOf(request);
      const exchange = exchanges.open(arrival, {});
      if (choice !== undefined) {
        setLevel(arrival, typeof choice === "function" ? () => choice(request) : choice, "level");
      }
      if (exchange === undefined) return handler(request, ...rest);
      const bring = (head: CarrierResponse): Promise<void> => exchange.bring(head);
      exchange.opens();
      try {
        const response = await tidemark.run(exchange.session, () => handler(request, ...rest));
        return await WebResponseHead.of(response, bring);
      } catch (thrown) {
        if (thrown instanceof Response) throw await WebResponseHead.of(thrown, bring);
        if (thrown instanceof UnavailableError) return await WebResponseHead.of(thrown.getResponse(), bring);
        await exchange.lost();
        throw thrown;
      } finally {
        exchange.over();
      }
    };
  };
}

/** The session of a request that a wrapped handler answers; of two Tidemarks that of the inner one, or of the one given. */
export function sessionOf(request: Request, tidemark?: SessionSource): Session {
  const session = carriedSession(arrivalOf(request), tidemark);
  if (session !== undefined) return session;
  throw new TidemarkError(
    "TIDEMARK_INVALID_OPTION",
    "The request has no session: wrap its handler in withConsistency, and give the request that it was called with.",
  );
}

/** An ioredis client whose reads see what the user of the request has written; which one, as {@link sessionOf} says. */
export function redisOf(request: Request, tidemark?: SessionSource): SessionClient {
  return sessionOf(request, tidemark).redis;
}

/** A request as carriers see it. */
class WebRequest implements CarrierRequest {
  readonly request: Request;
  #headers: IncomingHttpHeaders | undefined;

  constructor(request: Request) {
    this.request = request;
  }

  get headers(): IncomingHttpHeaders {
    this.#headers ??= Object.fromEntries(this.request.headers);
    return this.#headers;
  }

  get protocol(): string {
    return new URL(this.request.url).protocol.slice(0, -1);
  }
}

/** Handlers may not find a request changed, and of two around each other both have to find what there is. */
const arrivals = new WeakMap<Request, WebRequest>();

function arrivalOf(request: Request): WebRequest {
  if (typeof request !== "object" || request === null || !("headers" in request) || !("url" in request)) {
    throw new InvalidOptionError("request", request, "give the Request that is to be answered");
  }
  let arrival = arrivals.get(request);
  if (arrival === undefined) {
    arrival = new WebRequest(request);
    arrivals.set(request, arrival);
  }
  return arrival;
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

/** Statuses of responses that no constructor makes: of an error, and of protocols that are switched. */
const unmade = new Set([0, 101]);

export class WebResponseHead implements CarrierResponse {
  readonly #response: Response;
  #headers: Headers;

  private constructor(response: Response) {
    this.#response = response;
    this.#headers = response.headers;
  }

  /** The response with what `bring` sets, or another that is the same but for it. */
  static async of(response: Response, bring: (head: CarrierResponse) => Promise<void>): Promise<Response> {
    const head = new WebResponseHead(response);
    await bring(head);
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
      // Those of redirections and of what `fetch` got are immutable.
      this.#headers = new Headers(this.#headers);
      replace(this.#headers, name, value);
    }
  }

  #built(): Response {
    const { body, status, statusText, headers } = this.#response;
    if (this.#headers === headers || unmade.has(status)) return this.#response;
    return new Response(body, { status, statusText, headers: this.#headers });
  }
}

function replace(headers: Headers, name: string, value: string | readonly string[]): void {
  headers.delete(name);
  for (const one of typeof value === "string" ? [value] : value) headers.append(name, one);
}
