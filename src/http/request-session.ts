/** The session of one request: decrypts the tokens of the request and encrypts the token of the response. */

import { type Consistency, checkConsistency } from "../consistency/read-policy.js";
import { InvalidOptionError } from "../errors/errors.js";
import { refuseUnknown } from "../errors/option-names.js";
import type { Membership, RolloutChoice } from "../rollout/membership.js";
import type { Session } from "../session/session.js";
import { type SessionOptions, SessionSetup } from "../session/session-setup.js";
import { claimsOf, maxTexts, unknownWrite, unsent } from "../session/token.js";
import type { Carrier, CarrierRequest, CarrierResponse } from "./carriers/carrier.js";
import { cookie, cookieOptions } from "./carriers/cookie.js";
import { entryFor } from "./entries.js";
import { Keyring, type OpenedToken } from "./keyring.js";
import { type CarriedTokens, ResponseToken } from "./outgoing-token.js";
import { checkServerTiming, RequestTiming, type ServerTimingChoice } from "./server-timing.js";
import { Visitor, type VisitorSetup } from "./visitor.js";

/** The part of a `Tidemark` that a middleware uses. */
export interface SessionSource {
  /** How many milliseconds a token is in force. */
  readonly tokenTtlMs: number;
  session(options: SessionOptions): Session;
  /** Calls `fn` with `session` as the current session, also in everything that `fn` awaits or starts. */
  run<R>(session: Session, fn: () => R): R;
}

export interface ReadYourWritesOptions<Request> {
  /**
   * Encrypts tokens: at least 16 characters, the same in every process. To rotate the secret, pass a list, newest first. Required
   * unless every carrier is `serverSide`. Tidemark derives encryption keys from the secret. They serve no other purpose.
   */
  readonly secret?: string | readonly string[] | undefined;
  /**
   * The name of the apps that share tokens: 1 to 100 characters, the same in each of these apps. A token of another audience is
   * ignored, even if it was encrypted with the same secret. Default: no name, which is an audience of its own.
   */
  readonly audience?: string | undefined;
  /** How tokens travel. Pass an array to use several carriers. Default `cookie()`. */
  readonly carrier?: Carrier | readonly Carrier[];
  /** The level of every request, or a function that returns it; default the level of the `Tidemark`. */
  readonly level?: Consistency | ((request: Request) => Consistency);
  /**
   * Whether later requests of a user are guaranteed not to see older data than earlier ones. A response that only read then brings
   * a token too, if the read data are newer than the request's tokens require. Default the setting of the `Tidemark`.
   */
  readonly monotonicReads?: boolean;
  /**
   * Whether responses get a `Server-Timing` header, which browsers show in their developer tools: how many reads replicas and the
   * primary have answered, the longest wait of a read, and how long the headers waited for writes. `"nodes"` also shows the addresses
   * of the servers. A function decides for each response, for example by its user. Default false, because the header tells
   * strangers about your servers. While it is on, reads are recorded, which takes 1.15 to 1.25 times as much CPU for each read.
   */
  readonly serverTiming?: ServerTimingChoice<Request>;
  /**
   * Names the user of a request, for a `rollout` below 1. Return an id that never changes, such as the number of the account. The
   * same users are then included in every process. With true or false you decide yourself whether the user is included, for
   * example for your own staff. If the function returns undefined or null, or without it, the cookie of `cookie()` tells the users
   * apart. With other carriers, replicas then answer no reads of this user until `rollout` is 1.
   */
  readonly rollout?: (request: Request) => RolloutChoice;
}

/** A session, and how its token gets to the user. */
export interface RequestSession {
  readonly session: Session;
  /** Sets the headers of the response that bring the token. Never throws. */
  carry(response: CarrierResponse): void;
  /**
   * Lets the `serverSide` carriers store the token. After a final call (the default), `carry` skips these carriers. Undefined if
   * no carrier is `serverSide`.
   */
  readonly store: ((isFinal?: boolean) => void) | undefined;
}

/**
 * Returns a function that opens the session of a request, for servers without a middleware of Tidemark. Await
 * `session.settled()`, then call `carry` before the headers of the response are sent. Throws an `InvalidOptionError` at once for
 * invalid options.
 */
