/** Sessions and tokens made by hand, on a clock that stands still. */

import { vi } from "vitest";
import type { WriteOutcome } from "../../../src/replication/write-outcome.js";
import { Session, type SessionClient } from "../../../src/session/session.js";
import { encodeToken, type TokenClaims } from "../../../src/session/token.js";
import { endWrite, startWrite } from "./open-writes.js";
import { policyOf } from "./usual-policies.js";

export const X = "8371b4fb1155b71f";
export const Y = "c1d5f0aa17e24cf0";
export const start = Date.parse("2026-05-01T12:00:00Z");
export const ttlMs = 60_000;

/** Stops the clock at `start`; `vi.useRealTimers()` lets it go on. */
export function stopClock(): void {
  vi.useFakeTimers({ now: start });
}

export function noClient(): SessionClient {
  throw new Error("no client is needed here");
}

export function sessionOf(...tokens: readonly string[]): Session {
  return new Session({ level: "session", policyOf, ttlMs, tokens: () => tokens, client: noClient });
}

export function tokenOf(claims: Partial<TokenClaims>): string {
  return encodeToken({ issuedAt: Date.now(), pinnedAt: 0, freshAsOf: 0, positions: [], ...claims });
}

export function at(replid: string, offset: number): { replid: string; offset: number } {
  return { replid, offset };
}

export function write(session: Session, outcome: WriteOutcome): void {
  startWrite(session);
  endWrite(session, outcome);
}
