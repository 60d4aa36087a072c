/** The observed rate at which a replica catches up. */
import { expect, it } from "vitest";
import { ApplyRate } from "../../src/node/apply-rate.js";

/** One word for each offset, so many milliseconds apart; the lags are those of a replica that lacks something. */
function seen(
  offsets: readonly number[],
  everyMs: number,
  lagOf: (index: number) => number | undefined,
): ApplyRate {
  const rate = new ApplyRate();
  for (const [i, offset] of offsets.entries())
    rate.observe({ at: i * everyMs, offset, lagMs: lagOf(i), newestMs: Number.POSITIVE_INFINITY }, 10 * i);
  return rate;
}

it("the rate covers the data that was applied while the replica was behind", () => {
  const { pace } = seen([0, 100, 200, 300], 50, () => 20);
  expect(pace).toEqual({ bytesPerMs: 2, lagGrowth: 0 });
});

it("the rate comes with the speed at which the lag grows or shrinks", () => {
  expect(seen([0, 100, 200], 50, (i) => 10 + 25 * i).pace?.lagGrowth).toBe(0.5);
  expect(seen([0, 100, 200], 50, (i) => 500 - 50 * i).pace?.lagGrowth).toBe(-1);
});

it("the rate covers only the last half second", () => {
  const slowThenFast = Array.from({ length: 40 }, (_, i) => (i < 20 ? i * 50 : 1_000 + (i - 20) * 500));
  expect(seen(slowThenFast, 50, () => 20).pace?.bytesPerMs).toBe(10);
});

it("the rate excludes the time before the replica moved and the time since", () => {
  expect(seen([0, 0, 0, 0, 100, 200, 200], 50, () => 20).pace?.bytesPerMs).toBe(2);
});

it("the rate is unknown for a replica that stands still, lacks nothing, was seen too briefly, or has an unbounded lag", () => {
  expect(new ApplyRate().pace).toBeUndefined();
  expect(seen([7], 50, () => 20).pace).toBeUndefined();
  expect(seen([0, 100, 100, 100, 100], 50, () => 20).pace).toBeUndefined();
  expect(seen([0, 100, 200], 50, () => 0).pace).toBeUndefined();
  expect(seen([0, 100, 200], 20, () => 20).pace).toBeUndefined();
  expect(seen([0, 100, 200], 50, () => undefined).pace).toBeUndefined();
});

it("the rate starts over when the replica's offset goes back", () => {
  expect(seen([900, 1_000, 0, 50, 100], 50, () => 20).pace?.bytesPerMs).toBe(1);
});

it("the rate records since when the replica has been standing still", () => {
  expect(seen([0, 100, 100, 100], 50, () => 20).standsSince).toBe(50);
});

/** The usual lag after two words 10 ms apart: what the replica lacked for `lackedMs` has arrived by the second. */
function lagAfter(lackedMs: number | undefined, { everyMs = 10, newestMs = Number.POSITIVE_INFINITY } = {}) {
  const rate = new ApplyRate();
  rate.observe({ at: 0, offset: 0, lagMs: lackedMs, newestMs }, 100);
  rate.observe({ at: everyMs, offset: 100, lagMs: 0, newestMs }, 300);
  return rate.usualLagMs;
}

it("the rate comes with the usual lag of writes that were seen to arrive", () => {
  expect(lagAfter(300)).toBe(300);
  expect(lagAfter(0, { newestMs: 4 })).toBe(300);
});

it("the rate comes without a usual lag when the replica was probed too rarely to estimate it", () => {
  expect(lagAfter(3, { everyMs: 1_000 })).toBeUndefined();
  expect(lagAfter(0, { newestMs: 1_000 })).toBeUndefined();
  expect(lagAfter(undefined)).toBeUndefined();
});
