/** The level a session's reads are made at, and the client that makes them. */

import { describe, expect, it } from "vitest";
import type { Level } from "../../src/consistency/level.js";
import { InvalidOptionError } from "../../src/errors/errors.js";
import { Session, type SessionClient } from "../../src/session/session.js";
import { policyOf } from "../support/stages/usual-policies.js";

function open(): Session {
  return new Session({
    level: "session",
    policyOf,
    ttlMs: 60_000,
    tokens: () => [],
    client: () => {
      throw new Error("no client is needed here");
    },
  });
}

describe("Session.level", () => {
  it("is the initial level until it is set", () => {
    const session = open();
    expect(session.level).toBe("session");
    for (const level of ["strong", "eventual", "session", { maxStalenessMs: 500 }] satisfies Level[]) {
      session.level = level;
      expect(session.level).toEqual(level);
    }
  });

  it("throws for an invalid level, and keeps the previous one", () => {
    const session = open();
    for (const level of ["linearizable", "", undefined, null, 500, { maxStalenessMs: 0 }]) {
      expect(() => Reflect.set(session, "level", level)).toThrow(InvalidOptionError);
    }
    expect(session.level).toBe("session");
  });
});

describe("Session.redis", () => {
  it("makes its client once, on first use", () => {
    const made: Session[] = [];
    const levels: Level[] = [];
    const session = new Session({
      level: "session",
      policyOf,
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

/** A client that has only `at`, the one method that a session calls itself. */
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
