/** The session of one request: its tokens decrypted on the way in, its token encrypted on the way out. */

import { type Consistency, checkConsistency } from "../consistency/read-policy.js";
import { InvalidOptionError } from "../errors/errors.js";
import { refuseUnknown } from "../errors/option-names.js";
import type { Seal, Session } from "../session/session.js";
import { maxTexts, unknownWrite, unsent } from "../session/token.js";
import type { Carrier, CarrierRequest, CarrierResponse } from "./carriers/carrier.js";
import { cookie, cookieOptions } from "./carriers/cookie.js";
import { entryFor } from "./entries.js";
import { Keyring, type OpenedToken } from "./keyring.js";
import { SessionToken, type TokenSource } from "./outgoing-token.js";

/** What a middleware needs of a `Tidemark`. */
export interface SessionSource {
  /** For how many milliseconds a token is of use. */
  readonly tokenTtlMs: number;
  session(options: {
    token?: () => readonly string[];
    level?: Consistency;
    monotonicReads?: boolean;
    seal?: Seal;
    signal?: AbortSignal | (() => AbortSignal);
  }): Session;
  /** Calls `fn`, and all that follows from it, with `session` as the current one. */
  run<R>(session: Session, fn: () => R): R;
}

export interface ReadYourWritesOptions<Request> {
  /**
   * Encrypts tokens: at least 16 characters, the same in every process. To rotate, give a list, newest first. Required
   * unless every carrier is `serverSide`. The keys are derived from it for this purpose alone.
   */
  readonly secret?: string | readonly string[] | undefined;
  /**
   * The name of the apps that share tokens: 1 to 100 characters, the same in each of them. A token of another audience counts
   * as absent, although the secret is the same. Default: none, which is an audience of its own.
   */
  readonly audience?: string | undefined;
  /** How tokens travel, one way or several at once; default `cookie()`. */
  readonly carrier?: Carrier | readonly Carrier[];
  /** The level of every request, or a function that chooses it; default that of the `Tidemark`. */
  readonly level?: Consistency | ((request: Request) => Consistency);
  /**
   * Whether users' later requests too see nothing older than what they have read: then responses that only read may bring
   * a token as well, whenever what was read is newer than what the request's tokens ask for. Default that of the `Tidemark`.
   */
  readonly monotonicReads?: boolean;
}

/** A session and the way back to its user. */
export interface RequestSession {
  readonly session: Session;
  /** Gives the response what its user has to bring next time. Never throws. */
  carry(response: CarrierResponse): void;
  /** Has carriers that are `serverSide` keep the token; `carry` leaves them out once that was final. Undefined without any. */
  readonly store: ((isFinal?: boolean) => void) | undefined;
}

/**
 * Returns what opens the session of a request, for servers that no middleware is made for. Await `session.settled()`,
 * then `carry` into the response before its head leaves. Throws an `InvalidOptionError` at once for options that cannot work.
 */
export function requestSessions<Request extends CarrierRequest>(
  source: SessionSource,
  options?: ReadYourWritesOptions<Request>,
): (request: Request) => RequestSession {
  const terms = requestSessionConfig(source, options, [], "requestSessions");
  return (request) => {
    const luggage = new RequestTokens(request, terms);
    luggage.begin();
    return {
      session: luggage.session,
      carry: (response) => luggage.carry(response),
      store: terms.keepsOnServer ? (isFinal) => luggage.keep(isFinal) : undefined,
    };
  };
}

/** What the sessions of one middleware's requests have in common: its options, with nothing left open. */
export interface RequestSessionConfig<Request> {
  readonly source: SessionSource;
  readonly carriers: readonly Carrier[];
  /** Whether one of them is `serverSide`. */
  readonly keepsOnServer: boolean;
  readonly keyring: Keyring | undefined;
  readonly level: ReadYourWritesOptions<Request>["level"];
  readonly monotonicReads: boolean | undefined;
  /** Told of what a carrier threw. */
  readonly failed: (error: unknown) => void;
  /** Called when a text that looks like a token can be decrypted with none of the secrets. */
  readonly unverified: () => void;
}

/** Throws an `InvalidOptionError` for an option that does not exist. `further` names those that a framework adds. */
export function refuseUnknownOptions(
  options: unknown,
  further: readonly string[],
  where = "readYourWrites",
): void {
  const names = ["secret", "audience", "carrier", "level", "monotonicReads", ...further];
  refuseUnknown(where, options, names, (name) => {
    if (name === "tidemark")
      return `give it in front of the options, or import ${where} from "tidemark/fastify" for Fastify`;
    return cookieOptions.includes(name) ? `give it to the cookie: carrier: cookie({ ${name} })` : undefined;
  });
}

/** Throws an `InvalidOptionError` for options that cannot work. `further` names those that a framework adds. */
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
    throw new InvalidOptionError("monotonicReads", monotonicReads, "give true or false");
  if (level !== undefined && typeof level !== "function") checkConsistency(level);
  const keepsOnServer = carriers.some(({ serverSide }) => serverSide === true);
  return {
    source,
    carriers,
    keepsOnServer,
    keyring,
    level,
    monotonicReads,
    failed: warning(),
    unverified: unverifiedWarning(),
  };
}

