/** The age of a replica's data, as far as samples of the primary's offset prove it. */
import { describe, expect, it } from "vitest";
import { OffsetTimeline } from "../../src/replication/offset-timeline.js";
import { seeded } from "../support/load/seeded.js";

const X = "8371b4fb1155b71f";
const Y = "c1d5f0aa17e24cf0";

/** Samples of the history X, as pairs of time and offset. */
function sampled(...samples: readonly (readonly [at: number, offset: number])[]): OffsetTimeline {
  const history = new OffsetTimeline(10_000);
  for (const [at, offset] of samples) history.record(at, { replid: X, offset }, at);
  return history;
}

describe("OffsetTimeline.asOf", () => {
  it("is the time of the newest sample that a position has reached", () => {
    const history = sampled([100, 10], [200, 20], [300, 30]);
    const asOf = [9, 10, 19, 20, 29, 30, 99].map((offset) => history.asOf({ replid: X, offset }));
    expect(asOf).toEqual([undefined, 100, 100, 200, 200, 300, 300]);
  });

  it("advances while nothing is written, because a later sample shows the same offset", () => {
    expect(sampled([100, 10], [200, 10], [300, 10]).asOf({ replid: X, offset: 10 })).toBe(300);
  });

  it("proves nothing for another history or without a sample", () => {
    expect(sampled([100, 10]).asOf({ replid: Y, offset: 10 })).toBeUndefined();
    expect(new OffsetTimeline(10_000).asOf({ replid: X, offset: 10 })).toBeUndefined();
  });

  /**
   * Simulated time in whole milliseconds. The primary writes at random; INFOs leave, take the offset of a later moment
   * and are answered later still. Replicas stand behind any write at all; the first write one lacks is the truth
   * about its age, and no bound may be later than that.
   */
  it.each([
    ["idle", 1, 0.005, 50],
    ["now and then", 2, 0.1, 20],
    ["busy", 3, 0.9, 5],
    ["busy and sampled all the time", 4, 0.9, 1],
  ])("is never later than the first write a replica lacks: %s", (_, seed, writesPerMs, everyMs) => {
    const random = seeded(seed);
    const history = new OffsetTimeline(2_000);
    const writes: { at: number; offset: number }[] = [];
    let offset = 1;
    let answer: { sentAt: number; offset: number; dueAt: number } | undefined;
    for (let now = 1; now <= 20_000; now++) {
      if (random() < writesPerMs) {
        offset += 1 + Math.floor(random() * 400);
        writes.push({ at: now, offset });
      }
      if (answer !== undefined && now >= answer.dueAt) {
        history.record(answer.sentAt, { replid: X, offset: answer.offset });
        answer = undefined;
      }
      if (answer === undefined && random() * everyMs < 1) {
        answer = { sentAt: now - Math.floor(random() * 5), offset, dueAt: now + Math.floor(random() * 9) };
      }
      const behind = 1 + Math.floor(random() ** 3 * Math.min(writes.length - 1, 900));
      const [applied, lacking] = writes.slice(-behind - 1);
      if (applied === undefined || lacking === undefined) continue;
      const asOf = history.asOf({ replid: X, offset: applied.offset });
      if (asOf !== undefined && asOf > lacking.at) expect.fail(`${asOf} is later than ${lacking.at}`);
    }
    expect(history.asOf({ replid: X, offset })).toBeGreaterThan(19_000);
  });
});

describe("OffsetTimeline.offsetAsOf", () => {
  it("is the offset of the first sample at or after the moment", () => {
    const history = sampled([100, 10], [200, 20], [300, 30]);
    expect([0, 100, 101, 200, 300, 301].map((at) => history.offsetAsOf(at))).toEqual([
      ...[10, 10, 20, 20, 30],
      undefined,
    ]);
    expect(new OffsetTimeline(10_000).offsetAsOf(0)).toBeUndefined();
  });
});

