/** How many reads may fall back to the primary: at a time, in a second, and while the primary is slow. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { FallbackLimit } from "../../src/reads/fallback-limit.js";

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

function arrange({ concurrency = 4, perSecond = 1000, primaryMs = 1, replicaMs = 1 } = {}) {
  const pace = { primaryMs, replicaMs };
  const limit = new FallbackLimit({ concurrency, perSecond }, () => pace);
  /** How many get in now, of `count`. */
  const enter = (count: number) =>
    Array.from({ length: count }, () => limit.tryAcquire()).filter(Boolean).length;
  const leave = (count: number, tookMs = 1) => {
    for (let i = 0; i < count; i++) limit.release(tookMs);
  };
  const gone: string[] = [];
  const wait = (name: string, goes = true, user = name) =>
    limit.acquireLater(user, () => goes && gone.push(name) > 0);
  return { limit, pace, enter, leave, gone, wait };
}

describe("FallbackLimit", () => {
  it("admits as many reads at a time as configured, and more when some return", () => {
    const { enter, leave } = arrange({ concurrency: 4 });
    expect(enter(10)).toBe(4);
    leave(2);
    expect(enter(10)).toBe(2);
  });

  it("admits as many reads in a second as configured", () => {
    const { enter, leave } = arrange({ concurrency: 1000, perSecond: 100 });
    expect(enter(150)).toBe(100);
    leave(100);
    expect(enter(150)).toBe(0);
    vi.advanceTimersByTime(500);
    expect(enter(150)).toBe(50);
  });

  it("admits waiting reads first, in order, when there is room", () => {
    const { enter, leave, wait, gone } = arrange({ concurrency: 1 });
    expect(enter(1)).toBe(1);
    for (const name of ["a", "b"]) wait(name);
    expect(gone).toEqual([]);
    leave(1);
    expect([gone, enter(1)]).toEqual([["a"], 0]);
    leave(1);
    expect(gone).toEqual(["a", "b"]);
  });

  it("skips waiting reads that were answered elsewhere or removed", () => {
    const { enter, leave, wait, gone } = arrange({ concurrency: 1 });
    enter(1);
    wait("gone", false);
    wait("out")();
    wait("there");
    leave(1);
    expect([gone, enter(1)]).toEqual([["there"], 0]);
  });

  it("serves users in turn, however many reads of one user are waiting", () => {
    const { enter, leave, wait, gone } = arrange({ concurrency: 1 });
    enter(1);
    for (let i = 0; i < 500; i++) wait(`flood ${i}`, true, "flood");
    for (const name of ["a", "b", "c"]) wait(name);
    wait("a again", true, "a");
    for (let i = 0; i < 8; i++) leave(1);
    expect(gone).toEqual(["flood 0", "a", "b", "c", "flood 1", "a again", "flood 2", "flood 3"]);
  });

  it("gives a user who returns to the queue the last turn", () => {
    const { enter, leave, wait, gone } = arrange({ concurrency: 1 });
    enter(1);
    for (const name of ["a", "b", "c"]) wait(name);
    leave(1);
    wait("a again", true, "a");
    for (let i = 0; i < 3; i++) leave(1);
    expect(gone).toEqual(["a", "b", "c", "a again"]);
  });

  it("spends no credit on reads that were answered elsewhere", () => {
    const { enter, leave, wait } = arrange({ concurrency: 10, perSecond: 10 });
    enter(10);
    for (let i = 0; i < 100; i++) wait("gone", false);
    leave(10);
    vi.advanceTimersByTime(1000);
    expect(enter(20)).toBe(10);
  });

  it("resumes by itself when a new second brings credit and no read is in flight", () => {
    const { enter, leave, wait, gone } = arrange({ concurrency: 10, perSecond: 10 });
    expect(enter(10)).toBe(10);
    leave(10);
    wait("late");
    expect(gone).toEqual([]);
    vi.advanceTimersByTime(110);
    expect(gone).toEqual(["late"]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("admits fewer reads while the primary answers more slowly than when calm, and more again afterwards", () => {
    const { enter, leave, pace } = arrange({ concurrency: 100, perSecond: 100_000 });
    enter(1);
    leave(1);
    pace.primaryMs = 10;
    for (let round = 0; round < 10; round++) {
      leave(enter(100));
      vi.advanceTimersByTime(20);
    }
    const slow = enter(100);
    expect(slow).toBeLessThan(10);
    pace.primaryMs = 1;
    leave(slow);
    for (let round = 0; round < 200; round++) {
      leave(enter(100));
      vi.advanceTimersByTime(20);
    }
    expect(enter(200)).toBe(100);
  });

  it("pauses after each read when even one at a time slows the primary down", () => {
    const { enter, leave, pace } = arrange({ concurrency: 2, perSecond: 100_000 });
    enter(1);
    leave(1);
    pace.primaryMs = 50;
    for (let round = 0; round < 20; round++) {
      vi.advanceTimersByTime(200);
      leave(enter(2), 20);
    }
    expect(enter(1)).toBe(0);
    vi.advanceTimersByTime(20 * 4 + 1);
    expect(enter(2)).toBe(1);
  });

  it.each([
    ["replicas answer as slowly, because this process is busy", { primaryMs: 10, replicaMs: 9 }],
    ["there is no replica to compare with", { primaryMs: 10, replicaMs: Number.POSITIVE_INFINITY }],
    ["it is less than a millisecond slower than twice", { primaryMs: 2.9, replicaMs: 1 }],
  ])("admits as many when the primary is slow, but %s", (_, slow) => {
    const { enter, leave, pace } = arrange({ concurrency: 50, perSecond: 100_000 });
    enter(1);
    leave(1);
    Object.assign(pace, slow);
    for (let round = 0; round < 10; round++) {
      leave(enter(50));
      vi.advanceTimersByTime(20);
    }
    expect(enter(100)).toBe(50);
  });

  it("pauses for at most a quarter of a second, because a read may have waited for another primary", () => {
    const { enter, leave, pace } = arrange({ concurrency: 2, perSecond: 100_000 });
    enter(1);
    leave(1);
    pace.primaryMs = 50;
    for (let round = 0; round < 20; round++) {
      vi.advanceTimersByTime(200);
      leave(enter(2), 20);
    }
    vi.advanceTimersByTime(200);
    leave(enter(1), 1_000);
    expect(enter(1)).toBe(0);
    vi.advanceTimersByTime(251);
    expect(enter(1)).toBe(1);
  });
});
