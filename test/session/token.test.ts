/** Tokens survive encoding and decoding, and invalid ones are rejected. */
import { describe, expect, it } from "vitest";
import { decodeToken, encodeToken, type TokenClaims } from "../../src/session/token.js";
import { seeded } from "../support/load/seeded.js";

const latest = 2 ** 48 - 1;

/** Whole numbers of every size up to `max`, with both ends more often than by chance. */
function wholeNumber(random: () => number, max: number): number {
  const kind = random();
  if (kind < 0.1) return 0;
  if (kind < 0.2) return max;
  return Math.min(max, Math.floor(2 ** (random() * 53) * (0.5 + random() / 2)));
}

function replid(random: () => number): string {
  const half = () =>
    Math.floor(random() * 2 ** 32)
      .toString(16)
      .padStart(8, "0");
  return half() + half().replace(/^0{8}$/, "00000001");
}

function claims(random: () => number): TokenClaims {
  const count = Math.floor(random() * (random() < 0.1 ? 65 : 8));
  const pinned = count === 0 || random() < 0.3;
  return {
    issuedAt: wholeNumber(random, latest),
    pinnedAt: pinned ? Math.max(1, wholeNumber(random, latest)) : 0,
    freshAsOf: random() < 0.3 ? wholeNumber(random, latest) : 0,
    positions: Array.from({ length: count }, () => ({
      replid: replid(random),
      offset: wholeNumber(random, Number.MAX_SAFE_INTEGER),
      ...(random() < 0.3 ? { read: true } : {}),
    })),
  };
}

const one: TokenClaims = {
  issuedAt: 1_763_845_200_123,
  pinnedAt: 0,
  freshAsOf: 0,
  positions: [{ replid: "8371b4fb1155b71f", offset: 26_689_005 }],
};

/** Positions of `count` histories. */
function manyPositions(count: number, offset: number) {
  return Array.from({ length: count }, (_, i) => ({
    replid: `00000000000000${(i + 16).toString(16)}`,
    offset,
  }));
}

describe("encodeToken and decodeToken", () => {
  it("give back the same token for any offset below 2^53, for up to 64 positions, with or without a pin", () => {
    const random = seeded(1);
    for (let i = 0; i < 2000; i++) {
      const before = claims(random);
      expect(decodeToken(encodeToken(before))).toEqual(before);
    }
  });

  it("keep the last bit of the largest numbers", () => {
    const positions = [2 ** 53 - 1, 2 ** 53 - 2, 2 ** 32, 2 ** 32 - 1, 2 ** 32 + 1, 1, 0].map((offset) => ({
      replid: "ffffffffffffffff",
      offset,
    }));
    const before = { issuedAt: latest, pinnedAt: latest, freshAsOf: 0, positions };
    expect(decodeToken(encodeToken(before))).toEqual(before);
  });
});

describe("encodeToken", () => {
  it("returns a short text that fits a cookie, a header or a URL", () => {
    expect(encodeToken(one)).toMatch(/^[\w-]{28,32}$/);
  });

  it("stays below the 4096 bytes of a cookie with 64 of the largest positions", () => {
    const positions = manyPositions(64, Number.MAX_SAFE_INTEGER);
    const token = encodeToken({ issuedAt: latest, pinnedAt: latest, freshAsOf: latest, positions });
    expect(decodeToken(token)?.positions).toEqual(positions);
    expect(token.length).toBeLessThan(1450);
  });

  it("pins instead of keeping the oldest of more than 64 positions", () => {
    const positions = manyPositions(65, 7);
    expect(decodeToken(encodeToken({ ...one, pinnedAt: 0, positions }))).toEqual({
      ...one,
      pinnedAt: one.issuedAt,
      positions: positions.slice(-64),
    });
  });
});

