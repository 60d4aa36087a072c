/** The levels of consistency a read can ask for. */
import { InvalidOptionError } from "./errors.js";

/**
 * What a read is promised, weakest to strongest.
 *
 * - `"eventual"`: whichever node is healthy, replicas first; no promise beyond health.
 * - `"session"`: a replica that has applied all the session's own writes, else the primary.
 * - `{ maxStalenessMs }`: as `"session"`, and the replica is proven to be at most so many milliseconds behind.
 * - `"strong"`: the primary only.
 */
export type Level = "eventual" | "session" | "strong" | { readonly maxStalenessMs: number };

/** Returns `level` when it is one, else throws an {@link InvalidOptionError} that names what came. */
export function checkLevel(level: unknown, option = "level"): Level {
  if (level === "eventual" || level === "session" || level === "strong") return level;
  if (typeof level === "object" && level !== null && "maxStalenessMs" in level) {
    const { maxStalenessMs } = level;
    if (typeof maxStalenessMs === "number" && maxStalenessMs > 0 && Number.isFinite(maxStalenessMs)) {
      return { maxStalenessMs };
    }
  }
  throw new InvalidOptionError(
    option,
    level,
    'give "eventual", "session", "strong" or { maxStalenessMs: a number above 0 }',
  );
}
