/** The sessions of a request, by what a framework hands to its handlers. */
import { TidemarkError } from "../errors/errors.js";
import type { Session, SessionClient } from "../session/session.js";
import type { SessionSource } from "./request-session.js";

/** What handlers find on a request. */
export interface AttachedNames {
  readonly redis: string;
  readonly consistency: string;
}

/** One of the sessions of a request, each of another Tidemark. */
export interface AttachedSession {
  readonly source: SessionSource;
  readonly session: Session;
  readonly names: AttachedNames;
  readonly before: AttachedSession | undefined;
  /** What holds the response without the response knowing. */
  readonly head?: object | undefined;
}

/** An object for which Node keeps something, such as its own requests. */
interface Kept {
  readonly _readableState?: unknown;
}

const place = Symbol("tidemark");

/**
 * Of one of Node's requests: a property of its own would cost more, see `PrototypeLayer`, and so would a `WeakMap`, because what
 * refers to its key there outlives every small garbage collection.
 */
interface State {
  [place]?: AttachedSession;
}

/** Of all others. */
const places = new WeakMap<object, AttachedSession>();

function stateOf({ _readableState: state }: Kept): State | undefined {
  return typeof state === "object" && state !== null ? state : undefined;
}

/** Gives `owner` one more session, `mounted`, whose `before` is what was the last one. */
export function attach(owner: object, mounted: AttachedSession): void {
  const state = stateOf(owner);
  if (state === undefined) places.set(owner, mounted);
  else state[place] = mounted;
}

/** What was mounted last on `owner`, or on what it was made of; undefined when no middleware has seen it. */
export function attachedTo(owner: object): AttachedSession | undefined {
  const state = stateOf(owner);
  if (state !== undefined) return state[place];
  for (let one: object | null = owner; one !== null; one = Object.getPrototypeOf(one)) {
    const mounted = places.get(one);
    if (mounted !== undefined) return mounted;
  }
  return undefined;
}

/** The session that `owner` has of `source`, or was given last; undefined when the middleware has not seen it. */
export function sessionOf(owner: object, source?: SessionSource): Session | undefined {
  return sessionAmong(attachedTo(owner), source);
}

/** The same of what was `mounted` last. */
export function sessionAmong(
  mounted: AttachedSession | undefined,
  source?: SessionSource,
): Session | undefined {
  let one = mounted;
  while (one !== undefined && source !== undefined && one.source !== source) one = one.before;
  return one?.session;
}

/** What handlers find by `name` on what has sessions. */
export function accessorOf(name: string): PropertyDescriptor & ThisType<object> {
  return {
    configurable: true,
    get(): Session | SessionClient | undefined {
      return lookUp(this, name);
    },
  };
}

export function lookUp(owner: object, name: string): Session | SessionClient | undefined {
  for (let one = attachedTo(owner); one !== undefined; one = one.before) {
    if (one.names.redis === name) return one.session.redis;
    if (one.names.consistency === name) return one.session;
  }
  return undefined;
}

/** All the sessions of `owner`. Throws for the benefit of `marker` when it has none. */
export function sessionsOf(owner: object, marker: string): readonly Session[] {
  const sessions: Session[] = [];
  for (let one = attachedTo(owner); one !== undefined; one = one.before) sessions.push(one.session);
  if (sessions.length > 0) return sessions;
  const remedy = "mount readYourWrites(tidemark, { secret }) before it";
  throw new TidemarkError("TIDEMARK_INVALID_OPTION", `${marker} found no session: ${remedy}.`);
}