export function requestSessions<Request extends CarrierRequest>(
  source: SessionSource,
  options?: ReadYourWritesOptions<Request>,
): (request: Request) => RequestSession {
  const config = requestSessionConfig(source, options, [], "requestSessions");
  return (request) => {
    const tokens = new RequestTokens(request, config);
    tokens.begin();
    return new CarriedSession(tokens, config.storesOnServer);
  };
}

/** A class, because V8 may place literals among old objects, and each of these refers to its request. */
class CarriedSession<Request extends CarrierRequest> implements RequestSession {
  readonly session: Session;
  readonly carry: RequestSession["carry"];
  readonly store: RequestSession["store"];

  constructor(tokens: RequestTokens<Request>, storesOnServer: boolean) {
    this.session = tokens.session;
    this.carry = (response) => tokens.carry(response);
    this.store = storesOnServer ? (isFinal) => tokens.store(isFinal) : undefined;
  }
}

/** The checked options of one middleware, with their defaults. */
export interface RequestSessionConfig<Request> {
  readonly source: SessionSource;
  readonly carriers: readonly Carrier[];
  /** Whether a carrier is `serverSide`. */
  readonly storesOnServer: boolean;
  readonly keyring: Keyring | undefined;
  readonly level: ReadYourWritesOptions<Request>["level"];
  readonly monotonicReads: boolean | undefined;
  readonly serverTiming: ServerTimingChoice<Request> | undefined;
  /** Called with the error that a carrier threw. */
  readonly failed: (error: unknown) => void;
  /** Called with the error that the function `serverTiming` threw. */
  readonly untimed: (error: unknown) => void;
  readonly visitors: VisitorSetup<Request>;
  /** Called when none of the secrets can decrypt a text that looks like a token. */
  readonly unverified: () => void;
}

/** Throws an `InvalidOptionError` for an unknown option. `further` has the names of the options that a framework adds. */
export function refuseUnknownOptions(
  options: unknown,
  further: readonly string[],
  where = "readYourWrites",
): void {
  const own = ["secret", "audience", "carrier", "level", "monotonicReads", "serverTiming", "rollout"];
  const names = [...own, ...further];
  refuseUnknown(where, options, names, (name) => {
    if (name === "tidemark")
      return `Pass it before the options, or import ${where} from "tidemark/fastify" for Fastify`;
    return cookieOptions.includes(name) ? `Pass it to the cookie: carrier: cookie({ ${name} })` : undefined;
  });
}

/** Throws an `InvalidOptionError` for invalid options. `further` has the names of the options that a framework adds. */
export function requestSessionConfig<Request>(
  source: SessionSource,
  options: ReadYourWritesOptions<Request> = {},
  further: readonly string[] = [],
  where?: string,
): RequestSessionConfig<Request> {
  checkSource(source);
  refuseUnknownOptions(options, further, where);
  const carriers = checkCarriers(options.carrier ?? cookie());
  const keyring = keyringFor(carriers, options);
  const { level, monotonicReads } = options;
  if (monotonicReads !== undefined && typeof monotonicReads !== "boolean")
    throw new InvalidOptionError("monotonicReads", monotonicReads, "Pass true or false");
  if (level !== undefined && typeof level !== "function") checkConsistency(level);
  if (options.rollout !== undefined && typeof options.rollout !== "function")
    throw new InvalidOptionError(
      "rollout",
      options.rollout,
      "Pass a function like (request) => request.user?.id here, and the share of the users to new Tidemark({ rollout })",
    );
  const storesOnServer = carriers.some(({ serverSide }) => serverSide === true);
  return {
    source,
    carriers,
    storesOnServer,
    keyring,
    level,
    monotonicReads,
    serverTiming: checkServerTiming(options.serverTiming),
    failed: warning(
      "TIDEMARK_CARRIER_FAILED",
      "A carrier threw an error, so users may miss their own writes. Fix the carrier: its first error follows.",
    ),
    untimed: warning(
      "TIDEMARK_SERVER_TIMING",
      "The function serverTiming threw an error, so responses get no Server-Timing header. Its first error follows.",
    ),
    visitors: {
      choose: options.rollout,
      carriers: carriers.flatMap(({ membership }) => membership ?? []),
      keyring,
      failed: warning(
        "TIDEMARK_ROLLOUT",
        "The function rollout threw an error, so replicas answer no reads of its user. Its first error follows.",
      ),
    },
    unverified: unverifiedWarning(),
  };
}

