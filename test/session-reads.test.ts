/** What a session's own reads require of the reads after them, and the level they are made at. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { InvalidOptionError } from "../src/errors.js";
import type { Level } from "../src/level.js";
import type { Position } from "../src/position.js";
import { Session, type SessionClient } from "../src/session.js";

const X = "8371b4fb1155b71f";
const Y = "c1d5f0aa17e24cf0";
const one = { name: "a connection to one replica", overAt: undefined };
const other = { name: "a connection to another", overAt: undefined };

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

function open(): Session {
  return new Session({
    level: "session",
    ttlMs: 60_000,
    tokens: () => [],
    client: () => {
      throw new Error("no client is needed here");
    },
  });
}

/** A session that has written up to `position` and has then been answered by the primary. */
function answeredByPrimary(position: Position): Session {
  const session = open();
  session.writeStarted();
  session.writeEnded(position);
  session.readAhead(performance.now());
  return session;
}

describe("Session.mayReadFrom", () => {
  it("lets every replica answer the first read", () => {
    const session = open();
    expect([session.mayReadFrom(one), session.mayReadFrom(other)]).toEqual([true, true]);
  });

  it("keeps to one connection from the moment a read leaves for it", () => {
    const session = open();
    session.readFrom(one);
    expect([session.mayReadFrom(one), session.mayReadFrom(other)]).toEqual([true, false]);
    session.readBy(one);
    expect([session.mayReadFrom(one), session.mayReadFrom(other)]).toEqual([true, false]);
  });

  it("keeps to the first of two connections that reads left for", () => {
    const session = open();
    session.readFrom(one);
    session.readFrom(other);
    expect([session.mayReadFrom(one), session.mayReadFrom(other)]).toEqual([true, false]);
  });

  it("lets no replica answer once two have, because they are in no order", () => {
    const session = open();
    session.readFrom(one);
    session.readBy(other);
    expect([session.mayReadFrom(one), session.mayReadFrom(other)]).toEqual([false, false]);
    expect(session.ahead).toBe(true);
  });

  it("lets no replica answer once the primary has", () => {
    const session = open();
    session.readFrom(one);
    session.readAhead(performance.now());
    session.readFrom(one);
    expect([session.mayReadFrom(one), session.mayReadFrom(other)]).toEqual([false, false]);
  });

  it("does not hold a late answer of the one connection against it", () => {
    const session = open();
    session.readFrom(one);
    session.readBy(one);
    session.readBy(one);
    expect(session.ahead).toBe(false);
  });
});

describe("Session.anchor", () => {
  it("lets every replica that covers the position answer again", () => {
    const session = answeredByPrimary({ replid: X, offset: 77 });
    vi.advanceTimersByTime(1);
    session.anchor(performance.now(), { replid: X, offset: 90 });
    expect(session.positions).toEqual([{ replid: X, offset: 90 }]);
    expect([session.ahead, session.mayReadFrom(one), session.mayReadFrom(other)]).toEqual([
      false,
      true,
      true,
    ]);
  });

  it("takes the place of positions that cannot be compared with it", () => {
    const session = answeredByPrimary({ replid: X, offset: 77 });
    vi.advanceTimersByTime(1);
    session.anchor(performance.now(), { replid: Y, offset: 5 });
    expect(session.positions).toEqual([{ replid: Y, offset: 5 }]);
  });

  it("does not stand for a read that was made after it was asked for, or at the same time", () => {
    const session = answeredByPrimary({ replid: X, offset: 77 });
    const readAt = performance.now();
    for (const at of [readAt - 1, readAt]) session.anchor(at, { replid: X, offset: 90 });
    expect(session.positions).toEqual([{ replid: X, offset: 77 }]);
    expect(session.ahead).toBe(true);
  });

  it("stands for the last of several reads only when it was asked for after that one", () => {
    const session = answeredByPrimary({ replid: X, offset: 77 });
    const first = performance.now();
    session.readAhead(first + 10);
    session.readAhead(first + 5);
    session.anchor(first + 7, { replid: X, offset: 90 });
    expect(session.ahead).toBe(true);
    session.anchor(first + 11, { replid: X, offset: 90 });
    expect(session.ahead).toBe(false);
  });

  it("asks nothing of a session that one replica or nobody has answered so far", () => {
    const session = open();
    session.anchor(performance.now() + 1, { replid: X, offset: 90 });
    expect(session.positions).toEqual([]);
    session.readFrom(one);
    session.readBy(one);
    session.anchor(performance.now() + 1, { replid: X, offset: 90 });
    expect(session.positions).toEqual([]);
    expect(session.mayReadFrom(other)).toBe(false);
  });

  it("gives up a position that is ahead of the primary in its own history, which cannot be", () => {
    const session = answeredByPrimary({ replid: X, offset: 77 });
    vi.advanceTimersByTime(1);
    session.anchor(performance.now(), { replid: X, offset: 60 });
    expect(session.positions).toEqual([{ replid: X, offset: 60 }]);
  });

  it("holds a replica's late answer from before it against all replicas", () => {
    const session = answeredByPrimary({ replid: X, offset: 77 });
    vi.advanceTimersByTime(1);
    session.anchor(performance.now(), { replid: X, offset: 90 });
    session.readFrom(other);
    session.readBy(one);
    expect([session.ahead, session.mayReadFrom(other)]).toEqual([true, false]);
  });
});

describe("Session.level", () => {
  it("is that of its making until it is set", () => {
    const session = open();
    expect(session.level).toBe("session");
    for (const level of ["strong", "eventual", "session", { maxStalenessMs: 500 }] satisfies Level[]) {
      session.level = level;
      expect(session.level).toEqual(level);
    }
  });

  it("throws for anything that is not a level, and stays as it was", () => {
    const session = open();
    for (const level of ["linearizable", "", undefined, null, 500, { maxStalenessMs: 0 }]) {
      expect(() => Reflect.set(session, "level", level)).toThrow(InvalidOptionError);
    }
    expect(session.level).toBe("session");
  });
});

describe("Session.redis", () => {
  it("makes its client once, when it is first used", () => {
    const made: Session[] = [];
    const levels: Level[] = [];
    const session = new Session({
      level: "session",
      ttlMs: 60_000,
      tokens: () => [],
      client: (of) => {
        made.push(of);
        return clientThat((level) => levels.push(level));
      },
    });
    expect(made).toEqual([]);
    expect(session.redis).toBe(session.redis);
    session.at("strong");
    expect(made).toEqual([session]);
    expect(levels).toEqual(["strong"]);
  });
});

/** Nothing of a client but `at`, which is all that a session calls itself. */
function clientThat(at: (level: Level) => unknown): SessionClient {
  const client: SessionClient = Object.create(null, {
    at: {
      value: (level: Level) => {
        at(level);
        return client;
      },
    },
  });
  return client;
}
