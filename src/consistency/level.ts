/** Defines the levels of consistency that a read can ask for. */
import { InvalidOptionError } from "../errors/errors.js";

/**
 * The guarantee for a read, from weakest to strongest.
 *
 * - `"eventual"`: any healthy node answers, replicas first. Its data is at most as old as the option `maxStalenessMs` of the
 *   `Tidemark` allows. While the primary is gone, it may be of any age.
 * - `"session"`: a replica answers if it has applied the session's own writes to the keys that are read. Otherwise the primary answers.
 * - `{ maxStalenessMs }`: like `"session"`, but the replica must also be proven to lag at most this many milliseconds.
 * - `"strong"`: only the primary answers.
 */
export type Level = "eventual" | "session" | "strong" | { readonly maxStalenessMs: number };

/** The names of the levels. All levels with a bound on staleness share one name. */
export type LevelName = "eventual" | "session" | "bounded" | "strong";

export function levelName(level: Level): LevelName {
  return typeof level === "object" ? "bounded" : level;
}

/** Returns `level`, or undefined if it is not a level. */
export function parseLevel(level: unknown): Level | undefined {
  if (level === "eventual" || level === "session" || level === "strong") return level;
  if (typeof level !== "object" || level === null || !("maxStalenessMs" in level)) return undefined;
  const { maxStalenessMs } = level;
  const isBound = typeof maxStalenessMs === "number" && maxStalenessMs > 0 && Number.isFinite(maxStalenessMs);
  return isBound ? { maxStalenessMs } : undefined;
}

/** The error for a value that is not a level. */
export function invalidLevel(option: string, got: unknown): InvalidOptionError {
  const remedy = 'Pass "eventual", "session", "strong" or { maxStalenessMs: a number above 0 }';
  return new InvalidOptionError(option, got, remedy);
}
