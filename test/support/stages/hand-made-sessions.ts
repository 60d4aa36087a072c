/** Sessions without any Redis, whose writes a test starts and ends by hand. */

import { AsyncLocalStorage } from "node:async_hooks";
import { mergeConsistency } from "../../../src/consistency/read-policy.js";
import type { SessionSource } from "../../../src/http/request-session.js";
import { Session } from "../../../src/session/session.js";
import { encodeToken } from "../../../src/session/token.js";
import { endWrite as endAt } from "./open-writes.js";
import { policyOf } from "./usual-policies.js";

const replid = "0123456789abcdef";

export class HandMadeSessions implements SessionSource {
  readonly tokenTtlMs = 60_000;
  readonly made: Session[] = [];
  readonly #current = new AsyncLocalStorage<Session>();

  session({
    token,
    level = "session",
    seal,
    monotonicReads,
  }: Parameters<SessionSource["session"]>[0]): Session {
    const session = new Session({
      level: mergeConsistency("session", level),
      tokens: () => token?.() ?? [],
      policyOf,
      ttlMs: this.tokenTtlMs,
      seal,
      anchor: monotonicReads === true ? () => undefined : undefined,
      client: () => {
        throw new Error("a hand-made session has no client");
      },
    });
    this.made.push(session);
    return session;
  }

  run<R>(session: Session, fn: () => R): R {
    return this.#current.run(session, fn);
  }

  get current(): Session | undefined {
    return this.#current.getStore();
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
