/** The levels of consistency, as they are given. */
import { describe, expect, it } from "vitest";
import { InvalidOptionError } from "../src/errors.js";
import { checkLevel } from "../src/level.js";

describe("checkLevel", () => {
  it("returns the levels that have names", () => {
    expect(["eventual", "session", "strong"].map((level) => checkLevel(level))).toEqual([
      "eventual",
      "session",
      "strong",
    ]);
  });

  it("returns a bound of staleness, and nothing else that stood beside it", () => {
    expect(checkLevel({ maxStalenessMs: 500 })).toEqual({ maxStalenessMs: 500 });
    expect(checkLevel({ maxStalenessMs: 0.5, waitMs: 7 })).toEqual({ maxStalenessMs: 0.5 });
  });

  it("returns a copy of the bound, so that changing the one given changes nothing", () => {
    const given = { maxStalenessMs: 500 };
    const level = checkLevel(given);
    given.maxStalenessMs = 900;
    expect(level).toEqual({ maxStalenessMs: 500 });
  });

  it.each([
    ["another word", "linearizable", "'linearizable'"],
    ["capitals", "STRONG", "'STRONG'"],
    ["nothing", undefined, "undefined"],
    ["null", null, "null"],
    ["a number", 500, "500"],
    ["a function", () => "strong", "[Function (anonymous)]"],
    ["a list", ["strong"], "[ 'strong' ]"],
    ["an object without a bound", {}, "{}"],
    ["a bound of zero", { maxStalenessMs: 0 }, "{ maxStalenessMs: 0 }"],
    ["a negative bound", { maxStalenessMs: -1 }, "{ maxStalenessMs: -1 }"],
    ["no number as a bound", { maxStalenessMs: "500" }, "{ maxStalenessMs: '500' }"],
    ["NaN as a bound", { maxStalenessMs: Number.NaN }, "{ maxStalenessMs: NaN }"],
    ["an endless bound", { maxStalenessMs: Number.POSITIVE_INFINITY }, "{ maxStalenessMs: Infinity }"],
  ])("throws for %s, and says what came and what to give", (_, level, shown) => {
    expect(() => checkLevel(level)).toThrow(InvalidOptionError);
    expect(() => checkLevel(level)).toThrow(
      `level: got ${shown}; give "eventual", "session", "strong" or { maxStalenessMs: a number above 0 }.`,
    );
  });

  it("names the option that the level was given as", () => {
    expect(() => checkLevel("x", "readYourWrites level")).toThrow(/^readYourWrites level: got 'x'; /);
  });
});