/** A request's session, the tokens of the request, and the token of the response. */
export class RequestTokens<Request extends CarrierRequest> implements CarriedTokens {
  readonly session: Session;
  readonly arrivedAt = performance.now();
  opened: Map<string, OpenedToken> | undefined;
  #request: Request | undefined;
  readonly #config: RequestSessionConfig<Request>;
  readonly #timing: RequestTiming | undefined = undefined;
  #visitor: Visitor<Request> | undefined;
  #isStored = false;

  /** Throws what the `level` function throws. */
  constructor(request: Request, config: RequestSessionConfig<Request>, signal?: () => AbortSignal) {
    const { source, level, monotonicReads, keyring } = config;
    this.#request = request;
    this.#config = config;
    const ownLevel = typeof level === "function" ? checkConsistency(level(request)) : level;
    this.session = source.session(
      new SessionSetup(
        () => this.#open(),
        ownLevel,
        monotonicReads,
        keyring,
        signal,
        () => this.#membership(),
      ),
    );
    if (config.serverTiming !== undefined) this.#timing = RequestTiming.of(this.session);
  }

  /** Lets carriers look at the request with all that middleware has added to it. */
  begin(): void {
    const request = this.#request;
    if (request === undefined) return;
    for (const carrier of this.#config.carriers) {
      try {
        carrier.begin?.(request);
      } catch (error) {
        this.#config.failed(error);
      }
    }
  }

