/** Finds the sessions of a request by the object that a framework passes to its handlers. */
import { TidemarkError } from "../errors/errors.js";
import type { Session, SessionClient } from "../session/session.js";
import { Given } from "./given-object.js";
import type { SessionSource } from "./request-session.js";

/** The names of the properties that handlers use on a request. */
export interface AttachedNames {
  readonly redis: string;
  readonly consistency: string;
}

/** One of the sessions of a request. Each session belongs to a different Tidemark. */
export interface AttachedSession {
  readonly source: SessionSource;
  readonly session: Session;
  readonly names: AttachedNames;
  /** The session that was attached before this one. */
  readonly previous: AttachedSession | undefined;
  /** The deferred head, if the response inherits the methods that send it from a prototype; see `deferHeadByPrototype`. */
  readonly head?: object | undefined;
}

/** An object with a state that Node uses, such as a request of Node. */
interface Readable {
  readonly _readableState?: unknown;
}

const place = Symbol("tidemark");

/**
 * The state that Node keeps for one of its requests. The session is attached here because a property of the request itself would
 * take more time: see `PrototypeLayer`. A `WeakMap` would take more time, too, because a value that refers to its key survives
 * every small garbage collection.
 */
interface State {
  [place]?: AttachedSession;
}

/** Attaches a session to an object that has no such state, such as Koa's `ctx` or Fastify's `request`. */
class Attachment extends Given {
  #attached: AttachedSession;

  private constructor(owner: object, attached: AttachedSession) {
    super(owner);
    this.#attached = attached;
  }

  static set(owner: object, attached: AttachedSession): void {
    if (#attached in owner) owner.#attached = attached;
    else new Attachment(owner, attached);
  }

  static of(owner: object): AttachedSession | undefined {
    return #attached in owner ? owner.#attached : undefined;
  }
}

function stateOf({ _readableState: state }: Readable): State | undefined {
  return typeof state === "object" && state !== null ? state : undefined;
}

/** Attaches one more session to `owner`. Its `previous` is the session that was attached last until now. */
export function attach(owner: object, attached: AttachedSession): void {
  const state = stateOf(owner);
  if (state === undefined) Attachment.set(owner, attached);
  else state[place] = attached;
}

/** The session that was attached last to `owner` or to an object on its prototype chain; undefined if there is none. */
export function attachedTo(owner: object): AttachedSession | undefined {
  const state = stateOf(owner);
  if (state !== undefined) return state[place];
  for (let one: object | null = owner; one !== null; one = Object.getPrototypeOf(one)) {
    const attached = Attachment.of(one);
    if (attached !== undefined) return attached;
  }
  return undefined;
}

/** The session of `owner` that belongs to `source`, or the latest one without a `source`; undefined if there is none. */
export function sessionOf(owner: object, source?: SessionSource): Session | undefined {
  return sessionAmong(attachedTo(owner), source);
}

/**
 * Of `attached` and the sessions that were attached before it: the one that belongs to `source`, or `attached` itself without a
 * `source`.
 */
export function sessionAmong(
  attached: AttachedSession | undefined,
  source?: SessionSource,
): Session | undefined {
  let one = attached;
  while (one !== undefined && source !== undefined && one.source !== source) one = one.previous;
  return one?.session;
}

/** The property `name` of objects that have sessions. */
export function accessorOf(name: string): PropertyDescriptor & ThisType<object> {
  return {
    configurable: true,
    get(): Session | SessionClient | undefined {
      return lookUp(this, name);
    },
  };
}

export function lookUp(owner: object, name: string): Session | SessionClient | undefined {
  for (let one = attachedTo(owner); one !== undefined; one = one.previous) {
    if (one.names.redis === name) return one.session.redis;
    if (one.names.consistency === name) return one.session;
  }
  return undefined;
}

/** All sessions of `owner`. If there is none, throws an error that names `marker`. */
export function sessionsOf(owner: object, marker: string): readonly Session[] {
  const sessions: Session[] = [];
  for (let one = attachedTo(owner); one !== undefined; one = one.previous) sessions.push(one.session);
  if (sessions.length > 0) return sessions;
  const remedy = "Mount readYourWrites(tidemark, { secret }) before it";
  throw new TidemarkError(
    "TIDEMARK_INVALID_OPTION",
    `${marker} found no session for this request. ${remedy}.`,
  );
}
