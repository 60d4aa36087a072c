/** The requirements that a session has for the node that answers its reads. */

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { anyKey } from "../../src/commands/touched-keys.js";
import { Session } from "../../src/session/session.js";
import { SessionSetup } from "../../src/session/session-setup.js";
import { decodeToken, unknownWrite } from "../../src/session/token.js";
import { endWrite, startWrite } from "../support/stages/open-writes.js";
import { HostWithoutServers } from "../support/stages/session-host.js";
import {
  at,
  sessionOf,
  start,
  stopClock,
  tokenOf,
  ttlMs,
  write,
  X,
  Y,
} from "../support/stages/still-sessions.js";

beforeEach(stopClock);

afterEach(() => {
  vi.useRealTimers();
});

describe("Session with tokens", () => {
  it("requires nothing without a token", () => {
    const session = sessionOf();
    expect(session.positions).toEqual([]);
    expect(session.pinned).toBe(false);
    expect(session.token()).toBe("");
  });

  it("requires of several tokens the largest offset of each history", () => {
    const session = sessionOf(
      tokenOf({ positions: [at(X, 50), at(Y, 9)] }),
      tokenOf({ positions: [at(X, 77)] }),
      tokenOf({ positions: [at(X, 60), at(Y, 8)] }),
    );
    expect(session.positions).toEqual([at(Y, 9), at(X, 77)]);
  });

  it("takes the time of issue of the newest token", () => {
    const older = tokenOf({ issuedAt: start - 9000, positions: [at(X, 90)] });
    const newer = tokenOf({ issuedAt: start - 1000, positions: [at(X, 77)] });
    expect(sessionOf(older, newer).requirement.issuedAt).toBe(start - 1000);
    expect(sessionOf(newer, older).requirement.issuedAt).toBe(start - 1000);
  });

  it("requires the primary's data as of the latest freshAsOf, and passes that on until it expires", () => {
    const session = sessionOf(tokenOf({ freshAsOf: start + 900 }), tokenOf({ freshAsOf: start + 400 }));
    expect(session.requirement.freshAsOf).toBe(start + 900);
    expect(decodeToken(session.token())).toMatchObject({ freshAsOf: start + 900, positions: [] });
    vi.advanceTimersByTime(900 + ttlMs);
    expect(session.requirement.freshAsOf).toBe(start + 900);
    vi.advanceTimersByTime(1);
    expect([session.requirement.freshAsOf, session.token()]).toEqual([0, ""]);
    expect(sessionOf(tokenOf({ positions: [at(X, 77)] })).requirement.freshAsOf).toBe(0);
  });

  it("treats an invalid token as absent", () => {
    const good = tokenOf({ positions: [at(X, 77)] });
    const session = sessionOf("", "garbage", good.slice(1), "💥", good);
    expect(session.positions).toEqual([at(X, 77)]);
  });

  it("treats an expired token as absent, with its pin", () => {
    const expired = tokenOf({ issuedAt: start - ttlMs - 1, pinnedAt: start - 1, positions: [at(X, 77)] });
    const session = sessionOf(expired, tokenOf({ positions: [at(Y, 9)] }));
    expect(session.positions).toEqual([at(Y, 9)]);
    expect(session.pinned).toBe(false);
    const barely = tokenOf({ issuedAt: start - ttlMs, positions: [at(X, 77)] });
    expect(sessionOf(barely).positions).toEqual([at(X, 77)]);
  });

  it("treats a token as absent once it has expired, although it was valid when it came before", () => {
    const token = tokenOf({ positions: [at(X, 77)] });
    expect(sessionOf(token).positions).toEqual([at(X, 77)]);
    vi.setSystemTime(start + ttlMs + 1);
    expect(sessionOf(token).positions).toEqual([]);
  });

  it("treats a token from the near future, and its pin, as issued now", () => {
    const ahead = start + ttlMs;
    const session = sessionOf(tokenOf({ issuedAt: ahead, pinnedAt: ahead, positions: [at(X, 77)] }));
    expect(session.positions).toEqual([at(X, 77)]);
    expect(session.requirement.issuedAt).toBe(start);
    expect(session.pinned).toBe(true);
    vi.advanceTimersByTime(ttlMs + 1);
    expect(session.pinned).toBe(false);
  });

  it.each([
    ["a millisecond too far in the future", start + ttlMs + 1],
    ["ten years in the future", start + 10 * 365 * 86_400_000],
    ["the latest moment that a token can hold", Number.MAX_SAFE_INTEGER],
  ])("trusts nothing in a token from the future, %s, except that a write happened", (_what, issuedAt) => {
    const future = { issuedAt, freshAsOf: issuedAt, positions: [at(X, 77)] };
    const session = sessionOf(tokenOf(future));
    expect([session.positions, session.pinned, session.requirement.freshAsOf]).toEqual([[], true, 0]);
    const next = sessionOf(session.token());
    expect([next.positions, next.pinned]).toEqual([[], true]);
    vi.advanceTimersByTime(ttlMs + 1);
    expect([next.pinned, sessionOf(session.token()).pinned]).toEqual([false, false]);
  });

  it("reads its tokens once, and only when it needs them", () => {
    const tokens = vi.fn(() => [tokenOf({ positions: [at(X, 77)] })]);
    const session = new Session(new HostWithoutServers(), new SessionSetup(tokens));
    session.level = "strong";
    startWrite(session);
    expect([session.wrote, session.writing]).toEqual([true, true]);
    expect(session.progressIn({}, anyKey).mayReadFrom({ endedAt: undefined })).toBe(true);
    expect(tokens).not.toHaveBeenCalled();
    endWrite(session, at(X, 70));
    expect(session.positions).toEqual([at(X, 77)]);
    expect([session.requirement.issuedAt, session.pinned, session.token() === ""]).toEqual([
      start,
      false,
      false,
    ]);
    expect(tokens).toHaveBeenCalledOnce();
  });
});

