/** What a read requires, where its session's positions are not simply of the primary's own history. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { anyKey } from "../../src/commands/touched-keys.js";
import { type Level, rulesOf } from "../../src/consistency/level.js";
import { primaryMustProve, requirementOf } from "../../src/reads/read-requirement.js";
import { Lineage } from "../../src/replication/lineage.js";
import { OffsetTimeline } from "../../src/replication/offset-timeline.js";
import type { Position } from "../../src/replication/position.js";
import type { ReadRequirement } from "../../src/shard/eligibility.js";
import type { Shard } from "../../src/shard/shard.js";
import { at, sessionOf, start, stopClock, tokenOf, X, Y } from "../support/stages/still-sessions.js";

const maxStalenessMs = 10_000;
const never = Number.NEGATIVE_INFINITY;

beforeEach(stopClock);

afterEach(() => {
  vi.useRealTimers();
});

/** One shard as the app server knows it. */
class StillShard {
  readonly history = new OffsetTimeline(maxStalenessMs);
  readonly siblings: StillShard[] = [];
  slotsGainedAt = never;
  readonly #lineage: Lineage;

  constructor(lineage: Lineage, primary: Position) {
    this.#lineage = lineage;
    this.history.record(performance.now(), primary);
  }

  get shard(): Shard {
    return this as unknown as Shard;
  }

  get holdsAllKeys(): boolean {
    return this.siblings.length === 0;
  }

  outcome(position: Position): ReturnType<Shard["outcome"]> {
    return this.#lineage.presenceOf(position, this.history.replid ?? "");
  }

  survivor(position: Position): Position {
    return this.#lineage.lastShared(position, this.history.replid ?? "");
  }

  belongsToOtherShard(position: Position): boolean {
    if (this.outcome(position) !== "unknown") return false;
    return this.siblings.some((sibling) => sibling.outcome(position) !== "unknown");
  }
}

/** What a read at `level` requires whose session came with `positions`, issued at `issuedAt`. */
function requirement(
  { shard }: StillShard,
  positions: Position[],
  level: Level = "session",
): ReadRequirement {
  const session = sessionOf(tokenOf({ positions, issuedAt: start - 1_000 }));
  return requirementOf(shard, session, anyKey, rulesOf(level), maxStalenessMs);
}

describe("a read requires", () => {
  it("the writes of the primary's own history as they are", () => {
    const shard = new StillShard(new Lineage(), at(X, 500));
    expect(requirement(shard, [at(X, 400)])).toEqual({
      positions: [at(X, 400)],
      since: never,
      maxStalenessMs,
    });
  });

  it("the last data that survived, if a failover has lost the data that the session has read", () => {
    const lineage = new Lineage();
    const ancestor = { replid: X, divergesAt: 301 };
    lineage.learn({ role: "primary", replid: Y, offset: 500, ancestor, backlogActive: true });
    const shard = new StillShard(lineage, at(Y, 500));
    const { positions, since } = requirement(shard, [{ ...at(X, 400), read: true }]);
    expect(positions).toEqual([{ ...at(X, 300), read: true }]);
    expect(since).toBe(never);
  });

  it("all that was written before its token, instead of a position in another shard", () => {
    const lineage = new Lineage();
    const shard = new StillShard(lineage, at(X, 500));
    shard.siblings.push(new StillShard(lineage, at(Y, 500)));
    const { positions, since } = requirement(shard, [at(X, 400), at(Y, 400)]);
    expect(positions).toEqual([at(X, 400)]);
    expect(since).toBe(performance.now() - 1_000);
  });

  it("all that was written before the shard took over slots", () => {
    const lineage = new Lineage();
    const shard = new StillShard(lineage, at(X, 500));
    shard.siblings.push(new StillShard(lineage, at(Y, 500)));
    shard.slotsGainedAt = 7;
    expect(requirement(shard, [at(X, 400)]).since).toBe(7);
    shard.slotsGainedAt = performance.now() - 2_000;
    expect(requirement(shard, [at(Y, 400)]).since).toBe(performance.now() - 1_000);
  });

  it.each<[Level, number]>([
    ["session", maxStalenessMs],
    [{ maxStalenessMs: 50 }, 50],
    [{ maxStalenessMs: 2 * maxStalenessMs }, maxStalenessMs],
  ])("of level %j that a replica lags at most %d ms", (level, most) => {
    const shard = new StillShard(new Lineage(), at(X, 500));
    expect(requirement(shard, [at(X, 400)], level).maxStalenessMs).toBe(most);
  });

  it('nothing of its session at level "eventual"', () => {
    const shard = new StillShard(new Lineage(), at(X, 500));
    const nothing = { positions: [], since: never, maxStalenessMs };
    expect(requirement(shard, [at(X, 400)], "eventual")).toEqual(nothing);
  });
});

describe("the primary must prove that it still is the primary", () => {
  const lineage = new Lineage();

  it.each<[string, Position, boolean]>([
    ["not for a position of its own history", at(X, 400), false],
    ["for a position of a history that nobody knows", at("0123456789abcdef", 400), true],
    ["not for a position in another shard", at(Y, 400), false],
  ])("%s", (_what, position, must) => {
    const shard = new StillShard(lineage, at(X, 500));
    shard.siblings.push(new StillShard(lineage, at(Y, 500)));
    expect(primaryMustProve(shard.shard, sessionOf(tokenOf({ positions: [position] })))).toBe(must);
  });
});
