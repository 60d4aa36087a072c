/** Gives a request its session, and its response the token. */
import { IncomingMessage, ServerResponse } from "node:http";
import { InvalidOptionError } from "../errors/errors.js";
import { refuseUnknown } from "../errors/option-names.js";
import { type OpenRequests, requestsOf } from "../session/open-requests.js";
import type { Session, WriteListener } from "../session/session.js";
import {
  type AttachedNames,
  type AttachedSession,
  accessorOf,
  attach,
  attachedTo,
  sessionAmong,
} from "./attached-sessions.js";
import type { CarrierRequest, CarrierResponse } from "./carriers/carrier.js";
import { deferHead, type HeadedResponse, type HeadOwner } from "./deferred-head.js";
import { LateWrites, type Moment, type Route, UrlRoute } from "./late-writes.js";
import { ReadingRoutes } from "./reading-routes.js";
import {
  noResponse,
  type ReadYourWritesOptions,
  type RequestSessionConfig,
  RequestTokens,
  requestSessionConfig,
  type SessionSource,
} from "./request-session.js";

/** The names of the properties that handlers use on a request. Two Tidemarks in one app need different names. */
export interface PropertyNames {
  /** The session's client; default `"redis"`. */
  readonly redis?: string;
  /** The session; default `"consistency"`. */
  readonly consistency?: string;
}

/** The options of a middleware. */
export interface MiddlewareOptions<Request> extends ReadYourWritesOptions<Request> {
  /** The names of the properties for the session and its client; default `{ redis: "redis", consistency: "consistency" }`. */
  readonly properties?: PropertyNames;
}

/** How the requests of one framework differ from those of others. */
export interface Framework<Request> {
  /** Returns the route as the framework knows it. Called only when Tidemark has to name the route. */
  readonly routeOf: (request: Request) => Route;
  /** Defers the head of a response; default {@link deferHead}. */
  readonly deferHead?: (response: HeadedResponse, owner: ResponseOwner) => void;
  /** Whether other middleware still adds to a request. The framework then calls {@link Exchange.begin} later. */
  readonly incomplete?: boolean;
  /** The names of the options in addition to those of {@link ReadYourWritesOptions}; default `properties`. */
  readonly options?: readonly string[];
  /** Returns the signal that is aborted when the client gives the response up, if `closing` cannot show it. */
  readonly signalOf?: (request: Request) => AbortSignal;
}

/** Warns once if the property names of one Tidemark hide those of another, so that handlers cannot reach the other. */
class NameClash {
  readonly #names: AttachedNames;
  #hasWarned = false;

  constructor(names: AttachedNames) {
    this.#names = names;
  }

  check(previous: AttachedSession): void {
    const own = Object.values(this.#names);
    for (
      let one: AttachedSession | undefined = previous;
      one !== undefined && !this.#hasWarned;
      one = one.previous
    ) {
      const hidden = Object.values(one.names).filter((name) => own.includes(name));
      if (hidden.length > 0) this.#warn(hidden);
    }
  }

  #warn(hidden: readonly string[]): void {
    this.#hasWarned = true;
    const names = hidden.map((name) => `"${name}"`).join(" and ");
    process.emitWarning(
      `Two Tidemarks add properties with the same names to requests (${names}), so the one mounted last hides the other.`,
      {
        type: "TidemarkWarning",
        code: "TIDEMARK_SAME_PROPERTIES",
        detail:
          "Choose other names and another cookie for the second one: readYourWrites(tidemark, { secret, properties: " +
          '{ redis: "otherRedis", consistency: "otherSession" }, carrier: cookie({ prefix: "other_" }) }).',
      },
    );
  }
}

/** The part of a response that shows whether the client gave it up. */
interface Closing {
  readonly destroyed?: boolean;
  /** Over HTTP/2, this shows whether the client gave the response up. */
  readonly stream?: { readonly destroyed: boolean };
  readonly writableEnded?: boolean;
  /** The request that this response answers, according to Node. */
  readonly req?: unknown;
  getHeader?(name: string): unknown;
  on(event: "close", listener: (this: Closing) => void): unknown;
  once(event: "close", listener: () => void): unknown;
}

