/** How a session counts its writes, and who waits for them. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { endWrite, startWrite } from "../support/stages/open-writes.js";
import { at, sessionOf, stopClock, ttlMs, write, X, Y } from "../support/stages/still-sessions.js";

beforeEach(stopClock);

afterEach(() => {
  vi.useRealTimers();
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

  it("pins again with every unknown write", () => {
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

  it("counts writes, so that a session keeps writing until all have ended", () => {
    const session = sessionOf();
    startWrite(session);
    startWrite(session);
    endWrite(session, at(X, 77));
    expect(session.writing).toBe(true);
    endWrite(session, at(X, 99));
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

  it("resolves for every waiter when the last write has ended", async () => {
    const session = sessionOf();
    const order: string[] = [];
    startWrite(session);
    startWrite(session);
    const waits = ["a", "b"].map((name) => session.settled()?.then(() => order.push(name)));
    endWrite(session, at(X, 77));
    await vi.advanceTimersByTimeAsync(10);
    order.push("first ended");
    endWrite(session, "not-sent");
    await vi.advanceTimersByTimeAsync(0);
    await Promise.all(waits);
    expect(order).toEqual(["first ended", "a", "b"]);
    expect(session.pinned).toBe(false);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("keeps waiting when a write directly follows the last one, as after NOSCRIPT", async () => {
    const session = sessionOf();
    let resolved = false;
    startWrite(session);
    session.settled()?.then(() => {
      resolved = true;
    });
    endWrite(session, "not-sent");
    startWrite(session);
    await vi.advanceTimersByTimeAsync(0);
    expect(resolved).toBe(false);
    endWrite(session, at(X, 78));
    await vi.advanceTimersByTimeAsync(0);
    expect(resolved).toBe(true);
  });

  it("resolves after one second at the latest, and pins to the primary", async () => {
    const session = sessionOf();
    let resolved = false;
    startWrite(session);
    session.settled()?.then(() => {
      resolved = true;
    });
    await vi.advanceTimersByTimeAsync(999);
    expect([resolved, session.pinned]).toEqual([false, false]);
    await vi.advanceTimersByTimeAsync(1);
    expect([resolved, session.pinned]).toEqual([true, true]);
    endWrite(session, at(X, 77));
    expect([session.pinned, session.writing]).toEqual([true, false]);
    expect(session.positions).toEqual([at(X, 77)]);
  });
});

describe("Session.onWrite", () => {
  it("calls back once for writes that begin together afterwards, and for none that began before", () => {
    const session = sessionOf();
    const late = vi.fn();
    startWrite(session);
    session.onWrite({ writeBegins: late });
    endWrite(session, at(X, 77));
    expect(late).toHaveBeenCalledTimes(0);
    startWrite(session);
    startWrite(session);
    expect(late).toHaveBeenCalledTimes(1);
    endWrite(session, at(X, 78));
    endWrite(session, "unknown");
    startWrite(session);
    expect(late).toHaveBeenCalledTimes(2);
  });
});
