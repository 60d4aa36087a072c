/** The redirections in errors of servers, and the errors that contain none. */
import { describe, expect, it } from "vitest";
import {
  isDemotion,
  isReadOnlyError,
  isRedirection,
  targetIn,
  wasNotExecuted,
} from "../../src/commands/server-reply.js";

const target = (message: string): ReturnType<typeof targetIn> => targetIn(new Error(message));

describe("targetIn()", () => {
  it.each([
    [
      "MOVED 16383 10.0.0.1:6379",
      { kind: "MOVED", slot: 16_383, endpoint: { host: "10.0.0.1", port: 6379 } },
    ],
    ["ASK 0 redis-1.internal:1", { kind: "ASK", slot: 0, endpoint: { host: "redis-1.internal", port: 1 } }],
    ["MOVED 5 ::1:65535", { kind: "MOVED", slot: 5, endpoint: { host: "::1", port: 65_535 } }],
    ["MOVED 5 :6379", { kind: "MOVED", slot: 5, endpoint: undefined }],
  ])("reads %s", (message, expected) => {
    expect(target(message)).toEqual(expected);
    expect(isRedirection(new Error(message))).toBe(true);
  });

  it.each([
    ...[
      "MOVED",
      "MOVED 1",
      "MOVED 1 a",
      "MOVED 1 a:",
      "MOVED 1 a:0",
      "MOVED 1 a:65536",
      "MOVED 1 a:1 ",
      " MOVED 1 a:1",
    ],
    ...["MOVED 100000 a:1", "MOVED -1 a:1", "MOVED x a:1", "MOVED 1 a b:1", "moved 1 a:1", "ASKING 1 a:1"],
    ...[`MOVED 1 ${"a".repeat(256)}:1`, "MOVED 1 a,b:1", "MOVED 1 a\r\nb:1", "MOVED 1 a/b:1"],
  ])("finds nothing in %j", (message) => {
    expect(target(message)).toBeUndefined();
    expect(isRedirection(new Error(message))).toBe(false);
  });
});

describe("an error with any text", () => {
  it.each([":1", ":", "1", "MOVED 1 ", " ", "LOADING ", "ERR Error running script (call to f_"])(
    "takes time in proportion to its length when it repeats %j",
    (part) => {
      const eighth = timeOf(part.repeat(25_000 / part.length));
      expect(timeOf(part.repeat(200_000 / part.length)) / Math.max(eighth, 0.02)).toBeLessThan(24);
    },
  );
});

/** The least time that it takes to judge errors that begin like others and go on with `text`, in milliseconds. */
function timeOf(text: string): number {
  const beginnings = ["", "MOVED 1 ", "ASK 1 a", "LOADING ", "@user_script: ", "READONLY "];
  const errors = beginnings.map((beginning) => new Error(beginning + text));
  const times = Array.from({ length: 15 }, () => {
    const since = performance.now();
    for (const error of errors)
      for (const judge of [isRedirection, wasNotExecuted, isReadOnlyError, isDemotion]) judge(error);
    return performance.now() - since;
  });
  return Math.min(...times);
}
