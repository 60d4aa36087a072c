/** The rate at which a replica was seen to catch up. */
import { expect, it } from "vitest";
import { ApplyRate } from "../src/node/apply-rate.js";

/** One word for each offset, so many milliseconds apart; the lags are those of a replica that lacks something. */
function seen(
  offsets: readonly number[],
  everyMs: number,
  lagOf: (index: number) => number | undefined,
): ApplyRate {
  const rate = new ApplyRate();
  for (const [i, offset] of offsets.entries())
    rate.observe({ at: i * everyMs, offset, lagMs: lagOf(i) }, 10 * i);
  return rate;
}

it("is that of what was applied while the replica was behind", () => {
  const { pace } = seen([0, 100, 200, 300], 50, () => 20);
  expect(pace).toEqual({ bytesPerMs: 2, lagGrowth: 0 });
});

it("comes with how fast the lag grows, or shrinks", () => {
  expect(seen([0, 100, 200], 50, (i) => 10 + 25 * i).pace?.lagGrowth).toBe(0.5);
  expect(seen([0, 100, 200], 50, (i) => 500 - 50 * i).pace?.lagGrowth).toBe(-1);
});

it("is that of the last half second alone", () => {
  const slowThenFast = Array.from({ length: 40 }, (_, i) => (i < 20 ? i * 50 : 1_000 + (i - 20) * 500));
  expect(seen(slowThenFast, 50, () => 20).pace?.bytesPerMs).toBe(10);
});

it("does not count the time before it moved, nor that since", () => {
  expect(seen([0, 0, 0, 0, 100, 200, 200], 50, () => 20).pace?.bytesPerMs).toBe(2);
});

it("is unknown of a replica that stands still, lacks nothing, was seen too briefly, or whose lag may be any", () => {
  expect(new ApplyRate().pace).toBeUndefined();
  expect(seen([7], 50, () => 20).pace).toBeUndefined();
  expect(seen([0, 100, 100, 100, 100], 50, () => 20).pace).toBeUndefined();
  expect(seen([0, 100, 200], 50, () => 0).pace).toBeUndefined();
  expect(seen([0, 100, 200], 20, () => 20).pace).toBeUndefined();
  expect(seen([0, 100, 200], 50, () => undefined).pace).toBeUndefined();
});

it("begins anew when the replica has gone back", () => {
  expect(seen([900, 1_000, 0, 50, 100], 50, () => 20).pace?.bytesPerMs).toBe(1);
});

it("keeps the usual lag of when the replica moved last, and since when it stands", () => {
  const standing = seen([0, 100, 100, 100], 50, () => 20);
  expect([standing.usualLagMs, standing.standsSince]).toEqual([10, 50]);
  const caughtUp = seen([0, 100, 100, 100], 50, (i) => (i === 3 ? 0 : 20));
  expect([caughtUp.usualLagMs, caughtUp.standsSince]).toEqual([30, 50]);
});
