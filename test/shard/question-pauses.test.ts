/** How often a replica is asked for a write that a read waits for, and how late the answer is noticed. */
import { describe, expect, it } from "vitest";
import { pauseMs } from "../../src/shard/monitor.js";

/** Asks until the write has arrived, `lagMs` after it was made. */
function askUntilArrival({ lagMs, usualMs }: { readonly lagMs: number; readonly usualMs: number }) {
  let [questions, at] = [0, 0];
  while (at < lagMs) {
    at += pauseMs(at, usualMs);
    questions += 1;
  }
  return { questions, lateMs: at - lagMs };
}

const lags = Array.from({ length: 100 }, (_, i) => 1.07 ** i);

describe("the pauses between two questions to a replica", () => {
  it("keep the questions few when the write takes as long as usual", () => {
    for (const lagMs of lags) expect(askUntilArrival({ lagMs, usualMs: lagMs }).questions).toBeLessThan(25);
  });

  it("keep the questions few when the write takes 300 ms instead of the usual time", () => {
    for (const usualMs of lags.filter((ms) => ms < 300))
      expect(askUntilArrival({ lagMs: 300, usualMs }).questions).toBeLessThan(40);
  });

  it("end soon after a write that takes as long as usual, compared with its lag", () => {
    for (const lagMs of lags)
      for (const around of [0.95, 1, 1.05])
        expect(askUntilArrival({ lagMs: lagMs * around, usualMs: lagMs }).lateMs).toBeLessThan(
          1 + lagMs * 0.1,
        );
  });

  it("end soon after a write that takes longer than usual, compared with its lag", () => {
    for (const lagMs of lags)
      for (const usualMs of [0, lagMs / 10, lagMs / 2])
        expect(askUntilArrival({ lagMs, usualMs }).lateMs).toBeLessThan(1 + lagMs / 5);
  });

  it("end soon after a write that takes much less time than usual", () => {
    for (const usualMs of lags)
      for (const lagMs of lags.filter((ms) => ms < usualMs))
        expect(askUntilArrival({ lagMs, usualMs }).lateMs).toBeLessThan(1 + Math.max(lagMs, usualMs / 20));
  });

  it("are never shorter than a millisecond and a twentieth of the lag, however many reads wait", () => {
    for (const usualMs of lags)
      for (const ageMs of [-10, 0, ...lags])
        expect(pauseMs(ageMs, usualMs)).toBeGreaterThanOrEqual(Math.max(1, usualMs / 20));
  });
});
