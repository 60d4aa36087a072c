/** Reads that wait for a replica: when each is woken, and how often the queue probes. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { CatchUpQueue, type CatchUpWaiter } from "../../src/shard/catch-up-queue.js";

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

/** A list of what happened, a `CatchUpQueue` that writes into it, and reads that do. */
function arrange({ lagMs = 20 } = {}) {
  const log: string[] = [];
  const start = performance.now();
  const scene = { lagMs };
  const catchUp = new CatchUpQueue({
    probeForWaitingReads: (now, pauseAfter) => {
      log.push(`look at ${now - start}`);
      return pauseAfter(now, scene.lagMs);
    },
    get leastLagMs() {
      return scene.lagMs;
    },
  });
  const add = (
    name: string,
    offset: number,
    { waitMs = 1000, madeAt = start, goes = true, stranded = false } = {},
  ) => {
    const latecomer: CatchUpWaiter = {
      offset,
      madeAt,
      since: performance.now(),
      until: performance.now() + waitMs,
      attempt: () => goes && log.push(`${name} sent`) > 0,
      giveUp: () => log.push(`${name} given up`),
      isStranded: () => stranded,
    };
    catchUp.add(latecomer);
    return latecomer;
  };
  return { log, scene, catchUp, add, start };
}

const ends = (log: readonly string[]): string[] => log.filter((entry) => !entry.startsWith("look"));

describe("CatchUpQueue", () => {
  it("wakes the reads whose offset is reached, in the order of their offsets, and no others", () => {
    const { log, catchUp, add } = arrange();
    for (const offset of [30, 10, 40, 20]) add(`${offset}`, offset);
    catchUp.reached(9);
    expect(ends(log)).toEqual([]);
    catchUp.reached(30);
    expect(ends(log)).toEqual(["10 sent", "20 sent", "30 sent"]);
    catchUp.reached(40);
    expect(ends(log)).toEqual(["10 sent", "20 sent", "30 sent", "40 sent"]);
  });

  it("wakes reads of one offset in their order of arrival", () => {
    const { log, catchUp, add } = arrange();
    for (const name of ["a", "b", "c"]) add(name, 7);
    catchUp.reached(7);
    expect(ends(log)).toEqual(["a sent", "b sent", "c sent"]);
  });

  it("keeps a read that cannot be sent even though its offset is reached", () => {
    const { log, catchUp, add } = arrange();
    add("stays", 5, { goes: false, waitMs: 50 });
    catchUp.reached(5);
    catchUp.reached(6);
    expect(ends(log)).toEqual([]);
    vi.advanceTimersByTime(100);
    expect(ends(log)).toEqual(["stays given up"]);
  });

  it("probes as often for a thousand reads of one moment as for one", () => {
    const counts = [1, 1000].map((count) => {
      const { log, add } = arrange({ lagMs: 20 });
      for (let i = 0; i < count; i++) add(`${i}`, i);
      vi.advanceTimersByTime(100);
      return log.length;
    });
    expect(counts[0]).toBeGreaterThan(5);
    expect(counts[1]).toBe(counts[0]);
  });

  it("probes soon for a read that is added while another has waited for long", () => {
    const { log, add } = arrange({ lagMs: 0 });
    add("old", 1);
    vi.advanceTimersByTime(300);
    const before = log.length;
    add("new", 2, { madeAt: performance.now() });
    vi.advanceTimersByTime(5);
    expect(log.length - before).toBeGreaterThan(1);
  });

  it("probes by the time of a read that waits for no particular write", () => {
    const { log, add } = arrange({ lagMs: 0 });
    add("any", 0, { madeAt: Number.NEGATIVE_INFINITY });
    vi.advanceTimersByTime(10);
    expect(log.length).toBeGreaterThan(5);
  });

  it("stops probing when no read waits", () => {
    const { log, catchUp, add } = arrange();
    add("a", 1);
    catchUp.reached(1);
    vi.advanceTimersByTime(1000);
    expect(log).toEqual(["a sent"]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("gives a read up, at once or later, when no replica is likely to catch up in time", () => {
    const { log, scene, add, start } = arrange({ lagMs: 300 });
    add("hopeless", 1, { waitMs: 200, madeAt: start });
    expect(log).toEqual(["hopeless given up"]);
    add("older", 1, { waitMs: 200, madeAt: start - 250, goes: false });
    expect(ends(log)).toEqual(["hopeless given up"]);
    scene.lagMs = 900;
    vi.advanceTimersByTime(50);
    expect(ends(log)).toEqual(["hopeless given up", "older given up"]);
  });

  it("ends each wait at its own time, after a last attempt", () => {
    const { log, add } = arrange();
    add("late", 1, { waitMs: 90, goes: false });
    add("soon", 2, { waitMs: 40 });
    vi.advanceTimersByTime(39);
    expect(ends(log)).toEqual([]);
    vi.advanceTimersByTime(6);
    expect(ends(log)).toEqual(["soon sent"]);
    vi.advanceTimersByTime(60);
    expect(ends(log)).toEqual(["soon sent", "late given up"]);
  });

  it("gives stranded reads up at the next probe", () => {
    const { log, add } = arrange();
    add("stranded", 1, { goes: false, stranded: true });
    vi.advanceTimersByTime(5);
    expect(log).toEqual(["stranded given up"]);
  });

  it("forgets a read that is removed", () => {
    const { log, catchUp, add } = arrange();
    const latecomer = add("a", 1);
    expect(catchUp.remove(latecomer)).toBe(true);
    expect(catchUp.remove(latecomer)).toBe(false);
    catchUp.reached(1);
    vi.advanceTimersByTime(2000);
    expect(ends(log)).toEqual([]);
  });

  it("tries all reads whenever a replica advances in a new history, whatever their offsets", () => {
    const { log, catchUp, add } = arrange();
    let attempts = 0;
    const latecomer = add("high", 1_000, { goes: false });
    catchUp.remove(latecomer);
    catchUp.add({ ...latecomer, attempt: () => ++attempts > 2 && log.push("high sent") > 0 });
    catchUp.reached(5);
    expect(attempts).toBe(0);
    catchUp.historyChanged();
    catchUp.reached(5);
    catchUp.reached(6);
    expect([attempts, ends(log)]).toEqual([3, ["high sent"]]);
  });

  it("gives all reads up when it is closed, and accepts new ones only after it is opened again", () => {
    const { log, catchUp, add } = arrange();
    add("a", 1);
    catchUp.close();
    add("b", 1);
    expect(log).toEqual(["a given up", "b given up"]);
    catchUp.open();
    add("c", 1);
    catchUp.reached(1);
    expect(log.at(-1)).toBe("c sent");
  });
});
