/** Read policies as they are given and as they are resolved. */
import { describe, expect, it } from "vitest";
import { rulesOf } from "../../src/consistency/level.js";
import {
  type Consistency,
  checkConsistency,
  mergeConsistency,
  ReadPolicyCache,
  withOptions,
} from "../../src/consistency/read-policy.js";
import { InvalidOptionError } from "../../src/errors/errors.js";
import { checkReadDefaults } from "../../src/options/read-options.js";

const table = new ReadPolicyCache(
  checkReadDefaults({ waitMs: { bounded: 30, session: 4 }, confirmMisses: true }),
);

describe("checkConsistency", () => {
  it("returns the levels that have names", () => {
    for (const level of ["eventual", "session", "strong"]) expect(checkConsistency(level)).toBe(level);
  });

  it("returns a staleness bound, with the options beside it", () => {
    expect(checkConsistency({ maxStalenessMs: 500 })).toEqual({ maxStalenessMs: 500 });
    expect(checkConsistency({ maxStalenessMs: 0.5, waitMs: 7 })).toEqual({ maxStalenessMs: 0.5, waitMs: 7 });
  });

  it("returns a copy, so that later changes of the input have no effect", () => {
    const given = { maxStalenessMs: 500 };
    const level = checkConsistency(given);
    given.maxStalenessMs = 900;
    expect(level).toEqual({ maxStalenessMs: 500 });
  });

  it.each([
    ["another word", "linearizable", "a string"],
    ["capitals", "STRONG", '"STRONG"'],
    ["nothing", undefined, "undefined"],
    ["null", null, "null"],
    ["a number", 500, "500"],
    ["a function", () => "strong", "a function"],
    ["an empty object", {}, "an object"],
  ])("throws for %s, and says what was given and what to give", (_, level, shown) => {
    expect(() => checkConsistency(level)).toThrow(InvalidOptionError);
    expect(() => checkConsistency(level)).toThrow(
      `level: got ${shown}. Pass "eventual", "session", "strong" or { maxStalenessMs: a number above 0 }.`,
    );
  });

  it.each([
    ["zero", 0, "0"],
    ["a negative number", -1, "-1"],
    ["text", "500", "a string"],
    ["NaN", Number.NaN, "NaN"],
    ["Infinity", Number.POSITIVE_INFINITY, "Infinity"],
  ])("throws for a staleness bound of %s", (_, maxStalenessMs, shown) => {
    expect(() => checkConsistency({ maxStalenessMs })).toThrow(
      `level.maxStalenessMs: got ${shown}. Pass a number of milliseconds above 0.`,
    );
  });

  it.each([
    ["no policies", [], /level: got an empty array\. Pass 1 to 16/],
    ["too many policies", Array.from({ length: 17 }, () => "strong"), /Pass 1 to 16/],
    ["an invalid policy", ["session", "best"], /level\[1\]: got a string/],
    ["a list in a list", [["strong"]], /level\[0\]: got an array/],
    ["an unknown option", { level: "session", wait: 5 }, /there is no option "wait"\. Did you mean "waitMs"/],
    ["two levels", { level: "strong", maxStalenessMs: 5 }, /level: got both level and maxStalenessMs/],
    ["an invalid level in a policy", { level: "best" }, /level\.level: got a string/],
    ["a wait as a string", { waitMs: "5" }, /level\.waitMs: got a string\. Pass a number of milliseconds/],
    ["a wait below zero", { waitMs: -1 }, /level\.waitMs: got -1/],
    ["an infinite time", { withinMs: Number.POSITIVE_INFINITY }, /level\.withinMs: got Infinity/],
    ["an unknown fallback", { fallback: "replica" }, /level\.fallback: got "replica"\. Pass "primary" or/],
    ["a string for a flag", { confirmMisses: "yes" }, /level\.confirmMisses: got "yes"\. Pass true or false/],
    ["a number for a flag", { staleIfPrimaryGone: 1 }, /level\.staleIfPrimaryGone: got 1/],
  ])("throws for %s", (_, level, message) => {
    expect(() => checkConsistency(level)).toThrow(InvalidOptionError);
    expect(() => checkConsistency(level)).toThrow(message);
  });

  it("names the option that the level was given as", () => {
    expect(() => checkConsistency("x", "readYourWrites level")).toThrow(
      /^readYourWrites level: got a string\. /,
    );
  });
});