/**
 * Whether a response is sent over HTTP/2, which sends headers as soon as they are written. The version that a request names proves
 * nothing, because clients can write another one.
 */
export function isHttp2(response: object): boolean {
  return "stream" in response && !(response instanceof ServerResponse);
}

/** The owner of a response whose request has a session. */
export interface ResponseOwner extends HeadOwner, AttachedSession {
  /**
   * Waits for the writes that have started, then lets the `serverSide` carriers store the token. Undefined if no carrier is
   * `serverSide`. Never rejects.
   */
  readonly store: (() => Promise<void>) | undefined;
  /** The deferred head, if the response inherits the methods that send it from a prototype; see `deferHeadByPrototype`. */
  head: object | undefined;
}

/** The configuration that all exchanges of one middleware share. */
interface ExchangeConfig<Request> {
  readonly sessions: RequestSessionConfig<Request>;
  readonly framework: Framework<Request>;
  readonly names: AttachedNames;
  readonly lateWrites: LateWrites;
  readonly readingRoutes: ReadingRoutes;
  readonly openRequests: OpenRequests;
  /** Undefined if requests get no properties. */
  readonly nameClash: NameClash | undefined;
}

const noRoute: Route = new UrlRoute(undefined, undefined, "");

/** One request with its session. */
export class Exchange<Request extends CarrierRequest> implements ResponseOwner, WriteListener {
  readonly session: Session;
  readonly previous: AttachedSession | undefined;
  head: object | undefined;
  /** Undefined once it was let go. */
  #request: Request | undefined;
  /** The route of a request that was let go. */
  #route: Route | undefined;
  readonly #config: ExchangeConfig<Request>;
  readonly #tokens: RequestTokens<Request>;
  #closing: Closing | undefined;
  #controller: AbortController | undefined;
  /** Whether `close()` of the Tidemark waits for this response. */
  #isAwaited = false;

  /** Throws what the `level` function throws. */
  constructor(
    request: Request,
    config: ExchangeConfig<Request>,
    previous: AttachedSession | undefined,
    closing: Closing | undefined,
  ) {
    const hasSignal = closing !== undefined || config.framework.signalOf !== undefined;
    this.#request = request;
    this.#config = config;
    this.#closing = closing;
    this.#tokens = new RequestTokens(request, config.sessions, hasSignal ? () => this.#signal() : undefined);
    this.session = this.#tokens.session;
    this.previous = previous;
  }

  get source(): SessionSource {
    return this.#config.sessions.source;
  }

  get names(): AttachedNames {
    return this.#config.names;
  }

  isOf(config: unknown): boolean {
    return this.#config === config;
  }

