/** The levels of consistency a read can ask for. */
import { InvalidOptionError } from "../errors/errors.js";

/**
 * What a read is promised, weakest to strongest.
 *
 * - `"eventual"`: whichever node is healthy, replicas first; no promise beyond health.
 * - `"session"`: a replica that has applied all the session's own writes, else the primary.
 * - `{ maxStalenessMs }`: as `"session"`, and the replica is proven to be at most so many milliseconds behind.
 * - `"strong"`: the primary only.
 */
export type Level = "eventual" | "session" | "strong" | { readonly maxStalenessMs: number };

/** Levels by their names; all with a bound of staleness have one. */
export type LevelName = "eventual" | "session" | "bounded" | "strong";

export function levelName(level: Level): LevelName {
  return typeof level === "object" ? "bounded" : level;
}

/** `level` if it is one. */
export function parseLevel(level: unknown): Level | undefined {
  if (level === "eventual" || level === "session" || level === "strong") return level;
  if (typeof level !== "object" || level === null || !("maxStalenessMs" in level)) return undefined;
  const { maxStalenessMs } = level;
  const isBound = typeof maxStalenessMs === "number" && maxStalenessMs > 0 && Number.isFinite(maxStalenessMs);
  return isBound ? { maxStalenessMs } : undefined;
}

/** The error for what is no level. */
export function invalidLevel(option: string, got: unknown): InvalidOptionError {
  const remedy = 'give "eventual", "session", "strong" or { maxStalenessMs: a number above 0 }';
  return new InvalidOptionError(option, got, remedy);
}
