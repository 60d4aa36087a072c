/** What a session's own reads in one shard require of the reads after them. */

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { anyKey } from "../../src/commands/touched-keys.js";
import { ReadProgress } from "../../src/session/read-progress.js";
import { at, X, Y } from "../support/stages/still-sessions.js";

const one = { name: "a connection to one replica", endedAt: undefined };
const other = { name: "a connection to another", endedAt: undefined };
/** What the session has written. */
const written = [at(X, 77)];

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

/** That of a session which the primary has answered. */
function answeredByPrimary(): ReadProgress {
  const progress = new ReadProgress();
  progress.readAhead(performance.now());
  return progress;
}

describe("Progress.mayReadFrom", () => {
  it("lets every replica answer the first read", () => {
    const progress = new ReadProgress();
    expect([progress.mayReadFrom(one), progress.mayReadFrom(other)]).toEqual([true, true]);
  });

  it("keeps to one connection from the moment a read leaves for it", () => {
    const progress = new ReadProgress();
    progress.readFrom(one);
    expect([progress.mayReadFrom(one), progress.mayReadFrom(other)]).toEqual([true, false]);
    progress.readBy(one);
    expect([progress.mayReadFrom(one), progress.mayReadFrom(other)]).toEqual([true, false]);
  });

  it("keeps to the first of two connections that reads left for", () => {
    const progress = new ReadProgress();
    progress.readFrom(one);
    progress.readFrom(other);
    expect([progress.mayReadFrom(one), progress.mayReadFrom(other)]).toEqual([true, false]);
  });

  it("lets no replica answer once two have, because they are in no order", () => {
    const progress = new ReadProgress();
    progress.readFrom(one);
    progress.readBy(other);
    expect([progress.mayReadFrom(one), progress.mayReadFrom(other)]).toEqual([false, false]);
    expect(progress.ahead).toBe(true);
  });

  it("lets no replica answer once the primary has", () => {
    const progress = new ReadProgress();
    progress.readFrom(one);
    progress.readAhead(performance.now());
    progress.readFrom(one);
    expect([progress.mayReadFrom(one), progress.mayReadFrom(other)]).toEqual([false, false]);
  });

  it("does not hold a late answer of the one connection against it", () => {
    const progress = new ReadProgress();
    progress.readFrom(one);
    progress.readBy(one);
    progress.readBy(one);
    expect(progress.ahead).toBe(false);
  });
});

describe("Progress.anchor", () => {
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

  it("takes the place of positions that cannot be compared with it", () => {
    const progress = answeredByPrimary();
    vi.advanceTimersByTime(1);
    progress.anchor(performance.now(), at(Y, 5), written);
    expect(progress.requirement(written, anyKey)).toEqual([at(Y, 5)]);
  });

  it("does not stand for a read that was made after it was asked for, or at the same time", () => {
    const progress = answeredByPrimary();
    const readAt = performance.now();
    for (const asked of [readAt - 1, readAt]) progress.anchor(asked, at(X, 90), written);
    expect(progress.requirement(written, anyKey)).toEqual([at(X, 77)]);
    expect(progress.ahead).toBe(true);
  });

  it("stands for the last of several reads only when it was asked for after that one", () => {
    const progress = answeredByPrimary();
    const first = performance.now();
    progress.readAhead(first + 10);
    progress.readAhead(first + 5);
    progress.anchor(first + 7, at(X, 90), written);
    expect(progress.ahead).toBe(true);
    progress.anchor(first + 11, at(X, 90), written);
    expect(progress.ahead).toBe(false);
  });

  it("asks nothing of a session that one replica or nobody has answered so far", () => {
    const progress = new ReadProgress();
    progress.anchor(performance.now() + 1, at(X, 90), written);
    expect(progress.requirement([], anyKey)).toEqual([]);
    progress.readFrom(one);
    progress.readBy(one);
    progress.anchor(performance.now() + 1, at(X, 90), written);
    expect(progress.requirement([], anyKey)).toEqual([]);
    expect(progress.mayReadFrom(other)).toBe(false);
  });

  it("gives up a position that is ahead of the primary in its own history, which cannot be", () => {
    const progress = answeredByPrimary();
    vi.advanceTimersByTime(1);
    progress.anchor(performance.now(), at(X, 60), written);
    expect(progress.requirement(written, anyKey)).toEqual([at(X, 60)]);
  });

  it("holds a replica's late answer from before it against all replicas", () => {
    const progress = answeredByPrimary();
    vi.advanceTimersByTime(1);
    progress.anchor(performance.now(), at(X, 90), written);
    progress.readFrom(other);
    progress.readBy(one);
    expect([progress.ahead, progress.mayReadFrom(other)]).toEqual([true, false]);
  });
});

describe("Progress.requirement", () => {
  it("is what the session requires, while nothing stands for it", () => {
    const progress = answeredByPrimary();
    expect(progress.requirement(written, anyKey)).toBe(written);
  });

  it("adds what the session has come to require since", () => {
    const progress = answeredByPrimary();
    vi.advanceTimersByTime(1);
    expect(progress.anchor(performance.now(), at(Y, 90), written)).toBe(true);
    const later = [...written, at(Y, 95)];
    expect(progress.requirement(later, anyKey)).toEqual([at(Y, 90), at(Y, 95)]);
  });
});
