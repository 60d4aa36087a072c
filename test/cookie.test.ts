/** Tokens in the cookies of one request and its response. */
import { describe, expect, it } from "vitest";
import type { CarrierRequest, OutgoingToken } from "../src/http/carrier.js";
import { type CookieOptions, cookie } from "../src/http/cookie.js";
import { Headers } from "./support/headers.js";

const name = (n: number) => `tm_${String(n).padStart(12, "0")}`;
const carrying = (header?: string): CarrierRequest => ({ headers: { cookie: header } });
const many = (count: number) => Array.from({ length: count }, (_, n) => `${name(n)}=v${n}`).join("; ");

function outgoing(
  given: Partial<Omit<OutgoingToken, "text" | "merged">> & { text?: string; merged?: string[] },
): OutgoingToken {
  const { moved = true, aged = false, ttlMs = 60_000, text = "sealed", merged = [] } = given;
  return { moved, aged, ttlMs, text: () => text, merged: () => new Set(merged) };
}

/** The lines of Set-Cookie that a response gets, with the random part of a name as `*`. */
function lines(
  given: Parameters<typeof outgoing>[0],
  {
    options,
    request = carrying(),
    headers = new Headers(),
  }: { options?: CookieOptions; request?: CarrierRequest; headers?: Headers } = {},
): readonly string[] {
  cookie(options).write(request, headers, outgoing(given));
  return headers.cookies.map((line) => line.replace(/_[\w-]{12}=sealed/, "_*=sealed"));
}

describe("cookie().read", () => {
  it.each([
    ["no header", undefined, []],
    ["an empty header", "", []],
    ["one among others", `a=1; ${name(1)}=x; b=2`, ["x"]],
    ["several, without spaces", `${name(1)}=x;${name(2)}=y`, ["x", "y"]],
    ["a name that comes twice", `${name(1)}=x; ${name(1)}=y`, ["x", "y"]],
    ["a longer name", `${name(1)}0=x`, []],
    ["a shorter name", "tm_1=x", []],
    ["somebody's name with the same beginning", "tm_session=x", []],
    ["the prefix inside a value", `a=${name(1)}; b=tm_`, []],
    ["no equals sign", `${name(1)}; ${name(2)}=y`, ["y"]],
    ["no name", "=x; ;;=", []],
    ["an empty value", `${name(1)}=`, []],
    ["a value of 1536 characters", `${name(1)}=${"x".repeat(1536)}`, ["x".repeat(1536)]],
    ["a value that is longer", `${name(1)}=${"x".repeat(1537)}`, []],
    [
      "characters that no token has",
      `${name(1)}=x%20y; ${name(2)}="x"; ${name(3)}=x=y; ${name(4)}=\u00e9`,
      [],
    ],
    ["6 kB of rubbish before it", `${";=tm_ \u0001".repeat(850)}; ${name(1)}=x`, ["x"]],
  ])("finds what %s holds", (_what, header, expected) => {
    expect(cookie().read(carrying(header))).toEqual(expected);
  });

  it("finds as many as any browser keeps, and no more", () => {
    expect(cookie().read(carrying(many(180)))).toHaveLength(180);
    expect(cookie().read(carrying(many(2000)))).toHaveLength(180);
  });
});

