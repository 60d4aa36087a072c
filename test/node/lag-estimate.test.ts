/** The estimate of how long a replica takes to apply a write. */
import { describe, expect, it } from "vitest";
import { LagEstimate } from "../../src/node/lag-estimate.js";

const never = Number.POSITIVE_INFINITY;

function having(...looks: readonly (readonly [atLeastMs: number, atMostMs: number])[]): LagEstimate {
  const lag = new LagEstimate();
  for (const [atLeastMs, atMostMs] of looks) lag.observe(atLeastMs, atMostMs);
  return lag;
}

function times(count: number, look: readonly [number, number]): (readonly [number, number])[] {
  return Array.from({ length: count }, () => look);
}

describe("LagEstimate", () => {
  it("starts with no lag, so that a new replica is tried", () => {
    expect(having().ms).toBe(0);
    expect(having().hasPassed(0)).toBe(true);
  });

  it("rises when a write of a known age had not arrived yet", () => {
    const lag = having([40, never]);
    expect(lag.ms).toBeGreaterThan(20);
    expect(lag.hasPassed(5)).toBe(false);
    expect(lag.hasPassed(200)).toBe(true);
  });

  it("settles above a steady lag within a few probes, and stays close to that lag", () => {
    const soon = having(...times(5, [40, 45])).ms;
    expect(soon).toBeGreaterThan(40);
    expect(soon).toBeLessThan(60);
    const { ms } = having(...times(200, [40, 45]));
    expect(ms).toBeGreaterThan(38);
    expect(ms).toBeLessThan(60);
  });

  it("falls when a very recent write had arrived", () => {
    const lag = having(...times(20, [40, 45]), ...times(60, [0, 2]));
    expect(lag.ms).toBeLessThan(6);
  });

  it("rises within two probes and falls within five, because a spike changes a replica", () => {
    const rising = having(...times(50, [40, 40]), ...times(2, [80, 80]));
    expect(rising.ms).toBeGreaterThan(70);
    const falling = having(...times(50, [300, 300]), ...times(5, [0, 5]));
    expect(falling.ms).toBeLessThan(60);
    for (const look of times(5, [0, 5])) falling.observe(...look);
    expect(falling.ms).toBeLessThan(7);
  });

  it("stays above the measured lag, because a read that is tried too early is wasted", () => {
    const falling = having(...times(50, [80, 80]));
    for (const look of times(30, [40, 40])) {
      falling.observe(...look);
      expect(falling.ms).toBeGreaterThan(40);
    }
    expect(falling.ms).toBeLessThan(45);
  });

  it("falls a little with each probe that agrees, so that one hiccup is forgotten", () => {
    const lag = having(...times(50, [40, 40]));
    const before = lag.ms;
    lag.observe(10, 100);
    expect(lag.ms).toBeLessThan(before);
    expect(lag.ms).toBeGreaterThan(before * 0.9);
    for (let i = 0; i < 500; i++) lag.observe(0, never);
    expect(lag.ms).toBeLessThan(1);
  });

  it("weighs missing writes more than arrived ones", () => {
    expect(having([50, 10]).ms).toEqual(having([50, 50]).ms);
  });

  it("stays a number at or above zero through any probes", () => {
    const lag = new LagEstimate();
    for (let i = 0; i < 5000; i++) {
      const atLeastMs = (i * 7919) % 997;
      lag.observe(i % 3 === 0 ? 0 : atLeastMs, i % 5 === 0 ? never : (i * 104_729) % 1009);
      expect(lag.ms).toBeGreaterThanOrEqual(0);
      expect(lag.ms).toBeLessThan(5000);
    }
  });
});
