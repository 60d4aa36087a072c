/** One request and its response in the care of a session. */
import { type IncomingMessage, ServerResponse } from "node:http";
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
import { LateWrites, type Moment, type Route } from "./late-writes.js";
import { ReadingRoutes } from "./reading-routes.js";
import {
  noResponse,
  type ReadYourWritesOptions,
  type RequestSessionConfig,
  RequestTokens,
  requestSessionConfig,
  type SessionSource,
} from "./request-session.js";

/** What handlers find on a request. Two Tidemarks in one app need different names. */
export interface PropertyNames {
  /** The session's client; default `"redis"`. */
  readonly redis?: string;
  /** The session; default `"consistency"`. */
  readonly consistency?: string;
}

/** The options of a middleware. */
export interface MiddlewareOptions<Request> extends ReadYourWritesOptions<Request> {
  /** What handlers find the session and its client by; default `{ redis: "redis", consistency: "consistency" }`. */
  readonly properties?: PropertyNames;
}

/** What a framework's requests have in common. */
export interface Framework<Request> {
  /** The route as the framework knows it; asked for only when it has to be named. */
  readonly routeOf: (request: Request) => Route;
  /** How a response is held; default {@link deferHead}. */
  readonly hold?: (response: HeadedResponse, keeper: ResponseOwner) => void;
  /** Whether middleware has still to add to a request; {@link Exchange.begin} is called when it has. */
  readonly incomplete?: boolean;
  /** The names of options beside those of {@link ReadYourWritesOptions}; default `properties`. */
  readonly options?: readonly string[];
  /** What is aborted when nobody waits for the response any more, where `closing` does not tell. */
  readonly signalOf?: (request: Request) => AbortSignal;
}

/** Warns once that handlers cannot reach the Tidemark of `before`, because the names of another one hide it. */
class NameClash {
  readonly #names: AttachedNames;
  #isSaid = false;

  constructor(names: AttachedNames) {
    this.#names = names;
  }

  check(before: AttachedSession): void {
    const own = Object.values(this.#names);
    for (
      let one: AttachedSession | undefined = before;
      one !== undefined && !this.#isSaid;
      one = one.before
    ) {
      const hidden = Object.values(one.names).filter((name) => own.includes(name));
      if (hidden.length > 0) this.#say(hidden);
    }
  }

  #say(hidden: readonly string[]): void {
    this.#isSaid = true;
    const names = hidden.map((name) => `"${name}"`).join(" and ");
    process.emitWarning(
      `Two Tidemarks give requests the same ${names}: the one that is mounted last hides the other.`,
      {
        type: "TidemarkWarning",
        code: "TIDEMARK_SAME_PROPERTIES",
        detail:
          "Give the second one names and cookies of its own: readYourWrites(tidemark, { secret, properties: " +
          '{ redis: "otherRedis", consistency: "otherSession" }, carrier: cookie({ prefix: "other_" }) }).',
      },
    );
  }
}

/** What an exchange may need of a server. */
export interface ExchangeParts {
  /** Its listeners are called with the session. */
  readonly message?: IncomingMessage | undefined;
  /** Its head waits for the token. Without it the token has to be brought by {@link Exchange.bring}. */
  readonly response?: HeadedResponse;
  /** What is closed before it has ended when nobody waits for the response any more; default `response`. */
  readonly closing?: Closing;
}

/** A response, as far as it tells that it was given up. */
interface Closing {
  readonly destroyed?: boolean;
  /** Tells instead over HTTP/2. */
  readonly stream?: { readonly destroyed: boolean };
  readonly writableEnded?: boolean;
  /** The request that it answers, as Node tells. */
  readonly req?: unknown;
  getHeader?(name: string): unknown;
  on(event: "close", listener: (this: Closing) => void): unknown;
  once(event: "close", listener: () => void): unknown;
}

/**
 * Whether headers are sent as soon as they are written. The version in a request proves nothing, because clients can write
 * another one.
 */
export function isHttp2(response: object): boolean {
  return "stream" in response && !(response instanceof ServerResponse);
}

