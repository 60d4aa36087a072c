/** Defines the levels of consistency that a read can ask for. */
import { InvalidOptionError } from "../errors/errors.js";

/**
 * The guarantee for a read, from weakest to strongest.
 *
 * - `"eventual"`: every healthy node may answer, replicas first. Its data is at most as old as the option `maxStalenessMs` of the
 *   `Tidemark` allows. While the primary is gone, it may be of any age.
 * - `"session"`: a replica answers if it has applied the session's own writes to the keys that are read. Otherwise the primary answers.
 * - `{ maxStalenessMs }`: like `"session"`, but the replica must also be proven to lag at most this many milliseconds.
 * - `"strong"`: only the primary answers.
 */
export type Level = "eventual" | "session" | "strong" | { readonly maxStalenessMs: number };

/** The names of the levels. All levels with a bound on staleness share one name. */
export type LevelName = "eventual" | "session" | "bounded" | "strong";

/** What a level means for the servers that may answer a read. */
export interface LevelRules {
  readonly name: LevelName;
  /** Whether replicas may answer. */
  readonly mayUseReplicas: boolean;
  /** Whether the answer must show everything that the session has written and read. */
  readonly requiresSession: boolean;
  /** How far a replica may lag, in milliseconds. The option of the `Tidemark` applies as well. */
  readonly maxStalenessMs: number;
  /** Whether a replica of which nothing is proven may answer while the primary is gone, or if the primary is a proxy. */
  readonly acceptsUnproven: boolean;
}

const session: LevelRules = {
  name: "session",
  mayUseReplicas: true,
  requiresSession: true,
  maxStalenessMs: Number.POSITIVE_INFINITY,
  acceptsUnproven: false,
};
const eventual: LevelRules = { ...session, name: "eventual", requiresSession: false, acceptsUnproven: true };
const strong: LevelRules = { ...session, name: "strong", mayUseReplicas: false };
const named = { eventual, session, strong };

/** Called once for each read policy, not for each read. */
export function rulesOf(level: Level): LevelRules {
  if (typeof level !== "object") return named[level];
  return { ...session, name: "bounded", maxStalenessMs: level.maxStalenessMs };
}

/** The name of `level`. All levels with a bound on staleness share one name. */
export function levelNameOf(level: Level): LevelName {
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
