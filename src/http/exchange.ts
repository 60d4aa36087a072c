/** One request and its response in the care of a session. */
import type { IncomingMessage } from "node:http";
import { InvalidOptionError } from "../errors.js";
import type { Session } from "../session.js";
import { type Consistency, checkConsistency, type ReadOptions, withOptions } from "../terms.js";
import type { ReplicatedOptions } from "../wanted.js";
import type { CarrierRequest, CarrierResponse } from "./carrier.js";
import { type HeadedResponse, type HeadKeeper, holdHead } from "./held-head.js";
import { LateWrites } from "./late-writes.js";
import { accessorOf, mount, type Names, sessionOf, sessionsOf } from "./mounted.js";
import {
  nowhere,
  type OpenedSession,
  type ReadYourWritesOptions,
  type SessionSource,
  sessionOpener,
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

/** What an exchange may need of a server. */
export interface Sides {
  /** Its listeners are called with the session. */
  readonly message?: IncomingMessage | undefined;
  /** Its head waits for the token. Without it the token has to be brought by {@link Exchange.bring}. */
  readonly response?: HeadedResponse;
  /** How it is held; default {@link holdHead}. */
  readonly hold?: (response: HeadedResponse, exchange: Exchange) => void;
  /** Whether middleware has still to add to the request; {@link Exchange.begin} is called when it has. */
  readonly incomplete?: boolean;
  /** Gives what is aborted when nobody waits for the response any more; called when a read begins to wait. */
  readonly signal?: () => AbortSignal;
  /** Without that: what is closed before it has ended then; default `response`. */
  readonly closing?: Closing;
  /** The method, and the route as the framework knows it; asked for only when it has to be told. */
  readonly route: () => string;
}

/** A response, as far as it tells that it was given up. */
interface Closing {
  readonly destroyed?: boolean;
  /** Tells instead over HTTP/2. */
  readonly stream?: { readonly destroyed: boolean };
  readonly writableEnded?: boolean;
  once(event: "close", listener: () => void): unknown;
}

/** A request that has a session now. */
export class Exchange implements HeadKeeper {
  readonly session: Session;
  /**
   * Waits for the writes that were begun, then has carriers keep what they keep on the server; undefined when there are
   * none. Never rejects.
   */
  readonly store: (() => Promise<void>) | undefined;
  readonly #opened: OpenedSession;
  readonly #late: () => void;

  /** `late` reports a write that no response brings the token of. */
  constructor(opened: OpenedSession, late: () => void) {
    const { session, store } = opened;
    this.session = session;
    this.#opened = opened;
    this.#late = late;
    if (store === undefined) return;
    this.store = async () => {
      await session.settled();
      store();
    };
  }

  /** Tells carriers that the request is complete. */
  begin(): void {
    this.#opened.begin();
  }

  settled(): Promise<void> | undefined {
    return this.session.settled();
  }

  announced(): void {
    this.#opened.store?.(false);
  }

  /** Sets the headers that bring the token. Never throws. */
  carry(head: CarrierResponse): void {
    this.#opened.carry(head);
  }

  left(): void {
    this.session.onWrite(this.#late);
  }

  /** Waits for the writes that were begun, then has `head` bring the token of them all. Never rejects. */
  async bring(head: CarrierResponse): Promise<void> {
    await this.settled();
    this.carry(head);
    this.left();
  }

  /** For want of a head: waits likewise, lets carriers keep what they keep elsewhere, and tells if there were writes. */
  async lost(): Promise<void> {
    await this.bring(nowhere);
    if (this.session.wrote) this.#late();
  }
}

/** Opens the exchanges of one middleware. */
export class Exchanges<Request extends CarrierRequest> {
  readonly #source: SessionSource;
  readonly #open: (request: Request, signal?: () => AbortSignal) => OpenedSession;
  readonly #late = new LateWrites();
  /** What handlers find. */
  readonly names: Names;
  /** The accessors of the session and its client, the same for all requests. */
  readonly properties: PropertyDescriptorMap;

  /** Throws an `InvalidOptionError` for options that cannot work. */
  constructor(source: SessionSource, options: MiddlewareOptions<Request>) {
    this.#open = sessionOpener(source, options);
    this.#source = source;
    this.names = checkNames(options.properties);
    const { redis, consistency } = this.names;
    this.properties = { [redis]: accessorOf(redis), [consistency]: accessorOf(consistency) };
  }

  /** Gives `owner` a session; undefined when it has one of this Tidemark. Throws what a `level` function throws. */
  open(owner: Request, sides: Sides): Exchange | undefined {
    const source = this.#source;
    if (sessionOf(owner, source) !== undefined) return undefined;
    const { message, response, hold = holdHead, closing = response, incomplete, route } = sides;
    const opened = this.#open(owner, sides.signal ?? (closing && abortedWith(closing)));
    const { session } = opened;
    const exchange = new Exchange(opened, () => this.#late.report(session, route()));
    if (!incomplete) exchange.begin();
    mount(owner, source, session, this.names);
    if (response !== undefined) hold(response, exchange);
    if (message !== undefined) runListeners(message, (listeners) => source.run(session, listeners));
    return exchange;
  }
}

/** Gives what is aborted when `response` is closed before all of it was given. */
function abortedWith(response: Closing): () => AbortSignal {
  let controller: AbortController | undefined;
  const closed = (): void => {
    if (!response.writableEnded) controller?.abort();
  };
  return () => {
    if (controller === undefined) {
      controller = new AbortController();
      if (response.destroyed ?? response.stream?.destroyed) closed();
      else response.once("close", closed);
    }
    return controller.signal;
  };
}

/** Sets the level of all the sessions of `owner`. Throws when it has none, or for a level that is none. */
export function setLevel<Request extends object>(
  owner: Request,
  choice: LevelChoice<Request>,
  marker: string,
): void {
  const sessions = sessionsOf(owner, marker);
  const level = typeof choice === "function" ? checkConsistency(choice(owner), marker) : choice;
  for (const session of sessions) session.level = level;
}

/** Has all the sessions of `owner` answer writes only when replicas hold them. Throws when it has none. */
export function setReplicated(
  owner: object,
  replicas: number | "all",
  options: ReplicatedOptions | undefined,
): void {
  for (const session of sessionsOf(owner, "replicated(n)")) session.replicated(replicas, options);
}

/** A level, or a function that chooses it for a request. */
export type LevelChoice<Request> = Consistency | ((request: Request) => Consistency);

/** Returns what a marker was given, with its options, or throws an `InvalidOptionError` at once. */
export function checkChoice<Request>(
  choice: LevelChoice<Request>,
  marker: string,
  options?: ReadOptions,
): LevelChoice<Request> {
  if (typeof choice !== "function") return withOptions(choice, options, marker);
  if (options === undefined) return choice;
  withOptions("session", options, marker);
  return (request) => withOptions(choice(request), options, marker);
}

/** Catches `app.get("/", strong, handler)`, which would otherwise leave every request without an answer. */
export function checkCalled(name: string, rest: readonly unknown[]): void {
  if (rest.length > 0) throw new InvalidOptionError(name, "a request", `call it: ${name}()`);
}

function checkNames(names: PropertyNames = {}): Names {
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
