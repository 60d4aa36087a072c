/** The hashes of keys in tokens: evenly spread, equal for strings and Buffers, and stable forever. */
import { describe, expect, it } from "vitest";
import { hashOf } from "../../src/commands/key-hash.js";
import { seeded } from "../support/load/seeded.js";

const KEYS = 200_000;
const NUMBERS = 65_536;

const digits = (n: number | string, length: number) => String(n).padStart(length, "0");

function uuids(): (n: number) => string {
  const random = seeded(1);
  const hex = () => digits(Math.floor(random() * 2 ** 32).toString(16), 8);
  return () => `session:${hex()}-${hex().replace(/^..../, "$&-")}-${hex().replace(/^..../, "$&-")}${hex()}`;
}

const families: Readonly<Record<string, (n: number) => string>> = {
  "user:1": (n) => `user:${n}`,
  "user:000001:cart": (n) => `user:${digits(n, 6)}:cart`,
  "{tenant}:item:1": (n) => `{tenant${n % 100}}:item:${Math.floor(n / 100)}`,
  "bare numbers": (n) => String(n),
  "numbers of one length in front": (n) => `${digits(n, 8)}:profile:settings`,
  UUIDs: uuids(),
  "steps of 1024": (n) => `page:${n * 1024}`,
  "not ASCII": (n) => `käufer:${n}`,
};

describe("hashOf", () => {
  it.each(Object.entries(families))("spreads keys like %s evenly over 16 bits", (_name, keyOf) => {
    const counts = new Float64Array(NUMBERS);
    for (let n = 1; n <= KEYS; n += 1) {
      const hash = hashOf(keyOf(n));
      counts[hash] = (counts[hash] ?? Number.NaN) + 1;
    }
    expect(counts.reduce((sum, count) => sum + count)).toBe(KEYS);
    const pairs = (count: number) => (count * (count - 1)) / 2;
    const collisions = counts.reduce((sum, count) => sum + pairs(count), 0);
    // Random numbers would come within a hundredth of this.
    expect(collisions / (pairs(KEYS) / NUMBERS)).toBeCloseTo(1, 1);
    expect(Math.max(...counts)).toBeLessThan(20);
  });

  it("separates keys that differ in one character at any place", () => {
    const key = "order:2024-11-30:550e8400-e29b-41d4-a716-446655440000:lines";
    let same = 0;
    let compared = 0;
    for (let at = 0; at < key.length; at += 1) {
      for (const other of "0123456789abcdefghijklmnopqrstuvwxyz:-") {
        const changed = key.slice(0, at) + other + key.slice(at + 1);
        if (changed === key) continue;
        compared += 1;
        if (hashOf(changed) === hashOf(key)) same += 1;
      }
    }
    expect(compared).toBeGreaterThan(2000);
    expect(same).toBeLessThan(3);
  });

  it.each([
    ...["", "k", "user:1", "käufer", "ключ:1", "鍵", "🔑", "a🔑b", "\0", "\x7f", "\x80", "\ud83d", "\udd11x"],
    ...["x".repeat(1024), "x".repeat(1025), "é".repeat(512), "é".repeat(513), "é".repeat(5000)],
    // Each cut goes through a pair of surrogates.
    ...[`${"x".repeat(511)}${"🔑".repeat(600)}`, `${"🔑".repeat(600)}${"x".repeat(511)}`, "🔑".repeat(600)],
  ])("is the same for a string as for its bytes (%#)", (text) => {
    expect(hashOf(text)).toBe(hashOf(Buffer.from(text)));
  });

  it("covers the length and both ends of a long key, in constant time", () => {
    const long = (first: string, middle: number, last: string) =>
      `${first}${"-".repeat(600)}${"=".repeat(middle)}${"-".repeat(600)}${last}`;
    const hashes = [
      ...[hashOf(long("a", 1, "z")), hashOf(long("b", 1, "z")), hashOf(long("a", 1, "y"))],
      hashOf(long("a", 2, "z")),
    ];
    expect(new Set(hashes).size).toBe(4);
    expect(hashOf(Buffer.alloc(50_000_000))).not.toBe(hashOf(Buffer.alloc(50_000_001)));
  });

  it("never changes, because tokens contain it", () => {
    const keys = ["", "k", "user:1", "user:2", "käufer", "🔑", "x".repeat(1024), "x".repeat(1025)];
    expect(keys.map(hashOf)).toEqual([43838, 58996, 21758, 41439, 10112, 292, 30692, 8567]);
    expect([[], [0], [255, 254], [0xc3, 0x28]].map((bytes) => hashOf(Buffer.from(bytes)))).toEqual([
      43838, 33823, 12516, 42854,
    ]);
  });
});