  get store(): (() => Promise<void>) | undefined {
    if (!this.#config.sessions.storesOnServer) return undefined;
    return async () => {
      await this.settled();
      this.#tokens.store();
    };
  }

  /** Lets carriers look at the complete request. */
  begin(): void {
    this.#tokens.begin();
  }

  settled(): Promise<void> | undefined {
    return this.session.settled();
  }

  headBuilt(): void {
    this.#tokens.store(false);
  }

  /** Sets the headers that bring the token. Never throws. */
  carry(head: CarrierResponse): void {
    this.#tokens.carry(head);
    // When a server is closed, Node goes on serving busy connections, so the client is asked to close this one.
    if (this.#config.openRequests.isClosing) closeConnection(head);
  }

  held(ms: number): void {
    this.#tokens.held(ms);
  }

  headSent(): void {
    this.session.onWrite(this);
    this.session.statistics.counts.writesPerRequest.add(this.session.written);
    const { readingRoutes } = this.#config;
    if (readingRoutes.concerns(this.session)) readingRoutes.count(this.#routeNow(), this.session);
    if (this.#closing?.writableEnded) {
      this.responseEnds();
      this.#letGo();
    }
  }

  /**
   * Lets the request and its ended response go. The session may live on in what the handler has started, and an old session would
   * keep both alive. Nothing that follows needs them: only the route of a late write is reported, the response has ended, and
   * nobody can give it up any more. A `serverSide` carrier may store the token later, so it keeps them.
   */
  #letGo(): void {
    const { sessions, framework } = this.#config;
    if (sessions.storesOnServer || framework.signalOf !== undefined || !this.#tokens.letGo()) return;
    this.#route = this.#routeNow();
    this.#request = undefined;
    this.#closing = undefined;
    this.head = undefined;
  }

  #routeNow(): Route {
    const request = this.#request;
    return request === undefined ? (this.#route ?? noRoute) : this.#config.framework.routeOf(request);
  }

  /** Makes `close()` of the Tidemark wait until the response is sent or given up. */
  responseBegins(): void {
    const closing = this.#closing;
    if (closing !== undefined && isGone(closing)) return;
    this.#isAwaited = true;
    this.#config.openRequests.begin();
    // All requests share one listener, because a closure for each request would take time.
    if (closing !== undefined && closing.req === this.#request) closing.on("close", endResponses);
    else closing?.on("close", () => this.responseEnds());
  }

  /** Lets `close()` of the Tidemark go on without this response. */
  responseEnds(): void {
    if (!this.#isAwaited) return;
    this.#isAwaited = false;
    this.#config.openRequests.end();
  }

  /** Reports a write that starts after the headers were sent. */
  writeBegins(command?: string): void {
    const closing = this.#closing;
    const hasEnded = this.#request === undefined || closing?.writableEnded;
    const isCompressed = closing?.getHeader?.("Content-Encoding") !== undefined;
    this.#report(hasEnded ? "ended" : isCompressed ? "compressed" : "streaming", command);
  }

  #report(moment: Moment, command?: string): void {
    const { counts } = this.session.statistics;
    counts.lateWrites += 1;
    this.#config.lateWrites.report(counts.tidemark, this.session, this.#routeNow(), moment, command);
  }

  /** Waits for the writes that have started, then sets the headers of `head` that bring their token. Never rejects. */
  async finish(head: CarrierResponse): Promise<void> {
    const pending = this.settled();
    const since = performance.now();
    await pending;
    if (pending !== undefined) this.held(performance.now() - since);
    this.#tokens.carry(head);
    this.headSent();
  }

  /**
   * Waits for the writes, lets `serverSide` carriers store the token, and reports the writes, because no response brings their
   * token.
   */
  async finishWithoutResponse(): Promise<void> {
    await this.finish(noResponse);
    if (this.session.wrote) this.#report("thrown");
  }

  /** The signal that is aborted when the client gives the response up. */
  #signal(): AbortSignal {
    const closing = this.#closing;
    const { signalOf } = this.#config.framework;
    const request = this.#request;
    if (signalOf !== undefined && request !== undefined) return signalOf(request);
    if (this.#controller !== undefined) return this.#controller.signal;
    const controller = new AbortController();
    this.#controller = controller;
    const closed = (): void => {
      if (!closing?.writableEnded) controller.abort();
    };
    if (closing !== undefined && isGone(closing)) closed();
    else closing?.once("close", closed);
    return controller.signal;
  }
}

/** Whether a response is closed. Its "close" event is not emitted again. */
function isGone({ destroyed, stream }: Closing): boolean {
  return destroyed ?? stream?.destroyed ?? false;
}

/** The listener for "close" of a response. It finds the exchanges by the request. */
function endResponses(this: Closing): void {
  const { req: request } = this;
  if (typeof request === "object" && request !== null) letResponseGo(request);
}

/** Lets `close()` of each Tidemark go on without the response to this request. `owner` is what the sessions are attached to. */
export function letResponseGo(owner: object): void {
  for (let one = attachedTo(owner); one !== undefined; one = one.previous)
    if (one instanceof Exchange) one.responseEnds();
}

/** Asks the client to close its connection, unless the app sets the `Connection` header itself. */
function closeConnection(head: CarrierResponse): void {
  try {
    if (head.getHeader("Connection") === undefined) head.setHeader("Connection", "close");
  } catch {
    // The headers were sent another way, so the client sees the connection close later.
  }
}

/** Opens the exchanges of one middleware. */
export class Exchanges<Request extends CarrierRequest> {
  readonly #config: ExchangeConfig<Request>;
  /** The accessors of the session and its client, the same for all requests. */
  readonly properties: PropertyDescriptorMap;

  /** Throws an `InvalidOptionError` for options that cannot work. */
  constructor(source: SessionSource, options: MiddlewareOptions<Request>, framework: Framework<Request>) {
    const further = framework.options ?? ["properties"];
    const sessions = requestSessionConfig(source, options, further);
    const names = checkNames(options.properties);
    const nameClash = further.includes("properties") ? new NameClash(names) : undefined;
    this.#config = {
      sessions,
      framework,
      names,
      lateWrites: new LateWrites(),
      readingRoutes: new ReadingRoutes(),
      openRequests: requestsOf(source),
      nameClash,
    };
    const { redis, consistency } = names;
    this.properties = { [redis]: accessorOf(redis), [consistency]: accessorOf(consistency) };
  }

  /** The names of the properties that handlers use. */
  get names(): AttachedNames {
    return this.#config.names;
  }

  /**
   * Gives `owner` a session. Returns undefined if `owner` already has a session of this Tidemark. Throws what the `level` function
   * throws.
   *
   * `message` is the request of Node, whose listeners run in the session. `response` is the response whose head waits for the
   * token: without it, call {@link Exchange.finish} to bring the token. `closing` emits "close" before it has ended if the client
   * gives the response up. These are no object, because V8 may place a literal among old objects.
   */
  open(
    owner: Request,
    message?: IncomingMessage,
    response?: HeadedResponse,
    closing: Closing | undefined = response,
  ): Exchange<Request> | undefined {
    const { source } = this.#config.sessions;
    const previous = attachedTo(owner);
    if (sessionAmong(previous, source) !== undefined) return undefined;
    if (previous !== undefined) this.#config.nameClash?.check(previous);
    const { deferHead: defer = deferHead, incomplete } = this.#config.framework;
    const exchange = new Exchange(owner, this.#config, previous, closing);
    // The response to a request that becomes a WebSocket is never sent.
    if (closing !== undefined && !isUpgrade(message ?? owner)) exchange.responseBegins();
    if (!incomplete) exchange.begin();
    attach(owner, exchange);
    if (response !== undefined) defer(response, exchange);
    if (message !== undefined) runListeners(message, source, exchange.session);
    return exchange;
  }

  /** The exchange that this middleware has opened for `owner`; undefined if there is none. */
  openedFor(owner: Request): Exchange<Request> | undefined {
    for (let one = attachedTo(owner); one !== undefined; one = one.previous)
      if (one instanceof Exchange && one.isOf(this.#config)) return one;
    return undefined;
  }
}

function isUpgrade(request: object): boolean {
  return "upgrade" in request && request.upgrade === true;
}

function checkNames(names: PropertyNames = {}): AttachedNames {
  refuseUnknown("properties", names, ["redis", "consistency"]);
  const { redis = "redis", consistency = "consistency" } = names;
  for (const [option, name] of Object.entries({ redis, consistency })) {
    if (typeof name === "string" && /^[\w$]{1,64}$/.test(name)) continue;
    throw new InvalidOptionError(
      `properties.${option}`,
      name,
      "Pass a name of 1 to 64 letters, digits, _ or $",
    );
  }
  if (redis === consistency) throw new InvalidOptionError("properties", names, "Pass two different names");
  return { redis, consistency };
}

const nodeEmit: unknown = IncomingMessage.prototype.emit;

/** The part of a request of Node that calls its listeners. */
interface Emitter {
  emit(...args: unknown[]): boolean;
  listenerCount(event: unknown): number;
}

/** Node calls the listeners of a request from its connection, outside of every session. This calls them in `session`. */
function runListeners(message: Emitter, source: SessionSource, session: Session): void {
  const { emit } = message;
  message.emit = (...args) => {
    // An event without listeners calls no code of the app, and most events of most requests have none.
    if (emit === nodeEmit && message.listenerCount(args[0]) === 0) return emit.apply(message, args);
    return source.run(session, () => emit.apply(message, args));
  };
}
