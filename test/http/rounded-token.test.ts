/** Tokens that many responses share, and when they may be discarded. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { OutgoingToken } from "../../src/http/carriers/carrier.js";
import { requestSessions } from "../../src/http/request-session.js";
import { isContained, roundedToken } from "../../src/http/rounded-token.js";
import { WrittenKeys } from "../../src/replication/written-keys.js";
import { decodeToken, encodeToken, type TokenClaims } from "../../src/session/token.js";
import { HandMadeSessions } from "../support/stages/hand-made-sessions.js";

const ttlMs = 60_000;
const periodMs = ttlMs / 4;
const start = 1_800_000_000_000;
const [one, other] = ["0123456789abcdef", "fedcba9876543210"];

beforeEach(() => {
  vi.useFakeTimers({ now: start + 5_000, toFake: ["Date"] });
});

afterEach(() => {
  vi.useRealTimers();
});

function tokenOf(claims: Partial<TokenClaims>): string {
  return encodeToken({ issuedAt: Date.now(), positions: [], pinnedAt: 0, freshAsOf: 0, ...claims });
}

function rounded(claims: Partial<TokenClaims>, level: number): TokenClaims | undefined {
  return decodeToken(roundedToken(tokenOf(claims), level, ttlMs));
}

describe("a rounded token", () => {
  it.each([
    [0, 5_000, 5_000],
    [1, 5_000, 5_120],
    [1, 5_120, 5_120],
    [2, 5_000, 8_192],
    [3, 5_000, 16_384],
    [99, 5_000, 1024 * 4 ** 15],
    [99, Number.MAX_SAFE_INTEGER - 1, Number.MAX_SAFE_INTEGER],
  ])("of level %i and offset %i requires a slightly larger offset: %i", (level, offset, expected) => {
    const claims = rounded({ positions: [{ replid: one, offset }] }, level);
    expect(claims?.positions[0]?.offset).toBe(expected);
  });

  it("is the same for all writes up to its offset, whatever order its shards were written in", () => {
    const text = (first: number, second: number, isTurned: boolean) => {
      const positions = [
        { replid: one, offset: first },
        { replid: other, offset: second },
      ];
      return roundedToken(tokenOf({ positions: isTurned ? positions.reverse() : positions }), 1, ttlMs);
    };
    const before = text(1, 1025, false);
    vi.setSystemTime(start + 14_000);
    expect(text(1024, 2048, true)).toBe(before);
    expect(text(1025, 2048, false)).not.toBe(before);
  });

  it("is valid for its whole lifetime, whenever it is sent", () => {
    const claims = rounded({ pinnedAt: Date.now(), freshAsOf: Date.now() + periodMs }, 1);
    const end = start + periodMs;
    expect(claims).toMatchObject({ issuedAt: end, pinnedAt: end, freshAsOf: end + periodMs });
  });

  it("proves no write lost, because no write is known to be at its offset", () => {
    expect(rounded({ positions: [{ replid: one, offset: 7 }] }, 1)?.positions).toEqual([
      { replid: one, offset: 1024, read: true },
    ]);
  });

  it("is not made from an empty token", () => {
    expect(roundedToken("", 1, ttlMs)).toBe("");
  });
});

describe("the tokens that a request carries", () => {
  /** The token that a carrier gets with the response, after `act` has changed the session. */
  function told(
    texts: readonly string[],
    act: (sessions: HandMadeSessions) => void = () => {},
  ): OutgoingToken {
    const sessions = new HandMadeSessions();
    const outgoing: OutgoingToken[] = [];
    const carrier = {
      serverSide: true,
      read: () => texts,
      write: (_request: object, _response: object, token: OutgoingToken) => void outgoing.push(token),
    };
    const { carry, session } = requestSessions(sessions, { carrier })({ headers: {} });
    session.token();
    act(sessions);
    carry({ getHeader: () => undefined, setHeader: () => {} });
    const [token] = outgoing;
    if (token === undefined) throw new Error("the carrier was not called");
    return token;
  }

  const exact = () => tokenOf({ positions: [{ replid: one, offset: 100 }] });
  const shared = () => roundedToken(exact(), 1, ttlMs);

  it("are merged at once if exact, and if rounded when no response can send them any more", () => {
    const texts = [exact(), shared()];
    expect(told(texts).contained()).toEqual(new Set([texts[0]]));
    expect(told(texts).inForce()).toEqual(new Set(texts));
    vi.setSystemTime(start + periodMs + 1);
    expect(told(texts).contained()).toEqual(new Set(texts));
  });

  it("are not merged if rounded and stronger than the session's requirement", () => {
    const text = shared();
    vi.setSystemTime(start + periodMs + 1);
    const givenUp = told([text], ({ made: [session] }) => {
      session?.requirement.replaceUnknown({ replid: one, offset: 500 }, () => false);
    });
    expect(givenUp.contained()).toEqual(new Set());
    expect(givenUp.inForce()).toEqual(new Set([text]));
  });

  it("are merged and no longer in force after they have expired", () => {
    const texts = [exact(), shared()];
    vi.setSystemTime(start + periodMs + ttlMs + 1);
    expect(told(texts).contained()).toEqual(new Set(texts));
    expect(told(texts).inForce()).toEqual(new Set());
  });

  it("are read up to a limit of 180, and the session is pinned if there are more", () => {
    const texts = Array.from({ length: 181 }, (_, n) => tokenOf({ positions: [{ replid: one, offset: n }] }));
    const pinnedBy = (brought: readonly string[]) => {
      let isPinned = false;
      told(brought, ({ made: [session] }) => {
        isPinned = session?.pinned === true;
      });
      return isPinned;
    };
    expect(pinnedBy(texts.slice(1))).toBe(false);
    expect(pinnedBy([...texts.slice(1), ...texts.slice(1)])).toBe(false);
    expect(pinnedBy(texts)).toBe(true);
  });
});

describe("a rounded token that names keys", () => {
  const issued = (keys: WrittenKeys | undefined, offset = 300): TokenClaims => ({
    issuedAt: start,
    positions: [{ replid: one, offset, ...(keys === undefined ? {} : { keys }) }],
    pinnedAt: 0,
    freshAsOf: 0,
  });
  const brought = issued(new WrittenKeys(50, [1], [300]));

  it.each<[string, TokenClaims, boolean]>([
    ["one that names the same keys", brought, true],
    ["one with a later write", issued(new WrittenKeys(50, [1, 2], [300, 400]), 400), true],
    ["one that requires everything", issued(undefined), true],
    ["one with a lower floor", issued(new WrittenKeys(40, [1], [300])), false],
    ["one that names another key", issued(new WrittenKeys(50, [2], [300])), false],
    ["one with a lower offset", issued(undefined, 299), false],
  ])("may be discarded or not when there is %s", (_title, whole, may) => {
    vi.setSystemTime(start + 20_000);
    expect(isContained(brought, whole)).toBe(may);
  });
});
