/** How long a replica takes to reach the offsets of its primary. Times are given, so no clock decides. */
import { describe, expect, it } from "vitest";
import { CatchUp } from "../../../src/cli/top/catch-up.js";

function following(replid = "a"): CatchUp {
  const catchUp = new CatchUp();
  catchUp.follow(replid);
  return catchUp;
}

describe("CatchUp", () => {
  it("is 0 if the replica has what the primary has", () => {
    const catchUp = following();
    catchUp.compare(100, 100, 0);
    expect([catchUp.isBehind, catchUp.lagMs(50)]).toEqual([false, 0]);
    catchUp.compare(200, 230, 1_000);
    expect([catchUp.isBehind, catchUp.lagMs(1_050)]).toEqual([false, 0]);
  });

  it("grows until the replica has caught up, and then stays as long as it took", () => {
    const catchUp = following();
    catchUp.compare(100, 90, 0);
    expect([catchUp.isBehind, catchUp.lagMs(7)]).toEqual([true, 7]);
    catchUp.reach(99, 8);
    expect([catchUp.isBehind, catchUp.lagMs(9)]).toEqual([true, 9]);
    catchUp.reach(100, 15);
    expect([catchUp.isBehind, catchUp.lagMs(900)]).toEqual([false, 15]);
  });

  it("counts from the oldest offset that the replica lacks", () => {
    const catchUp = following();
    catchUp.compare(100, 90, 0);
    catchUp.compare(200, 90, 1_000);
    expect(catchUp.lagMs(1_500)).toBe(1_500);
    catchUp.compare(300, 150, 2_000);
    expect(catchUp.lagMs(2_500)).toBe(2_000);
    catchUp.compare(300, 250, 3_000);
    expect(catchUp.lagMs(3_100)).toBe(2_000);
    catchUp.reach(300, 3_200);
    expect([catchUp.isBehind, catchUp.lagMs(9_000)]).toEqual([false, 1_200]);
  });

  it("keeps the time of an offset that the primary reports again", () => {
    const catchUp = following();
    catchUp.compare(100, 90, 0);
    catchUp.compare(100, 90, 1_000);
    catchUp.reach(100, 1_500);
    expect(catchUp.lagMs(1_500)).toBe(1_500);
  });

  it("does not compare the offsets of two histories", () => {
    const catchUp = following("a");
    catchUp.compare(100, 90, 0);
    catchUp.follow("b");
    expect([catchUp.isBehind, catchUp.lagMs(5_000)]).toEqual([false, 0]);
  });

  it("still knows the oldest offset after hours", () => {
    const catchUp = following();
    for (let tick = 0; tick < 10_000; tick++) catchUp.compare(100 + tick, 99, tick * 1_000);
    expect(catchUp.lagMs(10_000_000)).toBe(10_000_000);
    catchUp.reach(10_100, 10_000_000);
    expect([catchUp.isBehind, catchUp.lagMs(10_000_000)]).toEqual([false, 1_000]);
  });
});
