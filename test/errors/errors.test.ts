/** Errors: stable codes, messages that say what to do. */
import { describe, expect, it, vi } from "vitest";
import * as errors from "../../src/errors/errors.js";

const {
  AbortedError,
  ClosedError,
  ConnectionLostError,
  InvalidOptionError,
  IterationLostError,
  LostWriteError,
  NoPrimaryError,
  NotPrimaryError,
  NotReplicatedError,
  RefusedCommandError,
  ReplicasBehindError,
  TidemarkError,
  TransactionLostError,
} = errors;

function replyError(message: string): Error {
  return Object.assign(new Error(message), { name: "ReplyError" });
}

/** One of each, with the code it had when it was first published: apps branch on these. */
const published: readonly (readonly [string, string, InstanceType<typeof TidemarkError>])[] = [
  ["InvalidOptionError", "TIDEMARK_INVALID_OPTION", new InvalidOptionError("waitMs", -1, "Pass more")],
  ["ReplicasBehindError", "TIDEMARK_REPLICAS_BEHIND", new ReplicasBehindError("GET", "behind")],
  ["ConnectionLostError", "TIDEMARK_CONNECTION_LOST", new ConnectionLostError("SET", "a:1", "cause")],
  ["RefusedCommandError", "TIDEMARK_REFUSED_COMMAND", new RefusedCommandError("select", "Pass db")],
  ["NotPrimaryError", "TIDEMARK_NOT_PRIMARY", new NotPrimaryError("GET", "a:1")],
  ["NoPrimaryError", "TIDEMARK_NO_PRIMARY", new NoPrimaryError("SET", "a:1", "not connected")],
  ["LostWriteError", "TIDEMARK_LOST_WRITE", new LostWriteError("GET", 27)],
  ["IterationLostError", "TIDEMARK_ITERATION_LOST", new IterationLostError("SCAN", "a:1 is gone")],
  ["TransactionLostError", "TIDEMARK_TRANSACTION_LOST", new TransactionLostError("EXEC", "a:1 is gone")],
  ["AbortedError", "TIDEMARK_ABORTED", new AbortedError("GET")],
  ["NotReplicatedError", "TIDEMARK_NOT_REPLICATED", new NotReplicatedError(2, 1, 100)],
  ["ClosedError", "TIDEMARK_CLOSED", new ClosedError()],
];

describe("TidemarkError", () => {
  it.each(published)("keeps the code and carries the name of %s", (name, code, error) => {
    expect(error).toBeInstanceOf(Error);
    expect([error.code, error.name]).toEqual([code, name]);
    expect(String(error)).toBe(`${name}: ${error.message}`);
  });

  it("has one code for each class, and each class is listed here", () => {
    const bases: readonly unknown[] = [TidemarkError, errors.UnavailableError];
    const classes = Object.values(errors).filter((one) => typeof one === "function" && !bases.includes(one));
    expect(classes).toHaveLength(published.length);
    expect(new Set(published.map(([, , error]) => error.constructor))).toEqual(new Set(classes));
    expect(new Set(published.map(([, , { code }]) => code)).size).toBe(published.length);
  });

  it("makes frameworks answer 503 when its cause is temporary", () => {
    const passing = published.filter(([, , error]) => error instanceof errors.UnavailableError);
    expect(passing.map(([name]) => name).sort()).toEqual([
      ...["ClosedError", "NoPrimaryError", "NotPrimaryError", "ReplicasBehindError"],
    ]);
    for (const [, , error] of passing)
      expect(error).toMatchObject({
        status: 503,
        statusCode: 503,
        headers: { "Retry-After": "1" },
        expose: false,
      });
  });

  it("has codes in one format", () => {
    for (const [, , { code }] of published) expect(code).toMatch(/^TIDEMARK_[A-Z]+(_[A-Z]+)*$/);
  });
});

describe("instanceof TidemarkError", () => {
  it("is true across two installed copies of the package", async () => {
    vi.resetModules();
    const copy = await import("../../src/errors/errors.js");
    expect(copy.TidemarkError).not.toBe(TidemarkError);
    for (const [, , error] of published) expect(error).toBeInstanceOf(copy.TidemarkError);
    expect(new copy.ClosedError()).toBeInstanceOf(TidemarkError);
  });

  it("is false for other errors and for other values", () => {
    for (const other of [
      new Error("x"),
      replyError("ERR x"),
      { code: "TIDEMARK_CLOSED" },
      null,
      undefined,
      "x",
    ]) {
      expect(other instanceof TidemarkError).toBe(false);
    }
  });

  it("distinguishes its subclasses", () => {
    const closed: unknown = new ClosedError();
    expect(closed instanceof ClosedError).toBe(true);
    expect(closed instanceof InvalidOptionError).toBe(false);
  });
});

