/** Each read that waits for a replica is answered or given up, and one timer serves all reads. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { WaitQueue } from "../../src/shard/wait-queue.js";

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

/** A list of what happened, a `WaitQueue` that writes into it, and reads that do. */
function arrange() {
  const log: string[] = [];
  const caughtUp = new Set<string>();
  const start = performance.now();
  const waiting = new WaitQueue((now) => log.push(`look at ${now - start}`));
  const add = (name: string, waitMs: number) =>
    waiting.add({
      attempt: () => caughtUp.has(name) && log.push(`${name} sent`) > 0,
      giveUp: () => log.push(`${name} given up`),
      until: performance.now() + waitMs,
    });
  return { log, caughtUp, waiting, add };
}

describe("WaitQueue.add", () => {
  it("probes the replicas for as long as a read waits", () => {
    const { log, add, caughtUp } = arrange();
    add("a", 1000);
    vi.advanceTimersByTime(10);
    expect(log).toEqual(["look at 5", "look at 10"]);
    caughtUp.add("a");
    vi.advanceTimersByTime(100);
    expect(log).toEqual(["look at 5", "look at 10", "a sent"]);
  });

  it("sends a read once a replica has caught up, and does not give it up after that", () => {
    const { log, add, caughtUp } = arrange();
    add("a", 20);
    add("b", 20);
    caughtUp.add("b");
    vi.advanceTimersByTime(100);
    expect(log.filter((entry) => !entry.startsWith("look"))).toEqual(["b sent", "a given up"]);
  });

  it("gives a read up when its time is over, not before", () => {
    const { log, add } = arrange();
    add("a", 20);
    vi.advanceTimersByTime(19);
    expect(log).not.toContain("a given up");
    vi.advanceTimersByTime(1);
    expect(log.at(-1)).toBe("a given up");
  });

  it("tries a read a last time before giving it up", () => {
    const { log, add, caughtUp } = arrange();
    add("a", 5);
    caughtUp.add("a");
    vi.advanceTimersByTime(5);
    expect(log).toEqual(["a sent"]);
  });

  it("waits for each read its own time", () => {
    const { log, add } = arrange();
    add("late", 30);
    add("soon", 10);
    vi.advanceTimersByTime(10);
    expect(log.filter((entry) => !entry.startsWith("look"))).toEqual(["soon given up"]);
    vi.advanceTimersByTime(20);
    expect(log.at(-1)).toBe("late given up");
  });

  it("runs one timer for all reads, and none when no read waits", () => {
    const { add } = arrange();
    expect(vi.getTimerCount()).toBe(0);
    add("a", 10);
    add("b", 20);
    expect(vi.getTimerCount()).toBe(1);
    vi.advanceTimersByTime(20);
    expect(vi.getTimerCount()).toBe(0);
    add("c", 10);
    expect(vi.getTimerCount()).toBe(1);
  });

  it("keeps a read that starts to wait while others are tried", () => {
    const { log, waiting, add } = arrange();
    waiting.add({
      attempt: () => {
        add("b", 10);
        return true;
      },
      giveUp: () => log.push("a given up"),
      until: performance.now() + 10,
    });
    vi.advanceTimersByTime(15);
    expect(log).toEqual(["look at 5", "look at 10", "b given up"]);
  });
});

describe("WaitQueue.close", () => {
  it("gives all reads up at once and stops the timer", () => {
    const { log, waiting, add } = arrange();
    add("a", 1000);
    add("b", 2000);
    waiting.close();
    expect(log).toEqual(["a given up", "b given up"]);
    expect(vi.getTimerCount()).toBe(0);
    vi.advanceTimersByTime(5000);
    expect(log).toHaveLength(2);
  });

  it("still gives up a read that is added after close()", () => {
    const { log, waiting, add } = arrange();
    add("a", 10);
    waiting.close();
    add("b", 10);
    vi.advanceTimersByTime(50);
    expect(log).toContain("b given up");
  });
});
