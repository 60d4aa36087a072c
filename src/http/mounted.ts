/** The sessions of a request, by what a framework hands to its handlers. */
import { TidemarkError } from "../errors.js";
import type { Session, SessionClient } from "../session.js";
import type { SessionSource } from "./request-session.js";

/** What handlers find on a request. */
export interface Names {
  readonly redis: string;
  readonly consistency: string;
}

/** One of the sessions of a request, each of another Tidemark. */
export interface Mounted {
  readonly source: SessionSource;
  readonly session: Session;
  readonly names: Names;
  readonly before: Mounted | undefined;
}

/** Not a property of the request, which would cost more: see `Layer`. */
const lastMounted = new WeakMap<object, Mounted>();

/** Gives `owner` one more session. */
export function mount(owner: object, source: SessionSource, session: Session, names: Names): void {
  lastMounted.set(owner, { source, session, names, before: lastMounted.get(owner) });
}

/** What was mounted last on `owner`, or on what it was made of; undefined when no middleware has seen it. */
export function mountedOn(owner: object): Mounted | undefined {
  for (let one: object | null = owner; one !== null; one = Object.getPrototypeOf(one)) {
    const mounted = lastMounted.get(one);
    if (mounted !== undefined) return mounted;
  }
  return undefined;
}

/** The session that `owner` has of `source`, or was given last; undefined when the middleware has not seen it. */
export function sessionOf(owner: object, source?: SessionSource): Session | undefined {
  let one = mountedOn(owner);
  while (one !== undefined && source !== undefined && one.source !== source) one = one.before;
  return one?.session;
}

/** What handlers find by `name` on what has sessions. */
export function accessorOf(name: string): PropertyDescriptor & ThisType<object> {
  return {
    configurable: true,
    get(): Session | SessionClient | undefined {
      return named(this, name);
    },
  };
}

export function named(owner: object, name: string): Session | SessionClient | undefined {
  for (let one = mountedOn(owner); one !== undefined; one = one.before) {
    if (one.names.redis === name) return one.session.redis;
    if (one.names.consistency === name) return one.session;
  }
  return undefined;
}

/** All the sessions of `owner`. Throws for the benefit of `marker` when it has none. */
export function sessionsOf(owner: object, marker: string): readonly Session[] {
  const sessions: Session[] = [];
  for (let one = mountedOn(owner); one !== undefined; one = one.before) sessions.push(one.session);
  if (sessions.length > 0) return sessions;
  const remedy = "mount readYourWrites(tidemark, { secret }) before it";
  throw new TidemarkError("TIDEMARK_INVALID_OPTION", `${marker} found no session: ${remedy}.`);
}