describe("Session.identity", () => {
  it("is the newest token, or the session itself without a token", () => {
    const older = tokenOf({ issuedAt: start - 9000, positions: [at(X, 90)] });
    const newer = tokenOf({ issuedAt: start - 1000, positions: [at(X, 77)] });
    expect([sessionOf(older, newer).identity, sessionOf(newer, older).identity]).toEqual([newer, newer]);
    const stranger = sessionOf();
    expect(stranger.identity).toBe(stranger);
  });

  it("is the same for all sessions with unreadable tokens, at any time", () => {
    const one = sessionOf(unknownWrite());
    expect(one.pinned).toBe(true);
    vi.advanceTimersByTime(5);
    const other = sessionOf(unknownWrite());
    expect(other.pinned).toBe(true);
    expect(other.identity).toBe(one.identity);
  });

  it("is the readable token when another token is unreadable", () => {
    const token = tokenOf({ issuedAt: start - 1000, positions: [at(X, 77)] });
    expect(sessionOf(token, unknownWrite()).identity).toBe(token);
    expect(sessionOf(unknownWrite(), token).identity).toBe(token);
  });

  it("keeps a session with an unreadable token pinned for the lifetime of tokens", () => {
    const session = sessionOf(unknownWrite());
    expect(session.pinned).toBe(true);
    vi.advanceTimersByTime(ttlMs);
    expect(session.pinned).toBe(true);
    vi.advanceTimersByTime(1);
    expect([session.pinned, session.token()]).toEqual([false, ""]);
  });
});

describe("Session.token", () => {
  it("gives another session the same requirement", () => {
    const session = sessionOf(tokenOf({ positions: [at(Y, 9)] }));
    write(session, at(X, 77));
    const other = sessionOf(session.token());
    expect(other.positions).toEqual([at(Y, 9), at(X, 77)]);
    expect(other.requirement.issuedAt).toBe(start);
    expect(other.pinned).toBe(false);
  });

  it("pins to the primary only while a write is in flight", () => {
    const session = sessionOf();
    startWrite(session);
    const during = session.token();
    endWrite(session, at(X, 77));
    expect(sessionOf(during).pinned).toBe(true);
    expect(sessionOf(session.token()).pinned).toBe(false);
  });

  it("carries a pin until it expires", () => {
    const session = sessionOf();
    write(session, "unknown");
    vi.advanceTimersByTime(ttlMs);
    expect(decodeToken(session.token())?.pinnedAt).toBe(start);
    vi.advanceTimersByTime(1);
    expect(session.token()).toBe("");
  });

  it("is at least as new as its pin, so that the pin lives as long as it should", () => {
    const session = sessionOf(tokenOf({ issuedAt: start - ttlMs + 5, positions: [at(X, 77)] }));
    write(session, "unknown");
    const token = session.token();
    vi.advanceTimersByTime(ttlMs / 2);
    expect(sessionOf(token).pinned).toBe(true);
  });
});

describe("Session.progressIn", () => {
  it("keeps the progress in each shard apart", () => {
    const session = sessionOf();
    const [first, second] = [{}, {}];
    const reader = { endedAt: undefined };
    session.progressIn(first, anyKey).readAhead(0);
    session.progressIn(second, anyKey).readFrom(reader);
    expect([session.progressIn(first, anyKey).ahead, session.progressIn(second, anyKey).ahead]).toEqual([
      true,
      false,
    ]);
    expect(session.progressIn(first, anyKey)).toBe(session.progressIn(first, anyKey));
    expect(session.progressIn(second, anyKey).mayReadFrom({ endedAt: undefined })).toBe(false);
  });
});

describe("SessionRequirement.replaceUnknown", () => {
  it("replaces positions of unknown histories with the given one", () => {
    const session = sessionOf(tokenOf({ positions: [at(X, 77), at(Y, 9)] }));
    expect(session.positions).toHaveLength(2);
    session.requirement.replaceUnknown(at(Y, 90), ({ replid }) => replid === Y);
    expect(session.positions).toEqual([at(Y, 9), { ...at(Y, 90), read: true }]);
  });

  it("lets the next write replace the given position, which was no write", () => {
    const session = sessionOf(tokenOf({ positions: [at(X, 77)] }));
    expect(session.positions).toHaveLength(1);
    session.requirement.replaceUnknown(at(Y, 90), () => false);
    expect(sessionOf(session.token()).positions).toEqual([{ ...at(Y, 90), read: true }]);
    write(session, at(Y, 90));
    expect(session.positions).toEqual([at(Y, 90)]);
  });

  it("leaves a session unchanged when all its positions are known", () => {
    const session = sessionOf(tokenOf({ positions: [at(X, 77)] }));
    const before = session.positions;
    session.requirement.replaceUnknown(at(X, 90), () => true);
    expect(session.positions).toBe(before);
  });
});

describe("Session.markLost", () => {
  it("continues with the surviving data, and sends a new token to the user", () => {
    const session = sessionOf(tokenOf({ positions: [at(X, 77), at(Y, 9)] }));
    const [lost = at(X, 0)] = session.positions;
    expect(session.wrote).toBe(false);
    session.markLost(lost, at(X, 50));
    expect(session.positions).toEqual([at(Y, 9), { ...at(X, 50), read: true }]);
    expect(session.wrote).toBe(true);
  });
});
