/** The estimate of how long servers take to answer. */
import { describe, expect, it } from "vitest";
import { LatencyEstimate } from "../../src/node/latency-estimate.js";

function latencyAfter(...times: readonly number[]): LatencyEstimate {
  const latency = new LatencyEstimate();
  for (const tookMs of times) {
    latency.asked(1000);
    latency.answered(1000, 1000 + tookMs);
  }
  return latency;
}

describe("LatencyEstimate", () => {
  it("is unknown before the first answer, and then equals the first answer's latency", () => {
    expect(latencyAfter().at(2000)).toBe(0);
    expect(latencyAfter(10).at(2000)).toBe(10);
  });

  it("ignores single slow answers", () => {
    expect(latencyAfter(1, 50, 60, 70).at(2000)).toBe(1);
    expect(latencyAfter(50, 1).at(2000)).toBe(1);
  });

  it("follows slow answers after four of them, and a fast one at once", () => {
    expect(latencyAfter(1, 50, 60, 70, 80).at(2000)).toBe(50);
    expect(latencyAfter(1, 50, 60, 70, 80, 2).at(2000)).toBe(2);
  });

  it("is at least the age of the oldest unanswered probe", () => {
    const latency = latencyAfter(1);
    latency.asked(2000);
    latency.asked(2150);
    expect(latency.at(2300)).toBe(300);
    latency.forget();
    expect(latency.at(2300)).toBe(1);
  });
});
