/** The HMAC of tokens must be the one of `node:crypto`, or tokens of other versions would be refused. */
import { createHmac, randomBytes } from "node:crypto";
import { describe, expect, it } from "vitest";
import { HmacSha256 } from "../../src/http/hmac.js";

/** Hex, which differs visibly in a failure. */
const hex = (digest: string) => Buffer.from(digest, "latin1").toString("hex");
const expected = (key: Buffer, message: Buffer) => createHmac("sha256", key).update(message).digest("hex");

describe("HmacSha256.digest", () => {
  it("equals createHmac for messages of every length up to 300 bytes", () => {
    const key = randomBytes(32);
    const hmac = new HmacSha256(key);
    for (let length = 0; length <= 300; length++) {
      const message = randomBytes(length);
      expect(hex(hmac.digest(message))).toBe(expected(key, message));
    }
  });

  it("equals createHmac for messages around the limit of the prepared buffer", () => {
    const key = randomBytes(32);
    const hmac = new HmacSha256(key);
    for (const length of [2046, 2047, 2048, 2049, 2050, 2111, 2112, 2113, 10_000]) {
      const message = randomBytes(length);
      expect(hex(hmac.digest(message))).toBe(expected(key, message));
    }
  });

  it("equals createHmac for keys of every length up to a block", () => {
    for (let length = 0; length <= 64; length++) {
      const [key, message] = [randomBytes(length), randomBytes(50)];
      expect(hex(new HmacSha256(key).digest(message))).toBe(expected(key, message));
    }
  });

  it("equals createHmac for 2,000 random keys and messages", () => {
    for (let i = 0; i < 2_000; i++) {
      const [key, message] = [randomBytes(32), randomBytes((i * 7) % 1_200)];
      expect(hex(new HmacSha256(key).digest(message))).toBe(expected(key, message));
    }
  });

  it("does not depend on the messages before", () => {
    const key = randomBytes(32);
    const hmac = new HmacSha256(key);
    const short = Buffer.from("short");
    const before = hmac.digest(short);
    hmac.digest(randomBytes(1_000));
    hmac.digest(randomBytes(5_000));
    expect(hmac.digest(short)).toBe(before);
    expect(hex(before)).toBe(expected(key, short));
  });

  it("keeps its own copy of the key", () => {
    const key = randomBytes(32);
    const hmac = new HmacSha256(key);
    const message = randomBytes(40);
    const before = hmac.digest(message);
    key.fill(0);
    expect(hmac.digest(message)).toBe(before);
  });

  it("covers only the given part of a buffer", () => {
    const key = randomBytes(32);
    const hmac = new HmacSha256(key);
    const bytes = randomBytes(9_000);
    for (const [from, to] of [
      [0, 0],
      [16, 51],
      [16, 3_000],
      [100, 9_000],
    ] as const)
      expect(hex(hmac.digest(bytes, from, to))).toBe(expected(key, bytes.subarray(from, to)));
  });

  it("refuses a key that is longer than a block", () => {
    expect(() => new HmacSha256(randomBytes(65))).toThrow(RangeError);
  });
});
