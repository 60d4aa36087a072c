/** Tokens in the header of one request and its response. */
import { describe, expect, it } from "vitest";
import type { OutgoingToken } from "../../../src/http/carriers/carrier.js";
import { header } from "../../../src/http/carriers/header.js";
import { Headers } from "../../support/http/headers.js";

const carrying = (token?: string | string[]) => ({ headers: { "consistency-token": token } });
const many = (count: number) => Array.from({ length: count }, (_, n) => `v${n}`).join(",");

function outgoing(
  given: Partial<Pick<OutgoingToken, "changed" | "usesOldSecret">> & { text?: string; merged?: string },
): OutgoingToken {
  const { changed = true, usesOldSecret = false, text = "sealed", merged = "" } = given;
  const texts = new Set(merged.split(","));
  const whole = () => text;
  return {
    changed,
    usesOldSecret,
    ttlMs: 60_000,
    arrivedAt: 0,
    text: whole,
    rounded: whole,
    histories: () => "",
    contained: () => texts,
    inForce: () => texts,
  };
}

/** The header that a response gets. */
function written(
  given: Parameters<typeof outgoing>[0],
  request = carrying(),
  headers = new Headers(),
): unknown {
  header().write(request, headers, outgoing(given));
  return headers.getHeader("Consistency-Token");
}

describe("header().read", () => {
  it.each([
    ["nothing", undefined, []],
    ["an empty text", "", []],
    ["one token", "x", ["x"]],
    ["several, with and without spaces", "x, y,z ", ["x", "y", "z"]],
    ["the header given twice", ["x", "y"], ["x", "y"]],
    ["characters that tokens never contain", 'x y, "x", x=y, \u00e9, %20, y', ["y"]],
    ["commas alone", ",,,", []],
    ["a token of 1536 characters", "x".repeat(1536), ["x".repeat(1536)]],
    ["a longer token", `${"x".repeat(1537)},y`, ["y"]],
    ["more tokens than any client has", many(2000), many(2000).split(",")],
  ])("finds the tokens in %s", (_what, token, expected) => {
    expect(header().read(carrying(token))).toEqual(expected);
  });

  it("reads the configured header name, in any case", () => {
    expect(header({ name: "X-Seen" }).read({ headers: { "x-seen": "x" } })).toEqual(["x"]);
    expect(header({ name: "X-Seen" }).read(carrying("x"))).toEqual([]);
  });
});

describe("header().write", () => {
  it("sends the token of a session that wrote, and no other", () => {
    expect(written({})).toBe("sealed");
    expect(written({ changed: false })).toBeUndefined();
    expect(written({ text: "" })).toBeUndefined();
  });

  it("re-encrypts a token of an older secret, and merges more than 8 tokens", () => {
    expect(written({ changed: false, usesOldSecret: true, merged: "old" }, carrying("old"))).toBe("sealed");
    expect(written({ changed: false, merged: many(8) }, carrying(many(8)))).toBeUndefined();
    expect(written({ changed: false, merged: many(9) }, carrying(many(9)))).toBe("sealed");
  });

  it("merges long headers, and answers a client that could not send all its tokens", () => {
    const long = Array.from({ length: 3 }, (_, n) => `${"x".repeat(700)}${n}`).join(",");
    expect(written({ changed: false, merged: long }, carrying(long))).toBe("sealed");
    expect(header().read(carrying("*, x"))).toEqual(["*", "x"]);
    expect(written({ changed: false, merged: "x" }, carrying("*, x"))).toBe("sealed");
  });

  it("returns the tokens that it could not decrypt, up to a limit", () => {
    expect(written({ merged: "mine" }, carrying("mine, foreign"))).toBe("sealed, foreign");
    expect(written({}, carrying(many(8)))).toBe(`sealed, ${many(8).replaceAll(",", ", ")}`);
    expect(written({}, carrying(many(100)))).toBe(`sealed, ${many(8).replaceAll(",", ", ")}, *`);
  });

  it("keeps its token out of shared caches, and leaves all other responses unchanged", () => {
    const cacheable = () => new Headers({ "Cache-Control": "public, max-age=60" });
    const [brought, other] = [cacheable(), cacheable()];
    written({}, carrying(), brought);
    written({ changed: false }, carrying(), other);
    expect(brought.getHeader("Cache-Control")).toBe("private, max-age=60");
    expect(other.getHeader("Cache-Control")).toBe("public, max-age=60");
  });
});

it.each(["", "two words", "Käse", 7])("header() refuses the name %j", (name) => {
  const act = () => Reflect.apply(header, undefined, [{ name }]);
  expect(act).toThrow(expect.objectContaining({ code: "TIDEMARK_INVALID_OPTION" }));
});
