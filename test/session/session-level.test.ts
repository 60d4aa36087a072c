/** The level a session's reads are made at, and the client that makes them. */

import { describe, expect, it } from "vitest";
import type { Level } from "../../src/consistency/level.js";
import { InvalidOptionError } from "../../src/errors/errors.js";
import { Session, type SessionClient } from "../../src/session/session.js";
import { SessionSetup } from "../../src/session/session-setup.js";
import { HostWithoutServers } from "../support/stages/session-host.js";
import { sessionOf } from "../support/stages/still-sessions.js";

describe("Session.level", () => {
  it("is the initial level until it is set", () => {
    const session = sessionOf();
    expect(session.level).toBe("session");
    for (const level of ["strong", "eventual", "session", { maxStalenessMs: 500 }] satisfies Level[]) {
      session.level = level;
      expect(session.level).toEqual(level);
    }
  });

  it("throws for an invalid level, and keeps the previous one", () => {
    const session = sessionOf();
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
    class Host extends HostWithoutServers {
      override clientFor(of: Session): SessionClient {
        made.push(of);
        return clientThat((level) => levels.push(level));
      }
    }
    const session = new Session(new Host(), new SessionSetup());
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
