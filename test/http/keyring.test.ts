/** Encrypted tokens: only those who know a secret can read or make one. */
import { createCipheriv, createHmac, hkdfSync, randomBytes } from "node:crypto";
import { describe, expect, it } from "vitest";
import { InvalidOptionError } from "../../src/errors/errors.js";
import { Keyring } from "../../src/http/keyring.js";
import { encodeToken } from "../../src/session/token.js";

const token = encodeToken({
  issuedAt: 1_763_845_200_123,
  pinnedAt: 0,
  freshAsOf: 0,
  positions: [{ replid: "8371b4fb1155b71f", offset: 26_689_005 }],
});
const first = "the first secret of this app";
const second = "the second secret, a year on";
const other = "the secret of another app ..";

/** The error that `make` throws; anything else fails the test. */
function invalidOption(make: () => unknown): InvalidOptionError {
  try {
    make();
  } catch (error) {
    if (error instanceof InvalidOptionError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

describe("Keyring.seal and open", () => {
  it("return the token that was encrypted", () => {
    const keyring = new Keyring(first);
    expect(keyring.open(keyring.seal(token))?.token).toBe(token);
  });

  it("give a text of about 50 characters for one position, fit for a cookie, a header or a URL", () => {
    const sealed = new Keyring(first).seal(token);
    expect(sealed).toMatch(/^[\w-]+$/);
    expect(sealed.length).toBeGreaterThan(40);
    expect(sealed.length).toBeLessThanOrEqual(56);
  });

  it("return the largest possible token", () => {
    const positions = Array.from({ length: 64 }, (_, i) => ({
      replid: `ffffffffffffff${i + 10}`,
      offset: 2 ** 53 - 1,
    }));
    const [issuedAt, pinnedAt, freshAsOf] = [2 ** 48 - 1, 2 ** 48 - 2, 2 ** 48 - 3];
    const largest = encodeToken({ issuedAt, pinnedAt, freshAsOf, positions });
    const keyring = new Keyring(first);
    expect(keyring.open(keyring.seal(largest))?.token).toBe(largest);
    expect(keyring.seal(largest).length).toBeLessThan(1500);
  });
});

describe("Keyring.open, for a text that comes again,", () => {
  it("does not decrypt it again", () => {
    const keyring = new Keyring(first);
    const text = keyring.seal(token);
    const opened = keyring.open(text);
    expect(opened?.token).toBe(token);
    expect(keyring.open(text)).toBe(opened);
  });

  it("still knows that it was encrypted with an old secret", () => {
    const text = new Keyring(first).seal(token);
    const keyring = new Keyring([second, first]);
    for (let i = 0; i < 3; i++) expect(keyring.open(text)).toEqual({ token, usesOldSecret: true });
  });

  it("takes no other text for it", () => {
    const keyring = new Keyring(first);
    const text = keyring.seal(token);
    keyring.open(text);
    for (let at = 0; at < text.length; at++) {
      const changed = `${text.slice(0, at)}${text[at] === "A" ? "B" : "A"}${text.slice(at + 1)}`;
      expect(keyring.open(changed)).toBeUndefined();
    }
    expect(new Keyring(second).open(text)).toBeUndefined();
  });
});

describe("Keyring.seal", () => {
  it("gives the texts that earlier versions gave, so users keep their tokens over an update", () => {
    expect(token).toBe("AgH7sffqqjMAAINxtPsRVbcf2ve5GQ");
    const sealed = "p5mD2WDv88K5eOoMqz4qh39ecjg88EN71QYBxJqzEUeKewBZ8OU";
    const sealedForShop = "EeD9gfzIYfbhTgQeF1az5p4BA7K-98TmSVs00NIxM85VrB2r5sc";
    expect(new Keyring(first).seal(token)).toBe(sealed);
    expect(new Keyring(first, "shop").seal(token)).toBe(sealedForShop);
    expect(new Keyring(first).open(sealed)).toEqual({ token, usesOldSecret: false });
    expect(new Keyring([second, first], "shop").open(sealedForShop)).toEqual({ token, usesOldSecret: true });
  });

  it("encrypts in SIV mode with HMAC-SHA-256 and AES-256-CTR", () => {
    const lengths = [1_152, 1_153, 1_536, 1_537, 5_000];
    for (let length = 0; length <= 1_100; length += 1 + (length % 7)) lengths.push(length);
    for (const length of lengths) {
      const secret = randomBytes(24).toString("hex");
      const bytes = randomBytes(length);
      const purpose = "tidemark consistency token, version 1\0shop";
      const keys = Buffer.from(hkdfSync("sha256", secret, "", purpose, 64));
      const iv = createHmac("sha256", keys.subarray(0, 32)).update(bytes).digest().subarray(0, 16);
      const encrypted = createCipheriv("aes-256-ctr", keys.subarray(32), iv).update(bytes);
      expect(new Keyring(secret, "shop").seal(bytes.toString("base64url"))).toBe(
        Buffer.concat([iv, encrypted]).toString("base64url"),
      );
    }
  });

  const of = (issuedAt: number, offset: number) =>
    encodeToken({ issuedAt, pinnedAt: 0, freshAsOf: 0, positions: [{ replid: "8371b4fb1155b71f", offset }] });
  const bits = (text: string) =>
    [...Buffer.from(text, "base64url")].map((byte) => byte.toString(2).padStart(8, "0")).join("");

  it("gives equal texts for equal tokens, and unrelated texts for tokens that differ in one number", () => {
    const keyring = new Keyring(first);
    const texts = Array.from({ length: 200 }, (_, i) => keyring.seal(of(1_763_845_200_123, 26_689_005 + i)));
    expect(keyring.seal(token)).toBe(texts[0]);
    for (const text of texts) expect(text).toHaveLength(texts[0]?.length ?? 0);
    // Bits that were equal in all texts would say what the tokens have in common.
    const all = texts.map(bits);
    for (let at = 0; at < (all[0]?.length ?? 0); at++) {
      const ones = all.filter((text) => text[at] === "1").length;
      expect(ones).toBeGreaterThan(40);
      expect(ones).toBeLessThan(160);
    }
  });

  it("reveals neither the claims nor anything derived from them without the secret", () => {
    const sealed = Buffer.from(new Keyring(first).seal(token), "base64url");
    const plain = Buffer.from(token, "base64url");
    for (let at = 0; at + 4 <= plain.length; at++)
      expect(sealed.includes(plain.subarray(at, at + 4))).toBe(false);
  });
});

describe("Keyring for an audience", () => {
  it("decrypts only tokens that were encrypted for the same audience", () => {
    const audiences = [undefined, "shop", "shop ", "admin", "ßhop"];
    for (const to of audiences) {
      const sealed = new Keyring(first, to).seal(token);
      for (const by of audiences)
        expect(new Keyring(first, by).open(sealed)?.token).toBe(to === by ? token : undefined);
    }
  });

  it("decrypts a token that an older secret encrypted for the audience", () => {
    const sealed = new Keyring(first, "shop").seal(token);
    expect(new Keyring([second, first], "shop").open(sealed)).toEqual({ token, usesOldSecret: true });
  });

  it.each([
    ["", '""'],
    ["x".repeat(101), "a string"],
    [7, "7"],
    [null, "null"],
    [["shop"], "an array"],
  ])("refuses the audience %j", (audience, shown) => {
    const error = invalidOption(() => Reflect.construct(Keyring, [first, audience]));
    expect(error.message).toContain(`audience: got ${shown}.`);
    expect(error.message).toContain(" Pass a name of 1 to 100 characters");
  });
});

describe("Keyring with several secrets", () => {
  const old = new Keyring(first);
  const rotated = new Keyring([second, first]);

  it("decrypts a token of an older secret", () => {
    expect(rotated.open(old.seal(token))?.token).toBe(token);
  });

  it("encrypts with the newest secret", () => {
    expect(rotated.seal(token)).toBe(new Keyring(second).seal(token));
    expect(old.open(rotated.seal(token))).toBeUndefined();
  });

  it("does not decrypt a token of a secret that is no longer in the list", () => {
    expect(new Keyring([second]).open(old.seal(token))).toBeUndefined();
    expect(rotated.open(new Keyring(other).seal(token))).toBeUndefined();
  });

  it("keeps its own copy of the list of secrets", () => {
    const list = [second, first];
    const keyring = new Keyring(list);
    list[0] = other;
    expect(keyring.seal(token)).toBe(rotated.seal(token));
  });
});

describe("Keyring.open", () => {
  const keyring = new Keyring(first);
  const sealed = keyring.seal(token);

  it("refuses a token with any one bit changed, in the claims or in their authentication", () => {
    const bytes = Buffer.from(sealed, "base64url");
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const flipped = Buffer.from(bytes);
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(keyring.open(flipped.toString("base64url"))).toBeUndefined();
    }
  });

  it("refuses a token that was never encrypted or was cut short", () => {
    expect(keyring.open(token)).toBeUndefined();
    for (let length = 0; length < sealed.length; length++) {
      expect(keyring.open(sealed.slice(0, length))).toBeUndefined();
    }
  });

  it("refuses a token with another token's authentication", () => {
    const forged = encodeToken({ issuedAt: 1_763_845_200_123, pinnedAt: 9, freshAsOf: 0, positions: [] });
    const other = Buffer.from(keyring.seal(forged), "base64url");
    const bytes = Buffer.from(sealed, "base64url");
    const mixed = [Buffer.concat([bytes.subarray(0, 16), other.subarray(16)])];
    mixed.push(Buffer.concat([other.subarray(0, 16), bytes.subarray(16)]));
    for (const one of mixed) expect(keyring.open(one.toString("base64url"))).toBeUndefined();
  });

  it("refuses texts that the same secret signed or encrypted for another purpose", () => {
    const body = Buffer.from(token, "base64url");
    const hmac = (data: string | Buffer) => createHmac("sha256", first).update(data);
    const jwt = `${Buffer.from('{"alg":"HS256"}').toString("base64url")}.${token}`;
    const iv = hmac(body).digest().subarray(0, 16);
    const key = Buffer.alloc(32, first);
    const others = [
      // The token with a signature, as `cookie-signature`, express-session, JWT and a plain HMAC have it.
      `${token}.${hmac(token).digest("base64")}`,
      `s:${token}.${hmac(token).digest("base64").replace(/=+$/, "")}`,
      hmac(token).digest("base64url"),
      `${jwt}.${hmac(jwt).digest("base64url")}`,
      hmac(jwt).digest("base64url"),
      Buffer.concat([body, iv]).toString("base64url"),
      Buffer.concat([iv, body]).toString("base64url"),
      Buffer.concat([iv, createCipheriv("aes-256-ctr", key, iv).update(body)]).toString("base64url"),
    ];
    for (const other of others) expect(keyring.open(other)).toBeUndefined();
    for (let i = 0; i < 1_000; i++)
      expect(keyring.open(randomBytes(17 + (i % 60)).toString("base64url"))).toBeUndefined();
  });

  it("refuses another spelling of a valid token", () => {
    const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const spellings = [...letters].map((last) => sealed.slice(0, -1) + last);
    expect(spellings.filter((text) => keyring.open(text) !== undefined)).toEqual([sealed]);
  });

  it("refuses a signature without content", () => {
    expect(keyring.open(keyring.seal(""))).toBeUndefined();
  });

  it("refuses a text of more than 1536 characters, even when correctly encrypted", () => {
    const long = keyring.seal(Buffer.alloc(1200).toString("base64url"));
    expect(long.length).toBeGreaterThan(1536);
    expect(keyring.open(long)).toBeUndefined();
    expect(keyring.open("A".repeat(10_000_000))).toBeUndefined();
  });

  it("refuses characters outside base64url", () => {
    for (const stray of ["=", "+", " ", "\n", "\0", ";", "é"]) {
      expect(keyring.open(sealed + stray)).toBeUndefined();
      expect(keyring.open(stray + sealed)).toBeUndefined();
    }
  });
});

describe("Keyring.isLikely", () => {
  it("is true for encrypted texts, and false for texts that are too short or spelled in another way", () => {
    const sealed = new Keyring(other).seal(token);
    expect(Keyring.isLikely(sealed)).toBe(true);
    for (let length = 0; length <= 60; length++) {
      const text = randomBytes(length).toString("base64url");
      expect(Keyring.isLikely(text)).toBe(length >= 21);
      expect(Keyring.isLikely(`${text}=`)).toBe(false);
      // One more character spells no whole byte.
      if (text.length % 4 === 0) expect(Keyring.isLikely(`${text}A`)).toBe(false);
    }
    const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for (const length of [22, 23, 24]) {
      const text = randomBytes(length).toString("base64url");
      const spellings = [...letters].map((last) => text.slice(0, -1) + last);
      for (const one of spellings)
        expect(Keyring.isLikely(one)).toBe(Buffer.from(one, "base64url").toString("base64url") === one);
    }
  });
});

describe("new Keyring", () => {
  it.each([
    ["no secret", undefined, "secret: got undefined. Pass a string"],
    ["null", null, "secret: got null. Pass a string"],
    ["a number", 7, "secret: got a number. Pass a string"],
    ["an empty list", [], "secret: got an empty array. Pass a string"],
    ["a short secret", "hunter2", "a string of 7 characters"],
    ["an empty secret", "", "a string of 0 characters"],
    ["a list with a short secret", [first, "short"], "a string of 5 characters"],
    ["a list with a hole", [first, undefined], "got undefined"],
  ])("refuses %s, and says what was given and what to give", (_, secret, message) => {
    const error = invalidOption(() => Reflect.construct(Keyring, [secret]));
    expect(error.code).toBe("TIDEMARK_INVALID_OPTION");
    expect(error.message).toContain(message);
    expect(error.message).toMatch(/\. Pass /);
  });

  it("does not repeat a secret in the error", () => {
    expect(invalidOption(() => new Keyring("hunter2")).message).not.toContain("hunter2");
    expect(invalidOption(() => new Keyring([first, "hunter2"])).message).not.toContain("hunter2");
    expect(invalidOption(() => new Keyring([first, "hunter2"])).message).not.toContain(first);
  });
});