describe("InvalidOptionError", () => {
  it("names the option, the given value and the remedy", () => {
    expect(new InvalidOptionError("waitMs", -5, "Pass more").message).toBe("waitMs: got -5. Pass more.");
    expect(new InvalidOptionError("primary", ["a"], "Pass a URL").message).toBe(
      "primary: got an array. Pass a URL.",
    );
  });

  it.each<[got: unknown, shown: string]>([
    [undefined, "undefined"],
    [null, "null"],
    [true, "true"],
    [1.5, "1.5"],
    ["Strong", '"Strong"'],
    ["", '""'],
    ["hunter2", "a string"],
    [Buffer.from("hunter2"), "a Buffer"],
    [new Set(["hunter2"]), "a Set"],
    [new Map([["hunter2", "hunter2"]]), "a Map"],
    [new URL("redis://:hunter2@host"), "a URL object"],
    [Promise.resolve("hunter2"), "a Promise"],
    [["hunter2"], "an array"],
    [[], "an empty array"],
    [{ hunter2: "hunter2" }, "an object"],
    [() => "hunter2", "a function"],
    [Symbol("hunter2"), "a symbol"],
    [2n, "a bigint"],
  ])("shows the type of the given value and no part of the value: %o", (got, shown) => {
    expect(new InvalidOptionError("waitMs", got, "Pass more").message).toBe(
      `waitMs: got ${shown}. Pass more.`,
    );
  });
});

describe("ConnectionLostError", () => {
  it("names the command that may have run, the server and the remedy", () => {
    const { message } = new ConnectionLostError("SET", "10.0.0.1:6379", undefined);
    expect(message).toContain("SET");
    expect(message).toContain("10.0.0.1:6379");
    expect(message).toContain("The command may have run");
    expect(message).toContain("check the data before you retry it");
  });

  it("replaces errors of the connection, and keeps them as the cause", () => {
    const cause = new Error("read ECONNRESET");
    // ioredis rejects commands with this, whatever closed the connection.
    for (const ofIoredis of [new Error("Connection is closed."), cause]) {
      const error = ConnectionLostError.of("set", { address: "a:1", error: cause }, ofIoredis);
      expect(error).toBeInstanceOf(ConnectionLostError);
      expect(error.message).toMatch(/^SET: .* \(read ECONNRESET\)\. The command may have run/);
      expect(error.cause).toBe(cause);
      expect(ConnectionLostError.of("set", { address: "a:1", error: undefined }, error)).toBe(error);
    }
  });

  it("does not replace errors from the server", () => {
    for (const error of [replyError("ERR no such key"), replyError("LOADING")]) {
      expect(ConnectionLostError.of("set", { address: "a:1", error: undefined }, error)).toBe(error);
    }
  });
});

describe("Errors of commands", () => {
  it("name the command and the reason or the remedy", () => {
    expect(new RefusedCommandError("select", "Pass it as an option").message).toBe(
      "SELECT does not work on a shared connection. Pass it as an option.",
    );
    expect(new ReplicasBehindError("GET", "check-failed").message).toMatch(
      /^GET: .*\(check-failed\).*fallback is "error"/,
    );
    expect(new NotPrimaryError("GET", "10.0.0.1:6379").message).toMatch(
      /^GET: 10\.0\.0\.1:6379 is a replica now/,
    );
    expect(new ClosedError().message).toBe("Connection is closed.");
  });
});

describe("ReplicasBehindError", () => {
  const near = { node: "10.0.0.2:6379", behindBytes: 12_345, retryAfterMs: 240 };

  it("reports the nearest replica's lag and catch-up time, and names the replica in `node` only", () => {
    const error = new ReplicasBehindError("GET", "behind", undefined, near);
    expect(error).toMatchObject(near);
    expect(error.message).toBe(
      'GET: no replica can answer now (behind), and the read may not go to the primary because fallback is "error". ' +
        "The nearest replica is 12,345 bytes behind and will probably catch up in 240 ms. Retry after that time.",
    );
  });

  it.each([
    [
      "no-replica",
      {},
      "No replica is configured, or all have weight 0",
      'Add a replica, or set fallback to "primary"',
    ],
    ["unusable", {}, "Tidemark cannot use any replica", "topology() shows the reason for each replica"],
    ["position-unknown", {}, "Tidemark cannot estimate when a replica will", "Retry in a second"],
    [
      "behind",
      { ...near, retryAfterMs: undefined },
      "The nearest replica is 12,345 bytes behind, and Tidemark cannot estimate when it will catch up",
      "Retry in a second",
    ],
    [
      "starting",
      { ...near, behindBytes: 0 },
      "The nearest replica will probably be able to answer in 240 ms",
      "Retry after that time",
    ],
    [
      "behind",
      { ...near, behindBytes: undefined },
      "The nearest replica will probably be able to answer in 240 ms",
      "Retry after that time",
    ],
  ])("reports the known facts and the remedy for %s with %o", (reason, known, outlook, remedy) => {
    const estimate = { node: undefined, behindBytes: undefined, retryAfterMs: undefined, ...known };
    const { message } = new ReplicasBehindError("GET", reason, undefined, estimate);
    expect(message).toContain(
      `(${reason}), and the read may not go to the primary because fallback is "error". ${outlook}`,
    );
    expect(message.endsWith(`. ${remedy}.`)).toBe(true);
  });

  it.each<[ms: number | undefined, seconds: string]>([
    [undefined, "1"],
    [1, "1"],
    [1_000, "1"],
    [1_001, "2"],
    [29_001, "30"],
    [30_001, "30"],
    [86_400_000, "30"],
  ])("asks in Retry-After for whole seconds, from 1 to 30: %s ms are %s", (retryAfterMs, seconds) => {
    const error = new ReplicasBehindError("GET", "behind", undefined, { ...near, retryAfterMs });
    expect(error.headers).toEqual({ "Retry-After": seconds });
    expect(error.getResponse().headers.get("retry-after")).toBe(seconds);
  });
});
