/** Read your writes on Express 4 and 5, Connect and plain `node:http`. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { InvalidOptionError, TidemarkError } from "../errors.js";
import { checkLevel, type Level } from "../level.js";
import type { Session, SessionClient } from "../session.js";
import { holdHead } from "./held-head.js";
import { type ReadYourWritesOptions, requestSessions, type SessionSource } from "./request-session.js";

export type { Carrier, CarrierRequest, CarrierResponse, OutgoingToken } from "./carrier.js";
export { type CookieOptions, cookie } from "./cookie.js";
export type { ReadYourWritesOptions, SessionSource } from "./request-session.js";

declare global {
  namespace Express {
    interface Request {
      /** An ioredis client whose reads see what the user has written. */
      readonly redis: SessionClient;
      /** The user's session, which knows what their reads require. */
      readonly consistency: Session;
    }
  }
}

/** A middleware as Express, Connect and plain `node:http` can call it. */
export type Middleware<Request> = (
  request: Request,
  response: ServerResponse,
  next: (error?: unknown) => void,
) => void;

const mountedFor: unique symbol = Symbol("tidemark.mountedFor");

interface WithSession {
  consistency?: Session;
  [mountedFor]?: SessionSource;
}

/**
 * Gives every request a session as `req.consistency` and its client as `req.redis`, and its user the token of what
 * they wrote. Mount it first: it keeps the head of a response back while a write of its request is in flight, and
 * what is mounted before it may send the head without asking. Once a head has left, with the first bytes of a
 * streamed body, later writes of its request can not be carried any more. Mounted again for the same Tidemark, it
 * does nothing. Throws an `InvalidOptionError` at once for options that cannot work.
 */
export function readYourWrites<Request extends IncomingMessage = IncomingMessage>(
  tidemark: SessionSource,
  options: ReadYourWritesOptions<Request>,
): Middleware<Request> {
  const open = requestSessions(tidemark, options);

  return function readYourWritesMiddleware(request, response, next) {
    if (isMounted(request, tidemark)) return next();
    let opened: ReturnType<typeof open>;
    try {
      checkVersion(request);
      opened = open(request);
    } catch (error) {
      return next(error);
    }
    const { session, carry } = opened;
    attach(request, session, tidemark);
    holdHead(response, { settled: () => session.settled(), carry });
    runListeners(request, (listeners) => tidemark.run(session, listeners));
    tidemark.run(session, () => next());
  };
}

/** Sets the level of the requests that pass; behind `readYourWrites`. The last one before a read wins. */
export function consistency(level: Level): Middleware<IncomingMessage> {
  const checked = checkLevel(level, "consistency(level)");
  return function consistencyMiddleware(request, _response, next) {
    setLevel(request, checked, "consistency(level)", next);
  };
}

/** Reads of the requests that pass go to the primary. */
export function strong(...given: []): Middleware<IncomingMessage> {
  checkCalled("strong", given);
  return function strongMiddleware(request, _response, next) {
    setLevel(request, "strong", "strong()", next);
  };
}

/** Reads of the requests that pass may be answered by any healthy node, and may miss the user's own writes. */
export function eventual(...given: []): Middleware<IncomingMessage> {
  checkCalled("eventual", given);
  return function eventualMiddleware(request, _response, next) {
    setLevel(request, "eventual", "eventual()", next);
  };
}

/** Reads of the requests that pass see the user's own writes and are at most `maxStalenessMs` behind the primary. */
export function bounded(maxStalenessMs: number): Middleware<IncomingMessage> {
  const level = checkLevel({ maxStalenessMs }, "bounded(ms)");
  return function boundedMiddleware(request, _response, next) {
    setLevel(request, level, "bounded(ms)", next);
  };
}

function attach(request: WithSession & IncomingMessage, session: Session, tidemark: SessionSource): void {
  request[mountedFor] = tidemark;
  request.consistency = session;
  Object.defineProperty(request, "redis", redisOfSession);
}

/** One accessor for all requests: a client is made only when a handler asks for it. */
const redisOfSession: PropertyDescriptor & ThisType<{ readonly consistency: Session }> = {
  configurable: true,
  get() {
    return this.consistency.redis;
  },
};

/** Node calls the listeners of a request from its connection, outside every session; `run` brings them back in. */
function runListeners(
  request: { emit(...args: unknown[]): boolean },
  run: (fn: () => boolean) => boolean,
): void {
  const { emit } = request;
  request.emit = (...args) => run(() => emit.apply(request, args));
}

/** A head of HTTP/2 leaves when it is written, so it can not be held; a proxy in front may well speak HTTP/2. */
function checkVersion({ httpVersion, httpVersionMajor }: IncomingMessage): void {
  if (httpVersionMajor < 2) return;
  throw new InvalidOptionError(
    "request",
    `HTTP/${httpVersion}`,
    "serve HTTP/1.1, with a proxy in front for HTTP/2",
  );
}

function isMounted(request: WithSession & IncomingMessage, tidemark: SessionSource): boolean {
  return request[mountedFor] === tidemark;
}

function setLevel(
  request: WithSession & IncomingMessage,
  level: Level,
  marker: string,
  next: (error?: unknown) => void,
): void {
  const { consistency } = request;
  if (consistency === undefined) {
    const remedy = "mount readYourWrites(tidemark, { secret }) with app.use() before this route";
    next(new TidemarkError("TIDEMARK_INVALID_OPTION", `${marker} found no session: ${remedy}.`));
    return;
  }
  consistency.level = level;
  next();
}

/** Catches `app.get("/", strong, handler)`, which would otherwise leave every request without an answer. */
function checkCalled(name: string, given: readonly unknown[]): void {
  if (given.length > 0) throw new InvalidOptionError(name, "a request", `call it: ${name}()`);
}
