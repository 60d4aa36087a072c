/** What a session requires of the node that answers its reads. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Session, type SessionClient } from "../src/session.js";
import { type Claims, decodeToken, encodeToken } from "../src/token.js";

const X = "8371b4fb1155b71f";
const Y = "c1d5f0aa17e24cf0";
const start = Date.parse("2026-05-01T12:00:00Z");
const ttlMs = 60_000;

beforeEach(() => {
  vi.useFakeTimers({ now: start });
});

afterEach(() => {
  vi.useRealTimers();
});

function noClient(): SessionClient {
  throw new Error("no client is needed here");
}

function sessionOf(...tokens: readonly string[]): Session {
  return new Session({ level: "session", ttlMs, tokens: () => tokens, client: noClient });
}

function tokenOf(claims: Partial<Claims>): string {
  return encodeToken({ issuedAt: Date.now(), pinnedAt: 0, positions: [], ...claims });
}

function at(replid: string, offset: number): { replid: string; offset: number } {
  return { replid, offset };
}

function write(session: Session, end: Parameters<Session["writeEnded"]>[0]): void {
  session.writeStarted();
  session.writeEnded(end);
}

describe("Session with tokens", () => {
  it("requires nothing without any", () => {
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
    expect(session.positions).toEqual([at(X, 77), at(Y, 9)]);
  });

  it("takes the time of issue of the newest", () => {
    const older = tokenOf({ issuedAt: start - 9000, positions: [at(X, 90)] });
    const newer = tokenOf({ issuedAt: start - 1000, positions: [at(X, 77)] });
    expect(sessionOf(older, newer).issuedAt).toBe(start - 1000);
    expect(sessionOf(newer, older).issuedAt).toBe(start - 1000);
  });

  it("counts whatever is not a token as absent", () => {
    const good = tokenOf({ positions: [at(X, 77)] });
    const session = sessionOf("", "garbage", good.slice(1), "💥", good);
    expect(session.positions).toEqual([at(X, 77)]);
  });

  it("counts an expired token as absent, with its pin", () => {
    const expired = tokenOf({ issuedAt: start - ttlMs - 1, pinnedAt: start - 1, positions: [at(X, 77)] });
    const session = sessionOf(expired, tokenOf({ positions: [at(Y, 9)] }));
    expect(session.positions).toEqual([at(Y, 9)]);
    expect(session.pinned).toBe(false);
    const barely = tokenOf({ issuedAt: start - ttlMs, positions: [at(X, 77)] });
    expect(sessionOf(barely).positions).toEqual([at(X, 77)]);
  });

  it("counts a token from the future as issued now, and its pin as made now", () => {
    const ahead = start + 3_600_000;
    const session = sessionOf(tokenOf({ issuedAt: ahead, pinnedAt: ahead, positions: [at(X, 77)] }));
    expect(session.positions).toEqual([at(X, 77)]);
    expect(session.issuedAt).toBe(start);
    expect(session.pinned).toBe(true);
    vi.advanceTimersByTime(ttlMs + 1);
    expect(session.pinned).toBe(false);
  });

  it("asks for them once, and not before they are needed", () => {
    const tokens = vi.fn(() => [tokenOf({ positions: [at(X, 77)] })]);
    const session = new Session({ level: "session", ttlMs, tokens, client: noClient });
    session.level = "strong";
    session.writeStarted();
    expect([session.wrote, session.writing]).toEqual([true, true]);
    expect(session.mayReadFrom({ overAt: undefined })).toBe(true);
    expect(tokens).not.toHaveBeenCalled();
    session.writeEnded(at(X, 70));
    expect(session.positions).toEqual([at(X, 77)]);
    expect([session.issuedAt, session.pinned, session.token() === ""]).toEqual([start, false, false]);
    expect(tokens).toHaveBeenCalledOnce();
  });
});

describe("Session.token", () => {
  it("gives another session the same requirement", () => {
    const session = sessionOf(tokenOf({ positions: [at(Y, 9)] }));
    write(session, at(X, 77));
    const other = sessionOf(session.token());
    expect(other.positions).toEqual([at(Y, 9), at(X, 77)]);
    expect(other.issuedAt).toBe(start);
    expect(other.pinned).toBe(false);
  });

  it("pins to the primary while a write is in flight, and no longer", () => {
    const session = sessionOf();
    session.writeStarted();
    const during = session.token();
    session.writeEnded(at(X, 77));
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

  it("is not older than the pin in it, so that the pin lives as long as it should", () => {
    const session = sessionOf(tokenOf({ issuedAt: start - ttlMs + 5, positions: [at(X, 77)] }));
    write(session, "unknown");
    const token = session.token();
    vi.advanceTimersByTime(ttlMs / 2);
    expect(sessionOf(token).pinned).toBe(true);
  });

  it("hands on the position that stands for what was read from the primary", () => {
    const session = sessionOf();
    session.readAhead(performance.now());
    vi.advanceTimersByTime(1);
    session.anchor(performance.now(), at(X, 90));
    expect(sessionOf(session.token()).positions).toEqual([at(X, 90)]);
  });
});

describe("Session.writeEnded", () => {
  it("requires the position of the write, and never less than before", () => {
    const session = sessionOf();
    for (const offset of [77, 60, 90, 1]) write(session, at(X, offset));
    expect(session.positions).toEqual([at(X, 90)]);
    write(session, at(Y, 5));
    expect(session.positions).toEqual([at(X, 90), at(Y, 5)]);
  });

  it("pins to the primary for the time to live when the position is unknown", () => {
    const session = sessionOf();
    write(session, "unknown");
    expect(session.pinned).toBe(true);
    vi.advanceTimersByTime(ttlMs);
    expect(session.pinned).toBe(true);
    vi.advanceTimersByTime(1);
    expect(session.pinned).toBe(false);
  });

  it("pins anew with every unknown write", () => {
    const session = sessionOf();
    write(session, "unknown");
    vi.advanceTimersByTime(ttlMs - 1);
    write(session, "unknown");
    vi.advanceTimersByTime(ttlMs);
    expect(session.pinned).toBe(true);
  });

  it("requires nothing for a write that no server received", () => {
    const session = sessionOf();
    write(session, "not-sent");
    expect(session.token()).toBe("");
    expect([session.pinned, session.writing]).toEqual([false, false]);
  });

  it("counts writes, so that the first to end does not speak for all", () => {
    const session = sessionOf();
    session.writeStarted();
    session.writeStarted();
    session.writeEnded(at(X, 77));
    expect(session.writing).toBe(true);
    session.writeEnded(at(X, 99));
    expect([session.writing, session.wrote]).toEqual([false, true]);
  });
});

describe("Session.settled", () => {
  it("is undefined when no write is in flight", () => {
    const session = sessionOf();
    expect(session.settled()).toBeUndefined();
    write(session, at(X, 77));
    expect(session.settled()).toBeUndefined();
  });

  it("resolves when the last of the writes has ended, for all who wait", async () => {
    const session = sessionOf();
    const order: string[] = [];
    session.writeStarted();
    session.writeStarted();
    const waits = ["a", "b"].map((name) => session.settled()?.then(() => order.push(name)));
    session.writeEnded(at(X, 77));
    await vi.advanceTimersByTimeAsync(10);
    order.push("first ended");
    session.writeEnded("not-sent");
    await vi.advanceTimersByTimeAsync(0);
    await Promise.all(waits);
    expect(order).toEqual(["first ended", "a", "b"]);
    expect(session.pinned).toBe(false);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("waits on when a write follows the last one at once, as the script does that the server did not know", async () => {
    const session = sessionOf();
    let resolved = false;
    session.writeStarted();
    session.settled()?.then(() => {
      resolved = true;
    });
    session.writeEnded("not-sent");
    session.writeStarted();
    await vi.advanceTimersByTimeAsync(0);
    expect(resolved).toBe(false);
    session.writeEnded(at(X, 78));
    await vi.advanceTimersByTimeAsync(0);
    expect(resolved).toBe(true);
  });

  it("resolves after one second all the same, and pins to the primary", async () => {
    const session = sessionOf();
    let resolved = false;
    session.writeStarted();
    session.settled()?.then(() => {
      resolved = true;
    });
    await vi.advanceTimersByTimeAsync(999);
    expect([resolved, session.pinned]).toEqual([false, false]);
    await vi.advanceTimersByTimeAsync(1);
    expect([resolved, session.pinned]).toEqual([true, true]);
    session.writeEnded(at(X, 77));
    expect([session.pinned, session.writing]).toEqual([true, false]);
    expect(session.positions).toEqual([at(X, 77)]);
  });
});