describe("decodeToken", () => {
  const bytes = Buffer.from(encodeToken(one), "base64url");

  it("returns undefined for input that is not a text", () => {
    for (const token of [undefined, null, 0, 7n, true, {}, [], [encodeToken(one)], bytes, Symbol("token")]) {
      expect(decodeToken(token)).toBeUndefined();
    }
  });

  it("returns undefined for an empty text and for a token without a claim", () => {
    expect(decodeToken("")).toBeUndefined();
    expect(decodeToken(encodeToken({ ...one, positions: [] }))).toBeUndefined();
  });

  it("returns undefined for a token that was cut short anywhere", () => {
    const token = encodeToken({ ...one, pinnedAt: 5 });
    for (let length = 1; length < bytes.length; length++) {
      expect(decodeToken(bytes.subarray(0, length).toString("base64url"))).toBeUndefined();
    }
    expect(decodeToken(token.slice(0, -2))).toBeUndefined();
  });

  it("returns undefined for another version", () => {
    for (let version = 0; version < 256; version++) {
      if (version === bytes[0]) continue;
      const other = Buffer.from(bytes);
      other[0] = version;
      expect(decodeToken(other.toString("base64url"))).toBeUndefined();
    }
  });

  it("returns undefined when the number of positions differs from the declared one", () => {
    const of = (count: number, entries: number) => {
      const many = Buffer.from(encodeToken({ ...one, positions: manyPositions(entries, 7) }), "base64url");
      many[1] = count;
      return many.toString("base64url");
    };
    expect(decodeToken(of(5, 5))?.positions).toHaveLength(5);
    expect([decodeToken(of(4, 5)), decodeToken(of(6, 5)), decodeToken(of(0, 5))]).toEqual(
      Array(3).fill(undefined),
    );
    const endless = Buffer.concat([bytes, Buffer.alloc(100_000, bytes.subarray(-8))]);
    for (const count of [2, 64, 65, 255]) {
      endless[1] = count;
      expect(decodeToken(endless.toString("base64url"))).toBeUndefined();
    }
  });

  it("returns undefined for an offset of 2^53 or more, and for an endless number", () => {
    const largest = { replid: "8371b4fb1155b71f", offset: Number.MAX_SAFE_INTEGER };
    const other = Buffer.from(encodeToken({ ...one, positions: [largest] }), "base64url");
    expect(decodeToken(other.toString("base64url"))?.positions).toEqual([largest]);
    other[other.length - 1] = 0x40;
    expect(decodeToken(other.toString("base64url"))).toBeUndefined();
    const endless = Buffer.concat([bytes.subarray(0, 2), Buffer.alloc(60, 0xff)]);
    expect(decodeToken(endless.toString("base64url"))).toBeUndefined();
  });

  it("returns undefined for characters outside base64url, even at the end", () => {
    const token = encodeToken(one);
    for (const stray of ["=", "+", "/", " ", "\n", "\0", ".", "é", "💥", "%41"]) {
      for (const bad of [
        token + stray,
        stray + token,
        token.slice(0, 9) + stray + token.slice(9 + stray.length),
      ]) {
        expect(decodeToken(bad)).toBeUndefined();
      }
    }
  });

  it("never throws for a damaged token, and returns only whole, safe numbers", () => {
    const random = seeded(2);
    for (let i = 0; i < 20_000; i++) {
      const read = decodeToken(mutated(encodeToken(claims(random)), random));
      for (const { offset, replid } of read?.positions ?? []) {
        expect(Number.isSafeInteger(offset) && offset >= 0 && /^[0-9a-f]{16}$/.test(replid)).toBe(true);
      }
      if (read !== undefined)
        expect([read.issuedAt, read.pinnedAt, read.freshAsOf].every(Number.isSafeInteger)).toBe(true);
    }
  });
});

/** `token` with one to three characters lost, doubled or replaced, or with all characters reversed. */
function mutated(token: string, random: () => number): string {
  let text = token;
  for (let times = Math.ceil(random() * 3); times > 0; times--) {
    const at = Math.floor(random() * text.length);
    const kind = Math.floor(random() * 5);
    if (kind === 0) text = text.slice(0, at) + text.slice(at + 1);
    else if (kind === 1) text = text.slice(0, at) + text.slice(at, at + 4) + text.slice(at);
    else if (kind === 2)
      text = text.slice(0, at) + String.fromCharCode(random() * 65_536) + text.slice(at + 1);
    else if (kind === 3) text = text.slice(0, at) + "AZaz09-_".charAt(random() * 8) + text.slice(at + 1);
    else text = [...text].reverse().join("");
  }
  return text;
}
