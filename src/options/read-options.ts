/** How reads are answered where nothing else is said, as options checked once. */

import type { LevelName } from "../consistency/level.js";
import type { ReadDefaults } from "../consistency/read-policy.js";
import { InvalidOptionError } from "../errors/errors.js";
import { refuseUnknown } from "../errors/option-names.js";
import type { FallbackLimits } from "../reads/fallback-limit.js";

/** The options of a `Tidemark` that reads may differ from. */
export interface ReadDefaultOptions {
  /**
   * How long a read may wait for a replica to catch up before `fallback` applies, in milliseconds: for all levels, or for
   * each. It waits only while the recent lag leaves hope. Default 0.
   */
  readonly waitMs?: number | Partial<Readonly<Record<LevelName, number>>>;
  /** Where a read goes that no replica may answer: to the primary, or to a `ReplicasBehindError`. Default `"primary"`. */
  readonly fallback?: "primary" | "error";
  /** Whether what a replica lacks is looked up on the primary before it counts as missing. Default false. */
  readonly confirmMisses?: boolean;
  /** Whether a session's later requests too see nothing older than what it has read. Default false. */
  readonly monotonicReads?: boolean;
  /**
   * How many reads of this process may go to the primary because no replica has what they require, or because a token says that
   * the position of a write is unknown: at a time, fewer while the primary answers more slowly than when it was calm, and in a
   * second. Beyond it they wait up to a second, each user in turn, and are rejected with a `ReplicasBehindError` after
   * that. Default `{ concurrency: 64, perSecond: 5000 }`; false for no limit.
   */
  readonly fallbackLimit?: Partial<FallbackLimits> | false;
}

/** The same with every default in its place. */
export interface ResolvedReadOptions extends ReadDefaults {
  readonly monotonicReads: boolean;
  readonly fallbackLimit: FallbackLimits | false;
}

const levels = ["eventual", "session", "bounded", "strong"] as const;
const usualLimits: FallbackLimits = { concurrency: 64, perSecond: 5_000 };

/** Throws an {@link InvalidOptionError} that names the first that cannot be used. */
export function checkReadDefaults(options: ReadDefaultOptions): ResolvedReadOptions {
  const { fallback = "primary" } = options;
  if (fallback !== "primary" && fallback !== "error")
    throw new InvalidOptionError("fallback", fallback, 'give "primary" or "error"');
  return {
    waitMs: checkWait(options.waitMs),
    fallback,
    confirmMisses: flag("confirmMisses", options.confirmMisses),
    monotonicReads: flag("monotonicReads", options.monotonicReads),
    fallbackLimit: checkLimit(options.fallbackLimit),
  };
}

function checkWait(given: unknown = 0): Readonly<Record<LevelName, number>> {
  if (typeof given === "number") {
    const ms = atLeast("waitMs", given, 0);
    return { eventual: ms, session: ms, bounded: ms, strong: 0 };
  }
  const byLevel = fieldsOf("waitMs", given, levels);
  const of = (level: LevelName): number => atLeast(`waitMs.${level}`, byLevel[level] ?? 0, 0);
  return { eventual: of("eventual"), session: of("session"), bounded: of("bounded"), strong: of("strong") };
}

function checkLimit(given: unknown): FallbackLimits | false {
  if (given === false) return false;
  const { concurrency, perSecond } = fieldsOf("fallbackLimit", given ?? {}, ["concurrency", "perSecond"]);
  return {
    concurrency: atLeast("fallbackLimit.concurrency", concurrency ?? usualLimits.concurrency, 1),
    perSecond: atLeast("fallbackLimit.perSecond", perSecond ?? usualLimits.perSecond, 1),
  };
}

function fieldsOf(option: string, given: unknown, names: readonly string[]): Record<string, unknown> {
  const fields: Record<string, unknown> | undefined =
    typeof given === "object" && given !== null && !Array.isArray(given) ? { ...given } : undefined;
  if (fields !== undefined) {
    refuseUnknown(option, fields, names);
    return fields;
  }
  const other = option === "waitMs" ? "a number of milliseconds" : "false";
  throw new InvalidOptionError(option, given, `give ${other}, or { ${names.join(", ")} }`);
}

function atLeast(option: string, value: unknown, least: number): number {
  if (typeof value === "number" && Number.isFinite(value) && value >= least) return value;
  throw new InvalidOptionError(option, value, `give a number, at least ${least}`);
}

function flag(option: string, value: unknown): boolean {
  if (value === undefined || typeof value === "boolean") return value ?? false;
  throw new InvalidOptionError(option, value, "give true or false");
}