/** A request's session, with what the request has brought and what its response is to bring. */
export class RequestTokens<Request extends CarrierRequest> implements TokenSource {
  readonly session: Session;
  readonly arrivedAt = performance.now();
  opened: Map<string, OpenedToken> | undefined;
  readonly #request: Request;
  readonly #terms: RequestSessionConfig<Request>;
  #isKept = false;

  /** Throws what a `level` function throws. */
  constructor(request: Request, terms: RequestSessionConfig<Request>, signal?: () => AbortSignal) {
    const { source, level, monotonicReads, keyring } = terms;
    this.#request = request;
    this.#terms = terms;
    this.session = source.session({
      token: () => this.#open(),
      level: typeof level === "function" ? checkConsistency(level(request)) : level,
      monotonicReads,
      seal: keyring,
      signal,
    });
  }

  /** Tells carriers that what middleware adds to the request is there. */
  begin(): void {
    for (const carrier of this.#terms.carriers) {
      try {
        carrier.begin?.(this.#request);
      } catch (error) {
        this.#terms.failed(error);
      }
    }
  }

  /** Gives `response` what its user has to bring next time. Never throws. */
  carry(response: CarrierResponse): void {
    for (const carrier of this.#terms.carriers)
      if (!carrier.serverSide || !this.#isKept) this.#write(carrier, response);
  }

  /** Has carriers that are `serverSide` keep the token; `carry` leaves them out once that was final. */
  keep(isFinal = true): void {
    if (this.#isKept && !isFinal) return;
    this.#isKept = isFinal;
    for (const carrier of this.#terms.carriers) if (carrier.serverSide) this.#write(carrier, noResponse);
  }

  #write(carrier: Carrier, response: CarrierResponse): void {
    const { source, keyring } = this.#terms;
    const seal = carrier.serverSide ? undefined : keyring;
    try {
      carrier.write(this.#request, response, new SessionToken(this, seal, source.tokenTtlMs));
    } catch (error) {
      this.#terms.failed(error);
    }
  }

  #open(): string[] {
    const opened = new Map<string, OpenedToken>();
    this.opened = opened;
    const { carriers, keyring, failed, unverified } = this.#terms;
    const lost: string[] = [];
    for (const carrier of carriers) {
      try {
        const texts = [...new Set(carrier.read(this.#request))];
        // An unread token may be the one that counts.
        if (texts.length > maxTexts) lost.push(unknownWrite());
        for (const text of texts.slice(0, maxTexts)) {
          if (text === unsent) {
            lost.push(unknownWrite());
            continue;
          }
          const one = carrier.serverSide ? { token: text, isOld: false } : keyring?.open(text);
          if (one !== undefined) opened.set(text, one);
          else if (Keyring.isLikely(text)) unverified();
        }
      } catch (error) {
        failed(error);
        lost.push(unknownWrite());
      }
    }
    return [...[...opened.values()].map(({ token }) => token), ...lost];
  }
}

/** A response for carriers that have no use of one. */
export const noResponse: CarrierResponse = { getHeader: () => undefined, setHeader: () => {} };

/** A carrier that fails must not fail the response: the first time a process warning says so. */
function warning(): (error: unknown) => void {
  let warned = false;
  return (error) => {
    if (warned) return;
    warned = true;
    process.emitWarning("A carrier failed, so users may miss their own writes.", {
      type: "TidemarkWarning",
      code: "TIDEMARK_CARRIER_FAILED",
      detail: error instanceof Error ? error.stack : String(error),
    });
  };
}

/** Only the first time, because anybody can send such a text. */
function unverifiedWarning(): () => void {
  let warned = false;
  return () => {
    if (warned) return;
    warned = true;
    process.emitWarning(
      "A request brought a consistency token that none of this app's secrets can decrypt.",
      {
        type: "TidemarkWarning",
        code: "TIDEMARK_UNKNOWN_TOKEN",
        detail:
          "Its user may miss their own writes. Give the same `secret` and `audience` to every process, and keep an old secret " +
          "in the list until its tokens have run out. Anybody can send such a token, so one alone may mean nothing.",
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
      'import it from "tidemark/fastify"',
      "it was registered in Fastify, but belongs to another entry",
    );
  throw new InvalidOptionError("tidemark", source, "call readYourWrites(new Tidemark({ … }), { secret })");
}

function checkCarriers(carrier: unknown): readonly Carrier[] {
  const carriers: readonly unknown[] = Array.isArray(carrier) ? carrier : [carrier];
  if (carriers.length > 0 && carriers.every(isCarrier)) return carriers;
  const remedy = "give cookie(), or an object with read and write, or a list of these";
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
    "give at least 16 characters, the same in every process; if they come from process.env, set that variable",
  );
}
