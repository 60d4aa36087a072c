/** The intervals around estimated shares. */
import { describe, expect, it } from "vitest";
import { ShareTally } from "../../src/shadow/share-tally.js";

/** The same numbers from 0 to 1 in every run (mulberry32). */
function numbersFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** How many of 1,000 intervals contain the truth. `shareAt` is the share of a second, which varies around `truth`. */
function covered(
  truth: number,
  shareAt: (random: () => number) => number,
  seconds: number,
  perSecond: number,
): number {
  let inside = 0;
  for (let run = 0; run < 1_000; run += 1) {
    const random = numbersFrom(run);
    const tally = new ShareTally();
    for (let second = 0; second < seconds; second += 1) {
      const share = shareAt(random);
      for (let i = 0; i < perSecond; i += 1) tally.add(second * 1_000 + i, random() < share ? 1 : 0);
    }
    const { low, high } = tally.estimate;
    if (low <= truth && truth <= high) inside += 1;
  }
  return inside;
}

describe("An interval of 95 %", () => {
  it.each([
    ["a common share", 0.3],
    ["a rare one", 0.01],
  ])("contains %s in about 950 of 1,000 samples of independent reads", (_what, truth) => {
    const inside = covered(truth, () => truth, 20, 50);
    expect(inside).toBeGreaterThan(930);
    expect(inside).toBeLessThan(990);
  });

  it("contains the truth as often if a replica lags in one second of five", () => {
    const inside = covered(0.1, (random) => (random() < 0.2 ? 0.5 : 0), 60, 50);
    expect(inside).toBeGreaterThan(900);
  });
});

describe("An estimate", () => {
  it("is unknown without reads", () => {
    expect(new ShareTally().estimate).toEqual({ value: NaN, low: NaN, high: NaN });
  });

  it("leaves room for what a small sample has not seen", () => {
    const tally = new ShareTally();
    for (let i = 0; i < 10; i += 1) tally.add(i, 0);
    const { value, low, high } = tally.estimate;
    expect([value, low]).toEqual([0, 0]);
    expect(high).toBeGreaterThan(0.2);
    expect(high).toBeLessThan(0.3);
  });
});
