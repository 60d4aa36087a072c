/** How long servers take to answer, as it is guessed. */
import { describe, expect, it } from "vitest";
import { Latency } from "../src/latency.js";

function ask(latency: Latency, at: number, tookMs: number): void {
  latency.asked(at);
  latency.answered(at, at + tookMs);
}

describe("Latency", () => {
  it("is that of the first answer, and then moves towards each, faster up than down", () => {
    const latency = new Latency();
    expect(latency.at(0)).toBe(0);
    ask(latency, 0, 10);
    expect(latency.at(10)).toBe(10);
    ask(latency, 20, 20);
    const up = latency.at(40) - 10;
    ask(latency, 60, latency.at(60) - 10);
    const down = 10 + up - latency.at(80);
    expect(up).toBeGreaterThan(down);
    expect(down).toBeGreaterThan(0);
  });

  it("comes to what answers take, if that stays", () => {
    const latency = new Latency();
    ask(latency, 0, 100);
    for (let at = 0; at < 100; at++) ask(latency, at * 10, 2);
    expect(latency.at(2000)).toBeCloseTo(2, 1);
  });

  it("is at least the age of a question without an answer, of several that of the oldest", () => {
    const latency = new Latency();
    ask(latency, 0, 1);
    latency.asked(100);
    latency.asked(150);
    expect(latency.at(300)).toBe(200);
    latency.forget();
    expect(latency.at(300)).toBe(1);
  });
});
