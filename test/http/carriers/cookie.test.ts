/** Tokens in the cookies of one request and its response. */
import { describe, expect, it } from "vitest";
import type { Carrier, CarrierRequest, OutgoingToken } from "../../../src/http/carriers/carrier.js";
import { type CookieOptions, cookie } from "../../../src/http/carriers/cookie.js";
import { Headers } from "../../support/http/headers.js";

const tail = (n: number) => String(n).padStart(12, "0");
const name = (n: number) => `tm_${tail(n)}`;
/** A value that looks like a token and gives its cookie the name `name(n)`. */
const value = (n: number) => `aaaaaaaaaa${tail(n)}`;
const pair = (n: number) => `${name(n)}=${value(n)}`;
const numbers = (count: number) => Array.from({ length: count }, (_, n) => n);
const carrying = (header?: string): CarrierRequest => ({ headers: { cookie: header } });
const many = (count: number) => numbers(count).map(pair).join("; ");
const text = "aaaaaaaaaa-the-newest-";

interface Given extends Partial<Pick<OutgoingToken, "changed" | "usesOldSecret" | "ttlMs" | "arrivedAt">> {
  readonly text?: string;
  readonly rounded?: string;
  readonly histories?: string;
  readonly merged?: readonly string[];
  /** Default: all that are merged. */
  readonly inForce?: readonly string[];
}

function outgoing(given: Given): OutgoingToken {
  const {
    changed = true,
    usesOldSecret = false,
    ttlMs = 60_000,
    arrivedAt = 0,
    merged = [],
    inForce = merged,
  } = given;
  return {
    changed,
    usesOldSecret,
    ttlMs,
    arrivedAt,
    text: () => given.text ?? text,
    rounded: (level) => given.rounded ?? (given.text === "" ? "" : `rounded${level}-the-newest-`),
    histories: () => given.histories ?? "",
    contained: () => new Set(merged),
    inForce: () => new Set(inForce),
  };
}

/** The lines of Set-Cookie that a response gets, with the names and values of new ones as `*`. */
function lines(
  given: Given,
  {
    options,
    request = carrying(),
    headers = new Headers(),
  }: { options?: CookieOptions; request?: CarrierRequest; headers?: Headers } = {},
): readonly string[] {
  cookie(options).write(request, headers, outgoing(given));
  return headers.cookies.map((line) => line.replace(/_-the-newest-=[\w-]+-the-newest-/, "_*=*"));
}

describe("cookie().read", () => {
  it.each([
    ["no header", undefined, []],
    ["an empty header", "", []],
    ["one cookie among others", `a=1; ${pair(1)}; b=2`, [1]],
    ["several cookies, without spaces", `${pair(1)};${pair(2)}`, [1, 2]],
    ["a name that does not match its value", `${name(1)}=${value(2)}`, [2]],
    ["a mismatched name before valid cookies", `${name(1)}=${value(2)}; ${pair(3)}`, [3, 2]],
    ["a longer name", `${name(1)}0=${value(1)}`, []],
    ["a shorter name", `tm_1=${value(1)}`, []],
    ["another app's name with the same beginning", `tm_session=${value(1)}`, []],
    ["the prefix inside a value", `a=${name(1)}; b=tm_`, []],
    ["no equals sign", `${name(1)}; ${pair(2)}`, [2]],
    ["no name", "=x; ;;=", []],
    ["values that are too short for a token", `${name(1)}=; ${name(2)}=x; ${name(3)}=${"x".repeat(21)}`, []],
    [
      "characters that tokens never contain",
      `${name(1)}=${value(1)}%20; ${name(2)}="${value(2)}"; ${name(3)}=\u00e9`,
      [],
    ],
    ["6 kB of garbage before it", `${";=tm_ \u0001".repeat(850)}; ${pair(1)}`, [1]],
  ])("finds the tokens in %s", (_what, header, expected) => {
    expect([...new Set(cookie().read(carrying(header)))]).toEqual(expected.map(value));
  });

  it("finds a value of 1536 characters, and no longer one", () => {
    const longest = "x".repeat(1536);
    expect(cookie().read(carrying(`${name(1)}=${longest}`))).toEqual([longest]);
    expect(cookie().read(carrying(`${name(1)}=x${longest}`))).toEqual([]);
  });

  it("finds all tokens, so that the unread ones can be counted", () => {
    expect(new Set(cookie().read(carrying(many(2000)))).size).toBe(2000);
  });

  it.each<[string, CookieOptions, string, number[]]>([
    ["on HTTP names of both kinds", {}, "http", [2, 1]],
    ["on HTTPS first cookies that only this host can set", {}, "https", [2, 1]],
    ["on HTTPS only its own cookies if HTTPS is the only scheme", { secure: true }, "https", [2]],
    ["with a path only bare names", { path: "/a" }, "https", [1]],
  ])("reads %s", (_what, options, protocol, expected) => {
    const header = `${name(1)}=${value(1)}; __Host-${pair(2)}`;
    const found = cookie(options).read({ ...carrying(header), protocol });
    expect([...new Set(found)].sort()).toEqual(expected.map(value).sort());
  });
});

