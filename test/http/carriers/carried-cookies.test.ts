/** The cookies of a request that look like tokens. */
import { describe, expect, it } from "vitest";
import { cookiesOf, mayHaveMoreThan } from "../../../src/http/carriers/carried-cookies.js";
import { seeded } from "../../support/load/seeded.js";

const prefixes = ["tm_", "__Host-tm_"];
const value = "p5mD2WDv88K5eOoMqz4qh39ecjg88EN71QYBxJqzEUeKewBZ8OU";

function read(header: string, of: readonly string[] = prefixes): string[] {
  return cookiesOf({ headers: { cookie: header } }, of).map((one) => `${one.name}=${one.value}`);
}

/** The rules of `cookiesOf` in their shortest form: every pair is cut out of the header and matched. */
function matched(header: string, of: readonly string[]): string[] {
  return header.split(";").flatMap((pair) => {
    const equals = pair.indexOf("=");
    const name = pair.slice(0, Math.max(equals, 0)).trim();
    const text = pair.slice(equals + 1).trim();
    const isOurs = of.some(
      (prefix) => name.startsWith(prefix) && /^[\w-]{12}$/.test(name.slice(prefix.length)),
    );
    return isOurs && /^[\w-]{22,1536}$/.test(text) ? [`${name}=${text}`] : [];
  });
}

describe("cookiesOf", () => {
  const name = `tm_${value.slice(-12)}`;

  it("finds tokens among other cookies, in the order of the header", () => {
    const host = `__Host-${name}`;
    expect(read(`a=b; ${name}=${value}; theme=dark;${host} = ${value} ;x`)).toEqual([
      `${name}=${value}`,
      `${host}=${value}`,
    ]);
  });

  it.each([
    ["no header", undefined],
    ["an empty header", ""],
    ["other cookies", "a=b; sid=s%3Aabc.def"],
    ["a prefix in a value", `a=tm_; b=${name}=${value}`],
    ["a prefix within a name", `x${name}=${value}`],
    ["a name without a value", name],
    ["a name that is too long", `${name}x=${value}`],
    ["a name that is too short", `${name.slice(0, -1)}=${value}`],
    ["a name with another character", `tm_1234567890.x=${value}`],
    ["a value that is too short", `${name}=${value.slice(0, 21)}`],
    ["a value that is too long", `${name}=${"A".repeat(1537)}`],
    ["a value with another character", `${name}=${value}.`],
    ["a quoted value", `${name}="${value}"`],
  ])("finds none in %s", (_, header) => {
    expect(cookiesOf({ headers: header === undefined ? {} : { cookie: header } }, prefixes)).toEqual([]);
  });

  it.each(["_", "-", "H", "tm_", "Host-"])(
    "finds cookies of HTTP and of HTTPS with the prefix %j",
    (prefix) => {
      const suffix = value.slice(-12);
      const both = [`${prefix}${suffix}=${value}`, `__Host-${prefix}${suffix}=${value}`];
      expect(read(both.join("; "), [prefix, `__Host-${prefix}`])).toEqual(both);
    },
  );

  it("finds the same as a match of each pair in 20,000 random headers", () => {
    const random = seeded(7);
    const pick = (list: readonly string[]): string => list[Math.floor(random() * list.length)] ?? "";
    const parts = ["tm_", "__Host-", "_", "=", ";", "; ", " ", "\u00a0", "=;", "a", "-", ".", '"'];
    parts.push(
      value,
      value.slice(-12),
      value.slice(-12),
      name,
      `${name}=${value}`,
      `__Host-${name}=${value}`,
    );
    let found = 0;
    for (let i = 0; i < 20_000; i++) {
      const header = Array.from({ length: 1 + random() * 12 }, () => pick(parts)).join("");
      const expected = matched(header, prefixes);
      expect(read(header)).toEqual(expected);
      found += expected.length;
    }
    expect(found).toBeGreaterThan(1_000);
  });
});

describe("mayHaveMoreThan", () => {
  it("is false only if cookiesOf finds no more than this", () => {
    for (let cookies = 0; cookies <= 12; cookies++)
      for (const separator of [";", "; ", "; a=b; "]) {
        const pairs = Array.from({ length: cookies }, (_, i) => {
          const prefix = prefixes[i % 2] ?? "";
          return `${prefix}${String(i).padStart(12, "0")}=${value}`;
        });
        const request = { headers: { cookie: pairs.join(separator) } };
        expect(cookiesOf(request, prefixes)).toHaveLength(cookies);
        for (let count = 0; count <= 12; count++)
          expect(mayHaveMoreThan(count, request, prefixes)).toBe(cookies > count);
      }
    expect(mayHaveMoreThan(0, { headers: {} }, prefixes)).toBe(false);
  });
});
