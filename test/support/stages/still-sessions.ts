/** Sessions and tokens made by hand, on a clock that stands still. */

import { vi } from "vitest";
import type { WriteOutcome } from "../../../src/replication/write-outcome.js";
import { Session } from "../../../src/session/session.js";
import { SessionSetup } from "../../../src/session/session-setup.js";
import { encodeToken, type TokenClaims } from "../../../src/session/token.js";
import { endWrite, startWrite } from "./open-writes.js";
import { HostWithoutServers } from "./session-host.js";

export const X = "8371b4fb1155b71f";
export const Y = "c1d5f0aa17e24cf0";
export const start = Date.parse("2026-05-01T12:00:00Z");
const host = new HostWithoutServers();
export const { ttlMs } = host;

/** Stops the clock at `start`; `vi.useRealTimers()` lets it go on. */
export function stopClock(): void {
  vi.useFakeTimers({ now: start });
}

export function sessionOf(...tokens: readonly string[]): Session {
  return new Session(host, new SessionSetup(tokens));
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