describe("cookie().write", () => {
  it("names a cookie after its token, and expires it with its token", () => {
    expect(lines({ ttlMs: 1500 })).toEqual(["tm_*=*; Max-Age=2; Path=/; HttpOnly; SameSite=Lax"]);
    const headers = new Headers();
    for (const n of numbers(100)) cookie().write(carrying(), headers, outgoing({ text: value(n) }));
    expect(headers.cookies.map((line) => line.split(";")[0])).toEqual(numbers(100).map(pair));
    expect(cookie().read(carrying(headers.cookies[0]?.split(";")[0]))).toContain(value(0));
  });

  it("expires the tokens that the new token contains, and leaves unreadable cookies alone", () => {
    const request = carrying(`${pair(1)}; ${pair(2)}; ${name(3)}=${value(1)}; a=1`);
    expect(lines({ merged: [value(1)] }, { request })).toEqual([
      `${name(1)}=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax`,
      "tm_*=*; Max-Age=60; Path=/; HttpOnly; SameSite=Lax",
    ]);
  });

  it.each([
    [0, 0],
    [8, 0],
    [9, 10],
    [40, 17],
  ])("without a write and with %i cookies received, sets or expires %i", (carried, expected) => {
    const merged = numbers(carried).map(value);
    expect(lines({ changed: false, merged }, { request: carrying(many(carried)) })).toHaveLength(expected);
  });

  it("sets nothing when the session requires nothing, but expires void cookies", () => {
    expect(lines({ text: "" })).toEqual([]);
    expect(lines({ text: "", merged: [value(0)] }, { request: carrying(many(1)) })).toHaveLength(1);
  });

  it.each<[string, CookieOptions, Partial<CarrierRequest>, string]>([
    ["over HTTP", {}, { socket: {} }, "Path=/; HttpOnly; SameSite=Lax"],
    ["over HTTPS", {}, { socket: { encrypted: true } }, "Path=/; HttpOnly; SameSite=Lax; Secure"],
    [
      "behind a trusted proxy",
      {},
      { protocol: "https", socket: {} },
      "Path=/; HttpOnly; SameSite=Lax; Secure",
    ],
    [
      "as the options say",
      { secure: true, sameSite: "none", path: "/a", domain: "example.com" },
      {},
      "Path=/a; Domain=example.com; HttpOnly; SameSite=None; Secure",
    ],
    [
      "as the rarer options say",
      { secure: true, httpOnly: false, partitioned: true, priority: "high", domain: "example.com" },
      {},
      "Path=/; Domain=example.com; SameSite=Lax; Secure; Partitioned; Priority=High",
    ],
    [
      "never with Secure",
      { secure: false, sameSite: "strict" },
      { protocol: "https" },
      "Path=/; HttpOnly; SameSite=Strict",
    ],
  ])("sets and expires its cookies with the same attributes: %s", (_when, options, connection, expected) => {
    const begin = expected === "Path=/; HttpOnly; SameSite=Lax; Secure" ? "__Host-" : "";
    const request = { ...carrying(`${begin}${pair(0)}`), ...connection };
    expect(lines({ merged: [value(0)] }, { options, request })).toEqual([
      `${begin}${name(0)}=; Max-Age=0; ${expected}`,
      `${begin}tm_*=*; Max-Age=60; ${expected}`,
    ]);
  });

  it("expires both kinds of names on HTTP, and on HTTPS only those that only this host may set", () => {
    const carried = carrying(`${pair(1)}; __Host-${pair(2)}`);
    const merged = [value(1), value(2)];
    const plain = "Max-Age=0; Path=/; HttpOnly; SameSite=Lax";
    const secure = `${plain}; Secure`;
    const expired = (options: CookieOptions, protocol: string) =>
      lines({ merged, text: "" }, { options, request: { ...carried, protocol } });
    expect(expired({}, "http").toSorted()).toEqual([
      `__Host-${name(2)}=; ${secure}`,
      `${name(1)}=; ${plain}`,
    ]);
    expect(expired({}, "https")).toEqual([`__Host-${name(2)}=; ${secure}`]);
    expect(expired({ path: "/a" }, "http")).toEqual([`${name(1)}=; ${plain.replace("/", "/a")}`]);
  });

  it("ignores cookies under a foreign name, because another host may have set them", () => {
    const request = carrying(
      numbers(16)
        .map((n) => `${name(n)}=${value(99)}`)
        .join("; "),
    );
    expect(lines({ merged: [value(99)], changed: false }, { request })).toEqual([]);
    expect(lines({ merged: [value(99)] }, { request })).toHaveLength(1);
  });

  it("merges too many cookies once, and not again while the merged one is received", () => {
    const all = numbers(20).map(value);
    const request = carrying(many(20));
    expect(lines({ changed: false, merged: all }, { request })).toHaveLength(17);
    expect(lines({ changed: false, merged: all.slice(1), inForce: all }, { request })).toEqual([]);
    expect(lines({ merged: all.slice(1), inForce: all }, { request })).toHaveLength(17);
  });

  it("does not count expired tokens, and removes them after the unexpired ones", () => {
    const [old, fresh] = [numbers(20), [20, 21, 22]];
    const request = carrying([...old, ...fresh].map(pair).join("; "));
    const given = { merged: [...old, ...fresh].map(value), inForce: fresh.map(value) };
    expect(lines({ ...given, changed: false }, { request })).toEqual([]);
    const expired = lines(given, { request }).map((line) => line.split("=")[0]);
    expect(expired).toHaveLength(17);
    expect(expired.slice(0, 3).toSorted()).toEqual(fresh.map(name));
  });

  it("expires every surplus cookie in the end, whatever order they arrive in", () => {
    const merged = numbers(64).map(value);
    const expired = new Set<string>();
    for (const n of numbers(64)) {
      const set = lines({ merged, rounded: value(n) }, { request: carrying(many(64)) });
      for (const line of set.slice(0, -1)) expired.add(line.split("=")[0] ?? "");
    }
    expect(expired.size).toBe(64);
  });

  it("gives few distinct texts to requests with the same cookies, and different ones to others", () => {
    const carrier = cookie();
    const textsOf = (asked: (n: number) => CarrierRequest) => {
      const headers = new Headers();
      for (const n of numbers(100)) carrier.write(asked(n), headers, outgoing({ text: value(n) }));
      return new Set(headers.cookies).size;
    };
    expect(textsOf(() => carrying("login=1"))).toBeLessThan(20);
    expect(textsOf((n) => carrying(`login=${n + 2}`))).toBe(100);
    expect(textsOf((n) => ({ headers: {}, socket: { remoteAddress: `10.0.0.${n}` } }))).toBe(100);
    expect(textsOf((n) => ({ headers: { "x-forwarded-for": `10.0.0.${n}` } }))).toBe(100);
  });

  it("replaces a token encrypted with an older secret, even without a write", () => {
    const request = carrying(pair(1));
    expect(lines({ changed: false, usesOldSecret: true, merged: [value(1)] }, { request })).toEqual([
      `${name(1)}=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax`,
      "tm_*=*; Max-Age=60; Path=/; HttpOnly; SameSite=Lax",
    ]);
  });

  it.each([
    [undefined, []],
    ["a=1", ["a=1"]],
    [
      ["a=1", "b=2"],
      ["a=1", "b=2"],
    ],
  ])("keeps the existing cookies: %j", (before, expected) => {
    const headers = new Headers(before === undefined ? {} : { "Set-Cookie": before });
    expect(lines({}, { headers }).slice(0, -1)).toEqual(expected);
  });

  it.each([
    [undefined, "private"],
    ["", "private"],
    ["public, max-age=60", "private, max-age=60"],
    ["Public, S-MaxAge=9, max-age=60", "private, max-age=60"],
    ["max-age=60", "private, max-age=60"],
    ["private, max-age=60", "private, max-age=60"],
    ["no-store", "no-store"],
    ["no-cache", "private, no-cache"],
    ["private, public, s-maxage=60, max-age=60", "private, max-age=60"],
    [
      'private="X, public", no-cache="Set-Cookie, X", max-age=60',
      'private, no-cache="Set-Cookie, X", max-age=60',
    ],
    ['ext="a, s-maxage=60", PUBLIC,, max-age=60', 'private, ext="a, s-maxage=60", max-age=60'],
    ["no-store, public", "private, no-store"],
    ["must-understand, no-store, max-age=60", "private, must-understand, no-store, max-age=60"],
    ["public max-age=60", "private, no-store"],
    ["max-age=60; public", "private, no-store"],
    ['private="X, public, max-age=60', "private, no-store"],
    [["public", "max-age=60"], "private, max-age=60"],
  ])("keeps the cookie out of shared caches: %j becomes %j", (before, expected) => {
    const headers = new Headers(before === undefined ? {} : { "Cache-Control": before });
    lines({}, { headers });
    expect(headers.getHeader("Cache-Control")).toBe(expected);
  });

  it("leaves the caching of a response without a cookie unchanged", () => {
    const headers = new Headers({ "Cache-Control": "public" });
    lines({ changed: false }, { headers });
    expect(headers.getHeader("Cache-Control")).toBe("public");
  });
});

