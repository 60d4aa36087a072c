/** The requirements that a session with scopes has for its reads after its own writes, without servers. */
import { Command } from "ioredis";
import { describe, expect, it } from "vitest";
import { RuledKeys } from "../../src/commands/touched-keys.js";
import { checkKeyOptions } from "../../src/options/key-options.js";
import type { Position } from "../../src/replication/position.js";
import { Session } from "../../src/session/session.js";
import { SessionSetup } from "../../src/session/session-setup.js";
import { HostWithoutServers } from "../support/stages/session-host.js";
import { at, tokenOf, X } from "../support/stages/still-sessions.js";

const shard = {};

function open(...tokens: readonly string[]): Session {
  const keys = new RuledKeys(checkKeyOptions({ scopes: ["sess:"] }, "").keyRules);
  return new Session(new HostWithoutServers(keys), new SessionSetup(tokens));
}

function write(session: Session, offset: number, name: string, ...args: string[]): void {
  const touched = session.touchedBy(new Command(name, args));
  session.beginWrite(name, touched, shard).end(at(X, offset));
}

/** The positions that a read of `key` requires. */
function requiredBy(session: Session, key: string): readonly Position[] {
  const touched = session.touchedBy(new Command("get", [key]));
  return session
    .progressIn(shard, touched)
    .requirement(session.requirement.requiredIn(touched.scope), touched);
}

describe("a write to keys of several scopes", () => {
  it.each(["a", "b", "sess:a", "sess:b"])("is required by a later read of %s in the same request", (key) => {
    const session = open();
    write(session, 77, "mset", "sess:a", "1", "a", "1");
    expect(requiredBy(session, key)).toEqual([expect.objectContaining({ replid: X, offset: 77 })]);
  });

  it("is required in the next request only by reads of its keys", () => {
    const session = open();
    write(session, 77, "mset", "sess:a", "1", "a", "1");
    const next = open(session.keyedToken());
    expect(["a", "b"].map((key) => requiredBy(next, key).length)).toEqual([1, 0]);
  });
});

it.each([
  ["of unknown keys", "flushall", [], true],
  ["to keys of several scopes", "mset", ["sess:a", "1", "a", "1"], true],
  ["to keys of one scope", "mset", ["sess:a", "1", "sess:b", "1"], false],
])("a write %s joins the scopes into one: %s", (_title, name, args, isJoined) => {
  const session = open();
  write(session, 77, name, ...args);
  const [one, other] = ["sess:a", "a"].map((key) =>
    session.progressIn(shard, session.touchedBy(new Command("get", [key]))),
  );
  expect(one === other).toBe(isJoined);
});

it("a write that is lost together with a later read is no longer required once both losses are reported", () => {
  const session = open(tokenOf({ positions: [{ ...at(X, 2_048), read: true }] }));
  write(session, 1_088, "set", "a", "1");
  for (const lost of session.positions) session.markLost(lost, at(X, 1_000));
  expect(session.positions).toEqual([{ ...at(X, 1_000), read: true }]);
});

describe("the scope of a key", () => {
  const keys = new RuledKeys(checkKeyOptions({ scopes: ["é:", "sess:", "sess:vip:"] }, "").keyRules);

  it.each([
    ["é:1", "é:"],
    ["ë:1", ""],
    ["sess:vip:1", "sess:vip:"],
    ["sess:1", "sess:"],
    ["session", ""],
    ["", ""],
  ])("of %j is %j, as a string and as bytes", (key, scope) => {
    for (const given of [key, Buffer.from(key)])
      expect(keys.touchedBy(new Command("get", [given])).scope).toBe(scope);
  });
});
