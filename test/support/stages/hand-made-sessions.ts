/** Sessions without any Redis, whose writes a test starts and ends by hand. */

import { AsyncLocalStorage } from "node:async_hooks";
import type { SessionSource } from "../../../src/http/request-session.js";
import { Session } from "../../../src/session/session.js";
import { type SessionOptions, SessionSetup } from "../../../src/session/session-setup.js";
import { encodeToken } from "../../../src/session/token.js";
import { endWrite as endAt } from "./open-writes.js";
import { HostWithoutServers } from "./session-host.js";

const replid = "0123456789abcdef";

/** The session of a request, and that of other sessions that the request runs in. */
interface Running {
  readonly owner: HandMadeSessions;
  readonly session: Session;
  readonly outer: Running | undefined;
}

/** One for all tests, because on Node 20 each storage that was ever used slows down every later promise. */
const storage = new AsyncLocalStorage<Running>();

export class HandMadeSessions implements SessionSource {
  readonly made: Session[] = [];
  readonly #host = new HostWithoutServers();
  readonly tokenTtlMs = this.#host.ttlMs;

  session(options: SessionOptions): Session {
    const session = new Session(this.#host, SessionSetup.of(options));
    this.made.push(session);
    return session;
  }

  run<R>(session: Session, fn: () => R): R {
    return storage.run({ owner: this, session, outer: storage.getStore() }, fn);
  }

  get current(): Session | undefined {
    let running = storage.getStore();
    while (running !== undefined && running.owner !== this) running = running.outer;
    return running?.session;
  }
}

/** Ends the write of `session` that was started first, at `offset` of the one history there is. */
export function endWrite(session: Session, offset: number): void {
  endAt(session, { replid, offset });
}

/** An unsealed token that requires `offset` of the same history. */
export function tokenAt(offset: number): string {
  return encodeToken({ issuedAt: Date.now(), positions: [{ replid, offset }], pinnedAt: 0, freshAsOf: 0 });
}