/** Who keeps a response that has a session. */
export interface ResponseOwner extends HeadOwner, AttachedSession {
  /**
   * Waits for the writes that were begun, then has carriers keep what they keep on the server; undefined when there are
   * none. Never rejects.
   */
  readonly store: (() => Promise<void>) | undefined;
  /** What holds it without the response knowing; it is kept here. */
  head: object | undefined;
}

/** The same for all the exchanges of a middleware. */
interface Ways<Request> {
  readonly terms: RequestSessionConfig<Request>;
  readonly framework: Framework<Request>;
  readonly names: AttachedNames;
  readonly late: LateWrites;
  readonly reading: ReadingRoutes;
  readonly requests: OpenRequests;
  /** Undefined where handlers find nothing by a name. */
  readonly clash: NameClash | undefined;
}

/** A request that has a session now. */
export class Exchange<Request extends CarrierRequest> implements ResponseOwner, WriteListener {
  readonly session: Session;
  readonly before: AttachedSession | undefined;
  head: object | undefined;
  readonly #owner: Request;
  readonly #ways: Ways<Request>;
  readonly #luggage: RequestTokens<Request>;
  readonly #closing: Closing | undefined;
  #controller: AbortController | undefined;
  /** Whether the Tidemark waits for the response when it is closed. */
  #isOpen = false;

  /** Throws what a `level` function throws. */
  constructor(
    owner: Request,
    ways: Ways<Request>,
    before: AttachedSession | undefined,
    closing: Closing | undefined,
  ) {
    const isTold = closing !== undefined || ways.framework.signalOf !== undefined;
    this.#owner = owner;
    this.#ways = ways;
    this.#closing = closing;
    this.#luggage = new RequestTokens(owner, ways.terms, isTold ? () => this.#signal() : undefined);
    this.session = this.#luggage.session;
    this.before = before;
  }

  get source(): SessionSource {
    return this.#ways.terms.source;
  }

  get names(): AttachedNames {
    return this.#ways.names;
  }

