/** Options about keys, and the length of tokens that name keys. */
import { describe, expect, it } from "vitest";
import { Keyring } from "../../src/http/keyring.js";
import { Tidemark, type TidemarkOptions } from "../../src/index.js";
import type { Position } from "../../src/replication/position.js";
import { WrittenKeys } from "../../src/replication/written-keys.js";
import { decodeToken, encodeToken } from "../../src/session/token.js";
import { seeded } from "../support/load/seeded.js";

function refusal(options: Partial<TidemarkOptions>): string {
  try {
    new Tidemark({
      primary: "redis://127.0.0.1:1",
      replicas: [],
      redis: { lazyConnect: true },
      ...options,
    } as TidemarkOptions).close();
  } catch (error) {
    return String(error);
  }
  return "taken";
}

describe("an option about keys", () => {
  it.each<[Record<string, unknown>, RegExp]>([
    [{ scopes: "sess:" }, /scopes: got a string\. Pass a list of prefixes/],
    [{ scopes: [""] }, /scopes\[0\]: .*Pass the beginning of the keys/],
    [{ scopes: ["sess:", 7] }, /scopes\[1\]: got 7/],
    [{ untracked: "views:" }, /untracked: got a string\. Pass a list of prefixes/],
    [{ untracked: [null] }, /untracked\[0\]: got null/],
    [{ scriptsDeclareKeys: "yes" }, /scriptsDeclareKeys: got "yes"\. Pass true or false/],
    [{ keysPerToken: 33 }, /keysPerToken: got 33\. Pass a whole number from 0 to 32/],
    [{ keysPerToken: -1 }, /keysPerToken: got -1/],
    [{ keysPerToken: 1.5 }, /keysPerToken: got 1.5/],
    [{ scope: ["sess:"] }, /there is no option "scope"\. Did you mean "scopes"/],
  ])("is refused with a remedy: %j", (options, message) => {
    expect(refusal(options)).toMatch(message);
  });

  it.each<[Record<string, unknown>]>([
    [{ scopes: [], untracked: [], keysPerToken: 0 }],
    [{ scopes: ["cart:"], untracked: () => false, scriptsDeclareKeys: true, keysPerToken: 32 }],
  ])("is accepted: %j", (options) => {
    expect(refusal(options)).toBe("taken");
  });
});

/** A position of a busy primary, of which so many keys were written within a megabyte of replication. */
function busyPosition(random: () => number, keys: number): Position {
  const offset = 2 ** 40 + Math.floor(random() * 2 ** 40);
  let written = new WrittenKeys(offset - 2 ** 21, [], []);
  for (let n = 0; n < keys; n += 1)
    written = written.with([Math.floor(random() * 65_536)], offset - Math.floor(random() * 2 ** 20), 32);
  return { replid: "0123456789abcdef", offset, keys: written };
}

describe("a token that names keys", () => {
  const claims = (position: Position) => ({
    issuedAt: 1_790_000_000_000,
    positions: [position],
    pinnedAt: 0,
    freshAsOf: 0,
  });

  it("survives encoding and decoding", () => {
    const random = seeded(7);
    for (let n = 0; n < 500; n += 1) {
      const whole = claims(busyPosition(random, Math.floor(random() * 33)));
      expect(decodeToken(encodeToken(whole))).toEqual(whole);
    }
  });

  it("has at most 120 characters when encrypted, for one shard and the default of 8 keys", () => {
    const random = seeded(11);
    const keyring = new Keyring("a secret of this test");
    const lengths = Array.from(
      { length: 200 },
      () => keyring.seal(encodeToken(claims(busyPosition(random, 8)), 8)).length,
    );
    expect(Math.max(...lengths)).toBeLessThanOrEqual(120);
  });

  it("leaves the oldest keys out when there are too many, and requires every write up to them", () => {
    const position = {
      replid: "0123456789abcdef",
      offset: 300,
      keys: new WrittenKeys(0, [1, 2, 3], [100, 200, 300]),
    };
    const keys = decodeToken(encodeToken(claims(position), 2))?.positions[0]?.keys;
    expect(keys).toEqual(new WrittenKeys(100, [2, 3], [200, 300]));
  });

  it("is invalid when a write in it would be ahead of the position or before the beginning", () => {
    const good = encodeToken(
      claims({ replid: "0123456789abcdef", offset: 300, keys: new WrittenKeys(0, [1], [100]) }),
    );
    const bytes = Buffer.from(good, "base64url");
    expect(decodeToken(good)).toBeDefined();
    for (const distance of [
      [0xac, 0x02],
      [0xff, 0x7f],
    ]) {
      const bad = Buffer.concat([bytes.subarray(0, -2), Buffer.from(distance)]);
      expect(decodeToken(bad.toString("base64url"))).toBeUndefined();
    }
  });
});