describe("withOptions", () => {
  it("adds options to a level, and to each policy of a list", () => {
    expect(table.of(withOptions("strong", { staleIfPrimaryGone: true }, "level"))).toMatchObject({
      level: "strong",
      staleIfPrimaryGone: true,
    });
    const list = table.of(withOptions(["session", "strong"], { fallback: "error" }, "level"));
    expect([list.fallback, list.next?.fallback]).toEqual(["error", "error"]);
  });

  it.each([
    ["a level", { level: "strong" }],
    ["a bound", { maxStalenessMs: 5 }],
    ["a string", "strong"],
    ["an unknown option", { method: "GET" }],
  ])("throws for %s as options", (_, options) => {
    expect(() => withOptions("session", options, "strong()")).toThrow(InvalidOptionError);
    expect(() => withOptions("session", options, "strong()")).toThrow(/^strong\(\) options: /);
  });
});

describe("mergeConsistency", () => {
  const given: Consistency = { maxStalenessMs: 500, waitMs: 9 };

  it("lets a level replace the whole previous policy", () => {
    expect(mergeConsistency(given, "strong")).toBe("strong");
    expect(table.of(mergeConsistency(given, { level: "session" }))).toMatchObject({
      level: "session",
      waitMs: 4,
    });
  });

  it("adds options without a level to the previous policy", () => {
    expect(table.of(mergeConsistency(given, { fallback: "error" }))).toMatchObject({
      level: { maxStalenessMs: 500 },
      waitMs: 9,
      fallback: "error",
    });
    const policies = table.of(mergeConsistency(["session", { maxStalenessMs: 5 }], { waitMs: 1 }));
    expect([policies.waitMs, policies.next?.waitMs, policies.next?.level]).toEqual([
      1,
      1,
      { maxStalenessMs: 5 },
    ]);
  });

  it("gives policies without a level the previous level", () => {
    const policies = table.of(mergeConsistency("eventual", [{ withinMs: 5 }, "strong"]));
    expect([policies.level, policies.next?.level]).toEqual(["eventual", "strong"]);
  });
});

describe("ReadPolicyCache.of", () => {
  it("fills in every default", () => {
    expect(table.of("session")).toEqual({
      level: "session",
      rules: rulesOf("session"),
      waitMs: 4,
      fallback: "primary",
      confirmMisses: true,
      staleIfPrimaryGone: false,
      withinMs: Number.POSITIVE_INFINITY,
      next: undefined,
    });
    expect(table.of({ maxStalenessMs: 5 }).waitMs).toBe(30);
    expect(table.of("eventual").waitMs).toBe(0);
  });

  it("lets a policy with withinMs wait that long by default", () => {
    expect(table.of({ level: "session", withinMs: 7 }).waitMs).toBe(7);
    expect(table.of({ level: "session", withinMs: 7, waitMs: 2 }).waitMs).toBe(2);
  });

  it("resolves each consistency once", () => {
    const policy = { maxStalenessMs: 5 };
    expect(table.of(policy)).toBe(table.of(policy));
    expect(table.of("strong")).toBe(table.of("strong"));
  });
});

describe("checkReadDefaults", () => {
  it.each([
    ["a wait as a string", { waitMs: "5" }, /waitMs: got a string\. Pass a number of milliseconds/],
    ["a wait below zero", { waitMs: -1 }, /waitMs: got -1\. Pass a number, at least 0/],
    [
      "a wait for an unknown level",
      { waitMs: { any: 1 } },
      /waitMs: there is no option "any"\. The options are eventual/,
    ],
    ["a limit that is a number", { fallbackLimit: 5 }, /fallbackLimit: got 5\. Pass false/],
    ["a limit of 0", { fallbackLimit: { concurrency: 0 } }, /fallbackLimit.concurrency: got 0/],
    [
      "an unknown limit",
      { fallbackLimit: { rate: 5 } },
      /fallbackLimit: there is no option "rate"\. The options are concurrency, perSecond/,
    ],
    ["a string for a flag", { monotonicReads: "yes" }, /monotonicReads: got "yes"\. Pass true or false/],
    ["an unknown fallback", { fallback: "replica" }, /fallback: got "replica"/],
  ])("throws for %s", (_, options, message) => {
    const check = (): unknown => Reflect.apply(checkReadDefaults, undefined, [options]);

    expect(check).toThrow(message);
  });
});
