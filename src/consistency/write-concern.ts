/** How many replicas have to hold a write before it is answered. */
import { InvalidOptionError } from "../errors/errors.js";
import { refuseUnknown } from "../errors/option-names.js";

export interface ReplicatedOptions {
  /** For how many milliseconds replicas are waited for once the primary has acknowledged the write. Default 1000. */
  readonly timeoutMs?: number;
  /**
   * Whether it has to be on disk there, and on the primary's: by `WAITAOF`, which Redis and Valkey have since 7.2, where
   * append-only files are on. Default false.
   */
  readonly fsync?: boolean;
}

/** The same with nothing left open. */
export interface WriteConcern {
  readonly replicas: number | "all";
  readonly timeoutMs: number;
  readonly fsync: boolean;
}

const usualTimeoutMs = 1_000;
const names = ["timeoutMs", "fsync"];

/** Throws an {@link InvalidOptionError} for what cannot be wanted. */
export function checkWriteConcern(replicas: unknown, options: ReplicatedOptions = {}): WriteConcern {
  if (replicas !== "all" && !(typeof replicas === "number" && Number.isInteger(replicas) && replicas >= 1))
    throw new InvalidOptionError(
      "replicated",
      replicas,
      'give a whole number of replicas, at least 1, or "all"',
    );
  refuseUnknown("replicated options", options, names);
  const { timeoutMs = usualTimeoutMs, fsync = false } = options;
  // Redis takes 0 for ever.
  if (typeof timeoutMs !== "number" || !Number.isFinite(timeoutMs) || timeoutMs < 1)
    throw new InvalidOptionError(
      "replicated timeoutMs",
      timeoutMs,
      "give a number of milliseconds, at least 1",
    );
  if (typeof fsync !== "boolean")
    throw new InvalidOptionError("replicated fsync", fsync, "give true or false");
  return { replicas, timeoutMs, fsync };
}