  /** Sets the headers of `response` that bring the token. Never throws. */
  carry(response: CarrierResponse): void {
    for (const carrier of this.#config.carriers)
      if (!carrier.serverSide || !this.#isStored) this.#write(carrier, response);
    if (this.#visitor !== undefined && this.#request !== undefined)
      this.#visitor.carry(this.#request, response);
    if (this.#timing !== undefined) this.#show(this.#timing, response);
  }

  /** Counts that the headers waited for writes. */
  held(ms: number): void {
    this.session.statistics.counts.heldMs.add(ms);
    if (this.#timing !== undefined) this.#timing.heldMs += ms;
  }

  #show(timing: RequestTiming, response: CarrierResponse): void {
    const { serverTiming = false } = this.#config;
    const request = this.#request;
    try {
      if (typeof serverTiming !== "function") timing.write(response, serverTiming);
      else if (request !== undefined) timing.write(response, serverTiming(request));
    } catch (error) {
      this.#config.untimed(error);
    }
  }

  /** Lets the `serverSide` carriers store the token. After a final call, `carry` skips these carriers. */
  store(isFinal = true): void {
    if (this.#isStored && !isFinal) return;
    this.#isStored = isFinal;
    for (const carrier of this.#config.carriers) if (carrier.serverSide) this.#write(carrier, noResponse);
  }

  /**
   * Lets the request go once no carrier needs it any more, because its headers were sent and its tokens were read. The session may
   * live on, for example in what the handler has started. Returns false if the tokens were not read: a later read of the session
   * still needs them.
   */
  letGo(): boolean {
    if (this.opened === undefined) return false;
    this.#request = undefined;
    return true;
  }

  #write(carrier: Carrier, response: CarrierResponse): void {
    const request = this.#request;
    if (request === undefined) return;
    const { source, keyring } = this.#config;
    const seal = carrier.serverSide ? undefined : keyring;
    const token = new ResponseToken(this, seal, source.tokenTtlMs);
    try {
      carrier.write(request, response, token);
      this.#count(token);
    } catch (error) {
      this.#config.failed(error);
    }
  }

  #count({ given }: ResponseToken): void {
    if (given === 0) return;
    const { counts } = this.session.statistics;
    counts.issuedTokens += 1;
    counts.tokenBytes.add(given);
  }

  #membership(): Membership {
    if (this.#request === undefined) return undefined;
    this.#visitor = new Visitor(this.#config.visitors);
    return this.#visitor.membership(this.#request);
  }

  #open(): string[] {
    const request = this.#request;
    if (request === undefined) return [unknownWrite()];
    const opened = new Map<string, OpenedToken>();
    this.opened = opened;
    const { carriers, keyring, failed, unverified } = this.#config;
    const { counts } = this.session.statistics;
    const lost: string[] = [];
    for (const carrier of carriers) {
      try {
        const texts = [...new Set(carrier.read(request))];
        // A token that was not read may require the most.
        if (texts.length > maxTexts) lost.push(unknownWrite());
        for (const text of texts.slice(0, maxTexts)) {
          if (text === unsent) {
            lost.push(unknownWrite());
            continue;
          }
          const one = carrier.serverSide ? { token: text, usesOldSecret: false } : keyring?.open(text);
          if (one !== undefined) {
            opened.set(text, one);
            if (isInForce(one.token, this.#config.source.tokenTtlMs)) counts.acceptedTokens += 1;
            else counts.expiredTokens += 1;
          } else if (Keyring.isLikely(text)) {
            counts.unverifiedTokens += 1;
            unverified();
          }
        }
      } catch (error) {
        failed(error);
        lost.push(unknownWrite());
      }
    }
    if (lost.length > 0) counts.pins.unreadTokens += 1;
    return [...[...opened.values()].map(({ token }) => token), ...lost];
  }
}

function isInForce(token: string, ttlMs: number): boolean {
  const claims = claimsOf(token);
  return claims !== undefined && Date.now() - claims.issuedAt <= ttlMs;
}

/** A response for carriers that need none. */
export const noResponse: CarrierResponse = { getHeader: () => undefined, setHeader: () => {} };

/** An error in code of the app must not fail the response. The first one emits a process warning. */
function warning(code: string, message: string): (error: unknown) => void {
  let warned = false;
  return (error) => {
    if (warned) return;
    warned = true;
    process.emitWarning(message, {
      type: "TidemarkWarning",
      code,
      detail: error instanceof Error ? error.stack : String(error),
    });
  };
}

/** Warns only the first time, because anybody can send such a text. */
function unverifiedWarning(): () => void {
  let warned = false;
  return () => {
    if (warned) return;
    warned = true;
    process.emitWarning(
      "A request carries a consistency token that none of this app's secrets can decrypt.",
      {
        type: "TidemarkWarning",
        code: "TIDEMARK_UNKNOWN_TOKEN",
        detail:
          "The user who sent it may miss their own writes. Use the same `secret` and `audience` in every process, and keep an old " +
          "secret in the list `secret` until its tokens have expired. Anybody can make up such a token, and this warning " +
          "appears once, so look for other signs before you act on it.",
      },
    );
  };
}

function checkSource(source: unknown): void {
  if (typeof source === "object" && source !== null && "session" in source && "run" in source) {
    if (typeof source.session === "function" && typeof source.run === "function") return;
  }
  if (entryFor(source, undefined) === "fastify")
    throw new InvalidOptionError(
      "readYourWrites",
      source,
      'Import it from "tidemark/fastify"',
      "it was registered in Fastify, but comes from the entry for another framework",
    );
  throw new InvalidOptionError("tidemark", source, "Call readYourWrites(new Tidemark({ … }), { secret })");
}

function checkCarriers(carrier: unknown): readonly Carrier[] {
  const carriers: readonly unknown[] = Array.isArray(carrier) ? carrier : [carrier];
  if (carriers.length > 0 && carriers.every(isCarrier)) return carriers;
  const remedy = "Pass cookie(), an object with read and write, or a list of these";
  throw new InvalidOptionError("carrier", carrier, remedy);
}

function isCarrier(one: unknown): one is Carrier {
  if (typeof one !== "object" || one === null || !("read" in one) || !("write" in one)) return false;
  return typeof one.read === "function" && typeof one.write === "function";
}

function keyringFor(
  carriers: readonly Carrier[],
  { secret, audience }: Pick<ReadYourWritesOptions<never>, "secret" | "audience">,
): Keyring | undefined {
  if (secret !== undefined) return new Keyring(secret, audience);
  if (audience === undefined && carriers.every(({ serverSide }) => serverSide)) return undefined;
  throw new InvalidOptionError(
    "secret",
    secret,
    "Pass at least 16 characters, the same in every process. If the secret comes from process.env, set that variable",
  );
}
