/** Sealed tokens: only those who know a secret can make one. */
import { describe, expect, it } from "vitest";
import { InvalidOptionError } from "../src/errors.js";
import { Keyring } from "../src/keyring.js";
import { encodeToken } from "../src/token.js";

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
  it("give back the token that was sealed", () => {
    const keyring = new Keyring(first);
    expect(keyring.open(keyring.seal(token))?.token).toBe(token);
  });

  it("give a text of about 50 characters for one position, fit for a cookie, a header or a URL", () => {
    const sealed = new Keyring(first).seal(token);
    expect(sealed).toMatch(/^[\w-]+$/);
    expect(sealed.length).toBeGreaterThan(40);
    expect(sealed.length).toBeLessThanOrEqual(56);
  });

  it("give back the largest token there is", () => {
    const positions = Array.from({ length: 7 }, (_, i) => ({
      replid: `ffffffffffffff0${i}`,
      offset: 2 ** 53 - 1,
    }));
    const largest = encodeToken({ issuedAt: 2 ** 48 - 1, pinnedAt: 1, freshAsOf: 0, positions });
    const keyring = new Keyring(first);
    expect(keyring.open(keyring.seal(largest))?.token).toBe(largest);
  });
});

describe("Keyring with several secrets", () => {
  const old = new Keyring(first);
  const rotated = new Keyring([second, first]);

  it("opens what an older secret sealed", () => {
    expect(rotated.open(old.seal(token))?.token).toBe(token);
  });

  it("seals with the newest one", () => {
    expect(rotated.seal(token)).toBe(new Keyring(second).seal(token));
    expect(old.open(rotated.seal(token))).toBeUndefined();
  });

  it("does not open what a secret sealed that is no longer in the list", () => {
    expect(new Keyring([second]).open(old.seal(token))).toBeUndefined();
    expect(rotated.open(new Keyring(other).seal(token))).toBeUndefined();
  });

  it("keeps its own list when the one it was given changes", () => {
    const list = [second, first];
    const keyring = new Keyring(list);
    list[0] = other;
    expect(keyring.seal(token)).toBe(rotated.seal(token));
  });
});

describe("Keyring.open", () => {
  const keyring = new Keyring(first);
  const sealed = keyring.seal(token);

  it("refuses a token with any one bit changed, in the claims or in the signature", () => {
    const bytes = Buffer.from(sealed, "base64url");
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const flipped = Buffer.from(bytes);
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(keyring.open(flipped.toString("base64url"))).toBeUndefined();
    }
  });

  it("refuses a token without a signature, or with a signature cut short", () => {
    expect(keyring.open(token)).toBeUndefined();
    for (let length = 0; length < sealed.length; length++) {
      expect(keyring.open(sealed.slice(0, length))).toBeUndefined();
    }
  });

  it("refuses another token under this one's signature", () => {
    const signature = Buffer.from(sealed, "base64url").subarray(-16);
    const forged = encodeToken({ issuedAt: 1_763_845_200_123, pinnedAt: 9, freshAsOf: 0, positions: [] });
    const bytes = Buffer.concat([Buffer.from(forged, "base64url"), signature]);
    expect(keyring.open(bytes.toString("base64url"))).toBeUndefined();
  });

  it("refuses a signature over nothing", () => {
    expect(keyring.open(keyring.seal(""))).toBeUndefined();
  });

  it("refuses a text of more than 1024 characters, well sealed or not", () => {
    const long = keyring.seal(Buffer.alloc(800).toString("base64url"));
    expect(long.length).toBeGreaterThan(1024);
    expect(keyring.open(long)).toBeUndefined();
    expect(keyring.open("A".repeat(10_000_000))).toBeUndefined();
  });

  it("refuses characters that base64url does not have", () => {
    for (const stray of ["=", "+", " ", "\n", "\0", ";", "é"]) {
      expect(keyring.open(sealed + stray)).toBeUndefined();
      expect(keyring.open(stray + sealed)).toBeUndefined();
    }
  });
});

describe("new Keyring", () => {
  it.each([
    ["no secret", undefined, "secret: got undefined; give a string"],
    ["null", null, "secret: got null; give a string"],
    ["a number", 7, "secret: got a number; give a string"],
    ["an empty list", [], "secret: got an empty array; give a string"],
    ["a short secret", "hunter2", "a string of 7 characters"],
    ["an empty secret", "", "a string of 0 characters"],
    ["a list with a short secret", [first, "short"], "a string of 5 characters"],
    ["a list with a hole", [first, undefined], "got undefined"],
  ])("refuses %s, and says what came and what to give", (_, secret, message) => {
    const error = invalidOption(() => Reflect.construct(Keyring, [secret]));
    expect(error.code).toBe("TIDEMARK_INVALID_OPTION");
    expect(error.message).toContain(message);
    expect(error.message).toMatch(/; give /);
  });

  it("does not repeat a secret in the error", () => {
    expect(invalidOption(() => new Keyring("hunter2")).message).not.toContain("hunter2");
    expect(invalidOption(() => new Keyring([first, "hunter2"])).message).not.toContain("hunter2");
    expect(invalidOption(() => new Keyring([first, "hunter2"])).message).not.toContain(first);
  });
});