/** The values of the cookies that responses to requests without cookies get, one after the other. */
function valuesOf(carrier: Carrier, tokens: readonly OutgoingToken[]): (string | undefined)[] {
  return tokens.map((token) => {
    const headers = new Headers();
    carrier.write(carrying(), headers, token);
    return headers.cookies[0]?.match(/=([\w-]+);/)?.[1];
  });
}

describe("cookie().write, for concurrent responses", () => {
  const exact = (n: number, given: Given = {}) => outgoing({ ...given, text: value(n) });

  it("gives eight exact tokens, and rounded tokens to further requests that may come from the same browser", () => {
    const carrier = cookie();
    expect(
      valuesOf(
        carrier,
        numbers(8).map((n) => exact(n)),
      ),
    ).toEqual(numbers(8).map(value));
    expect(valuesOf(carrier, [exact(8)])).toEqual(["rounded1-the-newest-"]);
    expect(valuesOf(carrier, [exact(9, { arrivedAt: performance.now() + 200 })])).toEqual([
      "rounded1-the-newest-",
    ]);
  });

  it("gives an exact token to a request that would carry one of these tokens if it came from the same browser", () => {
    const carrier = cookie();
    valuesOf(
      carrier,
      numbers(20).map((n) => exact(n)),
    );
    expect(valuesOf(carrier, [exact(20, { arrivedAt: performance.now() + 300 })])).toEqual([value(20)]);
  });

  it("rounds the tokens of each shard separately, and more so the more tokens there are", () => {
    const carrier = cookie();
    valuesOf(
      carrier,
      numbers(8).map((n) => exact(n)),
    );
    const shards = numbers(30).map((n) =>
      exact(n, { histories: `shard ${n % 3}`, rounded: `shard-${n % 3}-the-newest-` }),
    );
    expect(new Set(valuesOf(carrier, shards)).size).toBe(3);
    const levels = numbers(6).map((n) => exact(n, { histories: "another" }));
    const differing = levels.map((token, n) => ({
      ...token,
      rounded: (level: number) => `level-${level}-text-${n}-of-it`,
    }));
    expect(valuesOf(carrier, differing).map((text) => text?.slice(0, 7))).toEqual([
      ...["level-1", "level-1", "level-2", "level-2", "level-3", "level-3"],
    ]);
  });
});

