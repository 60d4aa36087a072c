/** The part of a key that Tidemark shows as its prefix. */
import { describe, expect, it } from "vitest";
import { KeyPrefixes } from "../../src/diagnostics/key-prefix.js";

const named = ["fastify-rate-limit-", "sess:", "sess:admin:", "{app:1234}:"];

describe("the prefix of a key", () => {
  const prefixes = new KeyPrefixes("", named, []);

  it.each<[string, string | Buffer, string | undefined]>([
    ["ends with the first colon", "cart:42:items", "cart:"],
    ["is found in bytes", Buffer.from("cart:42"), "cart:"],
    ["has the case of the key", "Cart:42", "Cart:"],
    ["may have two digits", "v12_page:home", "v12_page:"],
    ["may begin with a hash tag", "{cart:42}:items", "{cart:"],
    ["has at most 32 characters", `${"x".repeat(31)}:1`, `${"x".repeat(31)}:`],
    ["is the longest that an option names", "sess:admin:1", "sess:admin:"],
    ["needs no colon if an option names it", "fastify-rate-limit-10.0.0.1", "fastify-rate-limit-"],
    ["may be anything if an option names it", "{app:1234}:1", "{app:1234}:"],
    ["may be a whole key if an option names it", "sess:", "sess:"],
  ])("%s: %s", (_title, key, expected) => {
    expect(prefixes.of(key)).toBe(expected);
  });

  it.each<[string, string | Buffer]>([
    ["without a colon", "koa-session-id"],
    ["without a name before the colon", ":1"],
    ["with a longer prefix", `${"x".repeat(32)}:1`],
    ["that ends with its first colon", "cart:"],
    ["that begins with a number", "42:cart"],
    ["that begins with an id", "b7f3a9c1:cart"],
    ["that begins with a UUID", "f47ac10b-58cc-4372-a567-0e02b2c3d479:cart"],
    ["that begins with an address", "ada@example.com:cart"],
    ["that begins with a line break", "a\nb:cart"],
    ["that begins with bytes that are not UTF-8", Buffer.from([0xff, 0x3a, 0x31])],
    ["that is empty", ""],
  ])("is not shown for a key %s", (_title, key) => {
    expect(prefixes.of(key)).toBeUndefined();
  });
});

it("is shown without keyPrefix, and not at all for keys outside keyPrefix", () => {
  const prefixes = new KeyPrefixes("app:", named, []);
  expect(["app:cart:1", "app:sess:1", "old:cart:1", "app:1"].map((key) => prefixes.of(key))).toEqual([
    "cart:",
    "sess:",
    undefined,
    undefined,
  ]);
});

it("is shown for several keys only if all of them share it", () => {
  const prefixes = new KeyPrefixes("", named, []);
  expect(prefixes.ofAll(["cart:1", "cart:2"])).toBe("cart:");
  expect(prefixes.ofAll(["cart:1", "page:2"])).toBeUndefined();
  expect(prefixes.ofAll(["cart:1", "bare"])).toBeUndefined();
  expect(prefixes.ofAll([])).toBeUndefined();
});

describe("the suggested options with one more prefix", () => {
  it("are complete, because they replace the existing lists", () => {
    const prefixes = new KeyPrefixes("app:", ["sess:", "cart:"], ["rl:"]);
    expect(prefixes.optionsWith("limit:")).toEqual({
      scopes: 'scopes: ["sess:", "cart:", "limit:"]',
      untracked: 'untracked: ["rl:", "limit:"]',
    });
  });

  it("name an already listed prefix only once", () => {
    const { untracked } = new KeyPrefixes("", [], ["rl:"]).optionsWith("rl:");
    expect(untracked).toBe('untracked: ["rl:"]');
  });

  it("quote a prefix", () => {
    expect(new KeyPrefixes("", [], []).optionsWith('a"b:').scopes).toBe('scopes: ["a\\"b:"]');
  });

  it("leave out a function", () => {
    expect(new KeyPrefixes("", [], undefined).optionsWith("limit:").untracked).toBeUndefined();
  });
});
