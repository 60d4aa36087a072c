/** Checks write concerns: how many replicas must have a write before it resolves. */
import { InvalidOptionError } from "../errors/errors.js";
import { refuseUnknown } from "../errors/option-names.js";

export interface ReplicatedOptions {
  /** How long to wait for replicas after the primary has acknowledged the write, in milliseconds. Default 1000. */
  readonly timeoutMs?: number;
  /**
   * Whether the write must be on disk on these replicas and on the primary. Tidemark then uses `WAITAOF`, which needs append-only
   * files and Redis or Valkey 7.2 or later. Default false.
   */
  readonly fsync?: boolean;
}

/** A write concern with all defaults filled in. */
export interface WriteConcern {
  readonly replicas: number | "all";
  readonly timeoutMs: number;
  readonly fsync: boolean;
}

const usualTimeoutMs = 1_000;
const names = ["timeoutMs", "fsync"];

/** Throws an {@link InvalidOptionError} for an invalid write concern. */
export function checkWriteConcern(replicas: unknown, options: ReplicatedOptions = {}): WriteConcern {
  if (replicas !== "all" && !(typeof replicas === "number" && Number.isInteger(replicas) && replicas >= 1))
    throw new InvalidOptionError(
      "replicated",
      replicas,
      'Pass a whole number of replicas, at least 1, or "all"',
    );
  refuseUnknown("replicated options", options, names);
  const { timeoutMs = usualTimeoutMs, fsync = false } = options;
  // If the timeout is 0, Redis waits for ever.
  if (typeof timeoutMs !== "number" || !Number.isFinite(timeoutMs) || timeoutMs < 1)
    throw new InvalidOptionError(
      "replicated timeoutMs",
      timeoutMs,
      "Pass a number of milliseconds, at least 1",
    );
  if (typeof fsync !== "boolean")
    throw new InvalidOptionError("replicated fsync", fsync, "Pass true or false");
  return { replicas, timeoutMs, fsync };
}