describe("cookie(options)", () => {
  it.each<[CookieOptions, string]>([
    [{ prefix: "a b" }, "cookie prefix"],
    [{ prefix: "" }, "cookie prefix"],
    [{ path: "a" }, "cookie path"],
    [{ path: "/a;b" }, "cookie path"],
    [{ domain: "a b" }, "cookie domain"],
    [{ sameSite: "none" }, "cookie secure"],
    [{ prefix: "__Host-tm_" }, "cookie secure"],
    [{ prefix: "__Host-tm_", secure: true, path: "/a" }, "cookie prefix"],
    [{ prefix: "__Host-tm_", secure: true, domain: "a.com" }, "cookie prefix"],
    [JSON.parse('{"sameSite":"Lax"}'), "cookie sameSite"],
    [JSON.parse('{"secure":"auto"}'), "cookie secure"],
  ])("refuses %j", (options, named) => {
    expect(() => cookie(options)).toThrow(
      expect.objectContaining({
        code: "TIDEMARK_INVALID_OPTION",
        message: expect.stringContaining(`${named}: got`),
      }),
    );
  });

  it("accepts the prefix that browsers protect", () => {
    const headers = new Headers();
    cookie({ prefix: "__Host-tm_", secure: true }).write(carrying(), headers, outgoing({}));
    expect(headers.cookies[0]).toMatch(/^__Host-tm_-the-newest-=[\w-]+; .*; Secure$/);
  });
});