describe("cookie().write", () => {
  it("sets a cookie of a fresh name each time, for as long as the token is of use", () => {
    expect(lines({ ttlMs: 1500 })).toEqual(["tm_*=sealed; Max-Age=2; Path=/; HttpOnly; SameSite=Lax"]);
    const headers = new Headers();
    for (let n = 0; n < 1000; n += 1) cookie().write(carrying(), headers, outgoing({}));
    expect(new Set(headers.cookies).size).toBe(1000);
    expect(cookie().read(carrying(headers.cookies[0]?.split(";")[0]))).toEqual(["sealed"]);
  });

  it("expires what the new token contains, and leaves alone what could not be opened", () => {
    const request = carrying(`${name(1)}=mine; ${name(2)}=foreign; a=1`);
    expect(lines({ merged: ["mine"] }, { request })).toEqual([
      `${name(1)}=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax`,
      "tm_*=sealed; Max-Age=60; Path=/; HttpOnly; SameSite=Lax",
    ]);
  });

  it.each([
    [0, 0],
    [8, 0],
    [9, 10],
    [40, 17],
  ])("after no write, with %i carried, sets or expires %i", (carried, expected) => {
    const merged = Array.from({ length: carried }, (_, n) => `v${n}`);
    expect(lines({ moved: false, merged }, { request: carrying(many(carried)) })).toHaveLength(expected);
  });

  it("sets nothing when nothing is required, but expires what is void", () => {
    expect(lines({ text: "" })).toEqual([]);
    expect(lines({ text: "", merged: ["v0"] }, { request: carrying(many(1)) })).toHaveLength(1);
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
      "as its options say",
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
  ])(
    "gives its cookies the same attributes when it sets and expires them: %s",
    (_when, options, connection, expected) => {
      const set = expected === "Path=/; HttpOnly; SameSite=Lax; Secure" ? "__Host-tm_*" : "tm_*";
      const request = { ...carrying(many(1)), ...connection };
      expect(lines({ merged: ["v0"] }, { options, request })).toEqual([
        `${name(0)}=; Max-Age=0; ${expected}`,
        `${set}=sealed; Max-Age=60; ${expected}`,
      ]);
    },
  );

  it("keeps on HTTPS to names that only this host may set, and expires both kinds as each was set", () => {
    const request = { ...carrying(`${name(1)}=plain; __Host-${name(2)}=host`), protocol: "http" };
    expect(cookie().read(request)).toEqual(["plain", "host"]);
    expect(lines({ merged: ["plain", "host"] }, { request })).toEqual([
      `${name(1)}=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax`,
      `__Host-${name(2)}=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax; Secure`,
      "tm_*=sealed; Max-Age=60; Path=/; HttpOnly; SameSite=Lax",
    ]);
    const options = { path: "/a" };
    expect(cookie(options).read(request)).toEqual(["plain"]);
    expect(lines({ merged: ["plain"] }, { options, request })).toEqual([
      `${name(1)}=; Max-Age=0; Path=/a; HttpOnly; SameSite=Lax`,
      "tm_*=sealed; Max-Age=60; Path=/a; HttpOnly; SameSite=Lax",
    ]);
  });

  it("seals anew what an older secret sealed, though nothing was written", () => {
    const request = carrying(`${name(1)}=old`);
    expect(lines({ moved: false, aged: true, merged: ["old"] }, { request })).toEqual([
      `${name(1)}=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax`,
      "tm_*=sealed; Max-Age=60; Path=/; HttpOnly; SameSite=Lax",
    ]);
  });

  it.each([
    [undefined, []],
    ["a=1", ["a=1"]],
    [
      ["a=1", "b=2"],
      ["a=1", "b=2"],
    ],
  ])("keeps the cookies that are there: %j", (before, expected) => {
    const headers = new Headers(before === undefined ? {} : { "Set-Cookie": before });
    expect(lines({}, { headers }).slice(0, -1)).toEqual(expected);
  });

  it.each([
    [undefined, undefined],
    ["public, max-age=60", "private, max-age=60"],
    ["Public, S-MaxAge=9, max-age=60", "private, max-age=60"],
    ["max-age=60", "private, max-age=60"],
    ["private, max-age=60", "private, max-age=60"],
    ["no-store", "no-store"],
    ["no-cache", "private, no-cache"],
  ])("keeps the cookie out of caches that are shared: %j becomes %j", (before, expected) => {
    const headers = new Headers(before === undefined ? {} : { "Cache-Control": before });
    lines({}, { headers });
    expect(headers.getHeader("Cache-Control")).toBe(expected);
  });

  it("leaves the caching of a response without a cookie as it is", () => {
    const headers = new Headers({ "Cache-Control": "public" });
    lines({ moved: false }, { headers });
    expect(headers.getHeader("Cache-Control")).toBe("public");
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

  it("takes the prefix that browsers protect", () => {
    const headers = new Headers();
    cookie({ prefix: "__Host-tm_", secure: true }).write(carrying(), headers, outgoing({}));
    expect(headers.cookies[0]).toMatch(/^__Host-tm_[\w-]{12}=sealed; .*; Secure$/);
  });
});
