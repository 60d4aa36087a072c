/** The encryption of tokens must be the AES-256-CTR of `node:crypto`, or tokens of other versions would be refused. */
import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { describe, expect, it } from "vitest";
import { CounterMode } from "../../src/http/counter-mode.js";

const cipher = "aes-256-ctr";

function applied(mode: CounterMode, text: Buffer, iv: Buffer): string {
  const bytes = Buffer.from(text);
  mode.apply(bytes, iv);
  return bytes.toString("hex");
}

function expected(key: Buffer, text: Buffer, iv: Buffer): string {
  return createCipheriv(cipher, key, iv).update(text).toString("hex");
}

describe("CounterMode.apply", () => {
  it("equals createCipheriv for texts of every length up to 300 bytes", () => {
    const key = randomBytes(32);
    const mode = new CounterMode(key);
    for (let length = 0; length <= 300; length++) {
      const [text, iv] = [randomBytes(length), randomBytes(16)];
      expect(applied(mode, text, iv)).toBe(expected(key, text, iv));
    }
  });

  it("equals createCipheriv for texts around the limit of the prepared buffer", () => {
    const key = randomBytes(32);
    const mode = new CounterMode(key);
    for (const length of [2047, 2048, 2049, 2064, 10_000]) {
      const [text, iv] = [randomBytes(length), randomBytes(16)];
      expect(applied(mode, text, iv)).toBe(expected(key, text, iv));
    }
  });

  it("equals createCipheriv for 2,000 random keys and texts", () => {
    for (let i = 0; i < 2_000; i++) {
      const [key, text, iv] = [randomBytes(32), randomBytes((i * 7) % 1_200), randomBytes(16)];
      expect(applied(new CounterMode(key), text, iv)).toBe(expected(key, text, iv));
    }
  });

  it("carries into every byte of the counter, and from the highest value to 0", () => {
    const key = randomBytes(32);
    const mode = new CounterMode(key);
    const text = randomBytes(80);
    for (let bytes = 0; bytes <= 16; bytes++)
      for (const last of [0xfd, 0xfe, 0xff]) {
        const iv = randomBytes(16).fill(0xff, 16 - bytes);
        iv[15] = last;
        expect(applied(mode, text, iv)).toBe(expected(key, text, iv));
      }
  });

  it("decrypts what createCipheriv encrypted, and encrypts for createDecipheriv", () => {
    const [key, iv, text] = [randomBytes(32), randomBytes(16), randomBytes(70)];
    const mode = new CounterMode(key);
    const encrypted = createCipheriv(cipher, key, iv).update(text);
    expect(applied(mode, encrypted, iv)).toBe(text.toString("hex"));
    const own = Buffer.from(applied(mode, text, iv), "hex");
    expect(createDecipheriv(cipher, key, iv).update(own)).toEqual(text);
  });

  it("changes only the given part of a buffer, which may have the IV in front", () => {
    const key = randomBytes(32);
    const all = randomBytes(64);
    const before = Buffer.from(all);
    new CounterMode(key).apply(all, all, 16, 51);
    expect(all.subarray(0, 16)).toEqual(before.subarray(0, 16));
    expect(all.subarray(51)).toEqual(before.subarray(51));
    expect(all.toString("hex", 16, 51)).toBe(expected(key, before.subarray(16, 51), before.subarray(0, 16)));
  });
});