describe("OffsetTimeline.record", () => {
  it("starts over with a new history and then covers only that history", () => {
    const history = sampled([100, 10], [200, 20]);
    history.record(300, { replid: Y, offset: 5 });
    expect(history.asOf({ replid: X, offset: 20 })).toBeUndefined();
    expect(history.asOf({ replid: Y, offset: 5 })).toBe(300);
    expect(history.asOf({ replid: Y, offset: 4 })).toBeUndefined();
    expect(history.latest).toEqual({ at: 300, position: { replid: Y, offset: 5 } });
  });

  it("starts over when the offset falls, because the data is no longer the same", () => {
    const history = sampled([100, 10], [200, 20], [300, 12]);
    expect(history.asOf({ replid: X, offset: 11 })).toBeUndefined();
    expect(history.asOf({ replid: X, offset: 20 })).toBe(300);
  });

  it("ignores a sample that was requested before the newest one", () => {
    const history = sampled([100, 10], [300, 30], [200, 40]);
    expect(history.latest).toEqual({ at: 300, position: { replid: X, offset: 30 } });
  });

  it("accepts samples at any interval, and none of them makes data look younger", () => {
    const dense = sampled(...Array.from({ length: 1000 }, (_, i) => [i / 10, i] as const));
    for (let offset = 0; offset < 1000; offset++) {
      const asOf = dense.asOf({ replid: X, offset });
      expect(asOf).toBeLessThanOrEqual(offset / 10);
      expect(asOf).toBeGreaterThan(offset / 10 - 2.6);
    }
  });

  it.each([0.3, 0.55, 1.5])("covers its whole span with a sample every %f gaps", (gaps) => {
    const spanMs = 4096;
    const history = new OffsetTimeline(spanMs);
    let shortest = Number.POSITIVE_INFINITY;
    const end = 12 * spanMs;
    for (let at = 0; at < end; at += gaps) {
      history.record(at, { replid: X, offset: Math.floor(at * 100) });
      if (at < 2 * spanMs) continue;
      const old = history.asOf({ replid: X, offset: Math.floor((at - spanMs + 3 * gaps) * 100) });
      if (old === undefined) shortest = Math.min(shortest, at);
    }
    expect(shortest).toBe(Number.POSITIVE_INFINITY);
  });

  it("keeps a bounded number of samples", () => {
    const history = new OffsetTimeline(1);
    for (let at = 0; at < 50_000; at++) history.record(at, { replid: X, offset: at });
    const held = Array.from({ length: 50_000 }, (_, offset) => history.asOf({ replid: X, offset })).filter(
      (asOf) => asOf !== undefined,
    );
    expect(held.length).toBeLessThanOrEqual(12_288);
    expect(held.length).toBeGreaterThanOrEqual(4096);
  });
});

describe("OffsetTimeline.latest", () => {
  it("is the newest sample, and undefined before the first", () => {
    expect(new OffsetTimeline(10_000).latest).toBeUndefined();
    expect(new OffsetTimeline(10_000).latestAt).toBe(Number.NEGATIVE_INFINITY);
    const history = sampled([100, 10], [200, 20]);
    expect(history.latest).toEqual({ at: 200, position: { replid: X, offset: 20 } });
    expect(history.latestAt).toBe(200);
  });
});

describe("OffsetTimeline.passedAt and reachedAt", () => {
  const history = sampled([100, 10], [200, 20], [300, 20], [400, 30]);

  it("are the first samples above a position and at it", () => {
    expect(history.passedAt({ replid: X, offset: 19 })).toBe(200);
    expect(history.passedAt({ replid: X, offset: 20 })).toBe(400);
    expect(history.reachedAt({ replid: X, offset: 20 })).toBe(200);
    expect(history.reachedAt({ replid: X, offset: 21 })).toBe(400);
  });

  it("use the time of the answer, so that a slow answer makes no replica look late", () => {
    const slow = sampled([100, 10]);
    slow.record(200, { replid: X, offset: 20 }, 900);
    expect(slow.passedAt({ replid: X, offset: 15 })).toBe(900);
    expect(slow.lagOf({ replid: X, offset: 15 }, 905)).toEqual([5, 805]);
    expect(slow.asOf({ replid: X, offset: 20 })).toBe(200);
  });

  it("are undefined when no sample of the primary is that new", () => {
    expect(history.passedAt({ replid: X, offset: 30 })).toBeUndefined();
    expect(history.reachedAt({ replid: X, offset: 31 })).toBeUndefined();
  });

  it("are undefined for another history", () => {
    expect(history.passedAt({ replid: Y, offset: 10 })).toBeUndefined();
    expect(history.reachedAt({ replid: Y, offset: 10 })).toBeUndefined();
  });
});

describe("OffsetTimeline.newestWriteAt", () => {
  const history = sampled([100, 10], [200, 20], [300, 20], [400, 30]);

  it("is the first sample that shows all writes of the position", () => {
    expect(history.newestWriteAt({ replid: X, offset: 10 })).toBe(100);
    expect(history.newestWriteAt({ replid: X, offset: 20 })).toBe(200);
    expect(history.newestWriteAt({ replid: X, offset: 29 })).toBe(200);
    expect(history.newestWriteAt({ replid: X, offset: 99 })).toBe(400);
  });

  it("is undefined before the first sample, and for another history", () => {
    expect(history.newestWriteAt({ replid: X, offset: 9 })).toBeUndefined();
    expect(history.newestWriteAt({ replid: Y, offset: 20 })).toBeUndefined();
  });
});
