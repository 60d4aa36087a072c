/** The session of one request: its tokens opened on the way in, its token sealed on the way out. */
import { InvalidOptionError } from "../errors.js";
import { Keyring, type Opened } from "../keyring.js";
import type { Seal, Session } from "../session.js";
import { type Consistency, checkConsistency } from "../terms.js";
import { decodeToken, encodeToken } from "../token.js";
import type { Carrier, CarrierRequest, CarrierResponse, OutgoingToken } from "./carrier.js";
import { cookie } from "./cookie.js";

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
   * Seals tokens: at least 16 characters, the same in every process. To rotate, give a list, newest first. Required
   * unless every carrier is `serverSide`.
   */
  readonly secret?: string | readonly string[] | undefined;
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

/** A session whose carriers have not been told yet that its request has come. */
export interface OpenedSession extends RequestSession {
  /** Called when what middleware adds to the request is there. */
  begin(): void;
}

/**
 * Returns what opens the session of a request, for servers that no middleware is made for. Await `session.settled()`,
 * then `carry` into the response before its head leaves. Throws an `InvalidOptionError` at once for options that cannot work.
 */
export function requestSessions<Request extends CarrierRequest>(
  source: SessionSource,
  options: ReadYourWritesOptions<Request> = {},
): (request: Request) => RequestSession {
  const open = sessionOpener(source, options);
  return (request) => {
    const opened = open(request);
    opened.begin();
    return opened;
  };
}

/** The same for middleware, which knows when a request is complete. */
export function sessionOpener<Request extends CarrierRequest>(
  source: SessionSource,
  options: ReadYourWritesOptions<Request> = {},
): (request: Request, signal?: () => AbortSignal) => OpenedSession {
  checkSource(source);
  const carriers = checkCarriers(options.carrier ?? cookie());
  const keyring = keyringFor(carriers, options.secret);
  const { level, monotonicReads } = options;
  if (monotonicReads !== undefined && typeof monotonicReads !== "boolean")
    throw new InvalidOptionError("monotonicReads", monotonicReads, "give true or false");
  if (level !== undefined && typeof level !== "function") checkConsistency(level);
  const guard = carrierGuard();
  const keepsOnServer = carriers.some(({ serverSide }) => serverSide === true);

  return (request, signal) => {
    const luggage = new Luggage(request, carriers, keyring, guard);
    const session = source.session({
      token: () => luggage.open(),
      level: typeof level === "function" ? checkConsistency(level(request)) : level,
      monotonicReads,
      seal: keyring,
      signal,
    });
    return {
      session,
      begin: () => luggage.begin(),
      carry: (response) => luggage.carry(response, session, source.tokenTtlMs),
      store: keepsOnServer ? (isFinal) => luggage.store(session, source.tokenTtlMs, isFinal) : undefined,
    };
  };
}

/** Calls `act`; whether it failed. */
type Guard = (act: () => void) => boolean;

class Luggage {
  readonly #request: CarrierRequest;
  readonly #carriers: readonly Carrier[];
  readonly #keyring: Keyring | undefined;
  readonly #guard: Guard;
  /** By the text they came in. */
  #opened: Map<string, Opened> | undefined;
  #isStored = false;

  constructor(
    request: CarrierRequest,
    carriers: readonly Carrier[],
    keyring: Keyring | undefined,
    guard: Guard,
  ) {
    this.#request = request;
    this.#carriers = carriers;
    this.#keyring = keyring;
    this.#guard = guard;
  }

  /** The tokens that the request carried. */
  open(): string[] {
    const opened = new Map<string, Opened>();
    this.#opened = opened;
    let failed = false;
    for (const carrier of this.#carriers) {
      const fails = this.#guard(() => {
        for (const text of carrier.read(this.#request)) {
          const one = carrier.serverSide ? { token: text, isOld: false } : this.#keyring?.open(text);
          if (one !== undefined) opened.set(text, one);
        }
      });
      failed ||= fails;
    }
    const tokens = [...opened.values()].map(({ token }) => token);
    return failed ? [...tokens, unknownWrite()] : tokens;
  }

  begin(): void {
    for (const carrier of this.#carriers) {
      if (carrier.begin !== undefined) this.#guard(() => carrier.begin?.(this.#request));
    }
  }

  carry(response: CarrierResponse, session: Session, ttlMs: number): void {
    for (const carrier of this.#carriers) {
      if (carrier.serverSide && this.#isStored) continue;
      this.#guard(() => carrier.write(this.#request, response, this.#outgoing(carrier, session, ttlMs)));
    }
  }

  store(session: Session, ttlMs: number, isFinal = true): void {
    if (this.#isStored && !isFinal) return;
    this.#isStored = isFinal;
    for (const carrier of this.#carriers) {
      if (!carrier.serverSide) continue;
      this.#guard(() => carrier.write(this.#request, nowhere, this.#outgoing(carrier, session, ttlMs)));
    }
  }

  #outgoing(carrier: Carrier, session: Session, ttlMs: number): OutgoingToken {
    const text = () => {
      const token = session.token();
      return carrier.serverSide ? token : this.seal(token);
    };
    const merged = () => {
      session.token();
      const known = [...(this.#opened ?? [])].filter(([, { token }]) => decodeToken(token) !== undefined);
      return new Set(known.map(([carried]) => carried));
    };
    const aged = [...(this.#opened?.values() ?? [])].some(({ isOld }) => isOld);
    return { moved: session.moved, aged, ttlMs, text, merged };
  }

  seal(token: string): string {
    return token === "" ? token : (this.#keyring?.seal(token) ?? "");
  }
}

/** A response for carriers that have no use of one. */
export const nowhere: CarrierResponse = { getHeader: () => undefined, setHeader: () => {} };

/** A token that says nothing but that something was written. */
function unknownWrite(): string {
  const now = Date.now();
  return encodeToken({ issuedAt: now, positions: [], pinnedAt: now, freshAsOf: 0 });
}

/** A carrier that fails must not fail the response: the first time a process warning says so. */
function carrierGuard(): Guard {
  let warned = false;
  return (act) => {
    try {
      act();
      return false;
    } catch (error) {
      if (warned) return true;
      warned = true;
      process.emitWarning("A carrier failed, so users may miss their own writes.", {
        type: "TidemarkWarning",
        code: "TIDEMARK_CARRIER_FAILED",
        detail: error instanceof Error ? error.stack : String(error),
      });
      return true;
    }
  };
}

function checkSource(source: unknown): void {
  if (typeof source === "object" && source !== null && "session" in source && "run" in source) {
    if (typeof source.session === "function" && typeof source.run === "function") return;
  }
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
  secret: string | readonly string[] | undefined,
): Keyring | undefined {
  if (secret !== undefined) return new Keyring(secret);
  if (carriers.every(({ serverSide }) => serverSide)) return undefined;
  throw new InvalidOptionError(
    "secret",
    secret,
    "give at least 16 characters, the same in every process; if they come from process.env, set that variable",
  );
}
