/** The requirements that a session's reads in one shard have for later reads. */

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { anyKey } from "../../src/commands/touched-keys.js";
import { ReadProgress } from "../../src/session/read-progress.js";
import { at, X, Y } from "../support/stages/still-sessions.js";

const one = { name: "a connection to one replica", endedAt: undefined };
const other = { name: "a connection to another", endedAt: undefined };
/** The positions that the session has written. */
const written = [at(X, 77)];

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

/** The progress of a session that read from the primary. */
function answeredByPrimary(): ReadProgress {
  const progress = new ReadProgress();
  progress.readAhead(performance.now());
  return progress;
}

describe("ReadProgress.mayReadFrom", () => {
  it("lets every replica answer the first read", () => {
    const progress = new ReadProgress();
    expect([progress.mayReadFrom(one), progress.mayReadFrom(other)]).toEqual([true, true]);
  });

  it("keeps to one connection from the moment a read is sent on it", () => {
    const progress = new ReadProgress();
    progress.readFrom(one);
    expect([progress.mayReadFrom(one), progress.mayReadFrom(other)]).toEqual([true, false]);
    progress.readBy(one);
    expect([progress.mayReadFrom(one), progress.mayReadFrom(other)]).toEqual([true, false]);
  });

  it("keeps to the first of two connections that reads were sent on", () => {
    const progress = new ReadProgress();
    progress.readFrom(one);
    progress.readFrom(other);
    expect([progress.mayReadFrom(one), progress.mayReadFrom(other)]).toEqual([true, false]);
  });

  it("lets no replica answer once two have answered, because their answers have no order", () => {
    const progress = new ReadProgress();
    progress.readFrom(one);
    progress.readBy(other);
    expect([progress.mayReadFrom(one), progress.mayReadFrom(other)]).toEqual([false, false]);
    expect(progress.ahead).toBe(true);
  });

  it("lets no replica answer once the primary has answered", () => {
    const progress = new ReadProgress();
    progress.readFrom(one);
    progress.readAhead(performance.now());
    progress.readFrom(one);
    expect([progress.mayReadFrom(one), progress.mayReadFrom(other)]).toEqual([false, false]);
  });

  it("accepts a late answer of the connection that it keeps to", () => {
    const progress = new ReadProgress();
    progress.readFrom(one);
    progress.readBy(one);
    progress.readBy(one);
    expect(progress.ahead).toBe(false);
  });
});

describe("ReadProgress.anchor", () => {
  it("lets every replica that covers the position answer again", () => {
    const progress = answeredByPrimary();
    vi.advanceTimersByTime(1);
    progress.anchor(performance.now(), at(X, 90), written);
    expect(progress.requirement(written, anyKey)).toEqual([at(X, 90)]);
    expect([progress.ahead, progress.mayReadFrom(one), progress.mayReadFrom(other)]).toEqual([
      false,
      true,
      true,
    ]);
  });

  it("replaces positions that cannot be compared with the new one", () => {
    const progress = answeredByPrimary();
    vi.advanceTimersByTime(1);
    progress.anchor(performance.now(), at(Y, 5), written);
    expect(progress.requirement(written, anyKey)).toEqual([at(Y, 5)]);
  });

  it("does not cover a read made after the position was requested, or at the same time", () => {
    const progress = answeredByPrimary();
    const readAt = performance.now();
    for (const asked of [readAt - 1, readAt]) progress.anchor(asked, at(X, 90), written);
    expect(progress.requirement(written, anyKey)).toEqual([at(X, 77)]);
    expect(progress.ahead).toBe(true);
  });

  it("covers several reads only when the position was requested after the last of them", () => {
    const progress = answeredByPrimary();
    const first = performance.now();
    progress.readAhead(first + 10);
    progress.readAhead(first + 5);
    progress.anchor(first + 7, at(X, 90), written);
    expect(progress.ahead).toBe(true);
    progress.anchor(first + 11, at(X, 90), written);
    expect(progress.ahead).toBe(false);
  });

  it("requires nothing of a session that has read from one replica or not at all", () => {
    const progress = new ReadProgress();
    progress.anchor(performance.now() + 1, at(X, 90), written);
    expect(progress.requirement([], anyKey)).toEqual([]);
    progress.readFrom(one);
    progress.readBy(one);
    progress.anchor(performance.now() + 1, at(X, 90), written);
    expect(progress.requirement([], anyKey)).toEqual([]);
    expect(progress.mayReadFrom(other)).toBe(false);
  });

  it("drops a position that is ahead of the primary in its own history, because that is impossible", () => {
    const progress = answeredByPrimary();
    vi.advanceTimersByTime(1);
    progress.anchor(performance.now(), at(X, 60), written);
    expect(progress.requirement(written, anyKey)).toEqual([at(X, 60)]);
  });

  it("lets no replica answer after another replica's late answer to an earlier read", () => {
    const progress = answeredByPrimary();
    vi.advanceTimersByTime(1);
    progress.anchor(performance.now(), at(X, 90), written);
    progress.readFrom(other);
    progress.readBy(one);
    expect([progress.ahead, progress.mayReadFrom(other)]).toEqual([true, false]);
  });
});

describe("ReadProgress.requirement", () => {
  it("is the session's own requirement before any position is anchored", () => {
    const progress = answeredByPrimary();
    expect(progress.requirement(written, anyKey)).toBe(written);
  });

  it("adds what the session has required since the anchor", () => {
    const progress = answeredByPrimary();
    vi.advanceTimersByTime(1);
    expect(progress.anchor(performance.now(), at(Y, 90), written)).toBe(true);
    const later = [...written, at(Y, 95)];
    expect(progress.requirement(later, anyKey)).toEqual([at(Y, 90), at(Y, 95)]);
  });
});