  get store(): (() => Promise<void>) | undefined {
    if (!this.#ways.terms.keepsOnServer) return undefined;
    return async () => {
      await this.settled();
      this.#luggage.keep();
    };
  }

  /** Tells carriers that the request is complete. */
  begin(): void {
    this.#luggage.begin();
  }

  settled(): Promise<void> | undefined {
    return this.session.settled();
  }

  announced(): void {
    this.#luggage.keep(false);
  }

  /** Sets the headers that bring the token. Never throws. */
  carry(head: CarrierResponse): void {
    this.#luggage.carry(head);
    // Node goes on serving the connections that are busy when its server is closed.
    if (this.#ways.requests.isClosing) closeConnection(head);
  }

  left(): void {
    this.session.onWrite(this);
    const { reading, framework } = this.#ways;
    if (reading.concerns(this.session)) reading.count(framework.routeOf(this.#owner), this.session);
    if (this.#closing?.writableEnded) this.over();
  }

  /** Makes `close()` of the Tidemark wait until the response is sent or given up. */
  opens(): void {
    const closing = this.#closing;
    if (closing !== undefined && isGone(closing)) return;
    this.#isOpen = true;
    this.#ways.requests.begin();
    // A listener that all requests share costs no closure for each.
    if (closing?.req === this.#owner) closing.on("close", endAll);
    else closing?.on("close", () => this.over());
  }

  /** Has nobody wait for the response any more. */
  over(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#ways.requests.end();
  }

  /** Reports a write that begins too late for the response to bring its token. */
  writeBegins(command?: string): void {
    const closing = this.#closing;
    const isCompressed = closing?.getHeader?.("Content-Encoding") !== undefined;
    this.#report(closing?.writableEnded ? "ended" : isCompressed ? "compressed" : "streaming", command);
  }

  #report(moment: Moment, command?: string): void {
    const { late, framework } = this.#ways;
    late.report(this.session, framework.routeOf(this.#owner), moment, command);
  }

  /** Waits for the writes that were begun, then has `head` bring the token of them all. Never rejects. */
  async bring(head: CarrierResponse): Promise<void> {
    await this.settled();
    this.#luggage.carry(head);
    this.left();
  }

  /** Without a response: waits for the writes, lets carriers keep what they keep elsewhere, and reports if there were writes. */
  async lost(): Promise<void> {
    await this.bring(noResponse);
    if (this.session.wrote) this.#report("thrown");
  }

  /** What is aborted when nobody waits for the response any more. */
  #signal(): AbortSignal {
    const closing = this.#closing;
    const { signalOf } = this.#ways.framework;
    if (signalOf !== undefined) return signalOf(this.#owner);
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

/** Whether a response is closed: its "close" event does not come again. */
function isGone({ destroyed, stream }: Closing): boolean {
  return destroyed ?? stream?.destroyed ?? false;
}

/** Listens for "close" of responses whose requests own their exchanges. */
function endAll(this: Closing): void {
  const { req: request } = this;
  if (typeof request !== "object" || request === null) return;
  for (let one = attachedTo(request); one !== undefined; one = one.before)
    if (one instanceof Exchange) one.over();
}

/** Asks the client to send no more over its connection, unless the app says something of the connection itself. */
function closeConnection(head: CarrierResponse): void {
  try {
    if (head.getHeader("Connection") === undefined) head.setHeader("Connection", "close");
  } catch {
    // The headers have been sent another way: the client sees the connection close later.
  }
}

/** Opens the exchanges of one middleware. */
export class Exchanges<Request extends CarrierRequest> {
  readonly #ways: Ways<Request>;
  /** The accessors of the session and its client, the same for all requests. */
  readonly properties: PropertyDescriptorMap;

  /** Throws an `InvalidOptionError` for options that cannot work. */
  constructor(source: SessionSource, options: MiddlewareOptions<Request>, framework: Framework<Request>) {
    const further = framework.options ?? ["properties"];
    const terms = requestSessionConfig(source, options, further);
    const names = checkNames(options.properties);
    const clash = further.includes("properties") ? new NameClash(names) : undefined;
    this.#ways = {
      terms,
      framework,
      names,
      late: new LateWrites(),
      reading: new ReadingRoutes(),
      requests: requestsOf(source),
      clash,
    };
    const { redis, consistency } = names;
    this.properties = { [redis]: accessorOf(redis), [consistency]: accessorOf(consistency) };
  }

  /** What handlers find. */
  get names(): AttachedNames {
    return this.#ways.names;
  }

  /** Gives `owner` a session; undefined when it has one of this Tidemark. Throws what a `level` function throws. */
  open(
    owner: Request,
    { message, response, closing = response }: ExchangeParts,
  ): Exchange<Request> | undefined {
    const { source } = this.#ways.terms;
    const before = attachedTo(owner);
    if (sessionAmong(before, source) !== undefined) return undefined;
    if (before !== undefined) this.#ways.clash?.check(before);
    const { hold = deferHead, incomplete } = this.#ways.framework;
    const exchange = new Exchange(owner, this.#ways, before, closing);
    // The response to a request that becomes a WebSocket is never sent.
    if (closing !== undefined && !isUpgrade(message ?? owner)) exchange.opens();
    if (!incomplete) exchange.begin();
    attach(owner, exchange);
    if (response !== undefined) hold(response, exchange);
    if (message !== undefined) runListeners(message, (listeners) => source.run(exchange.session, listeners));
    return exchange;
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
    throw new InvalidOptionError(`properties.${option}`, name, "give a name of letters, digits, _ or $");
  }
  if (redis === consistency) throw new InvalidOptionError("properties", names, "give two names that differ");
  return { redis, consistency };
}

/** Node calls the listeners of a request from its connection, outside every session; `run` brings them back in. */
function runListeners(
  message: { emit(...args: unknown[]): boolean },
  run: (fn: () => boolean) => boolean,
): void {
  const { emit } = message;
  message.emit = (...args) => run(() => emit.apply(message, args));
}
