/** Defines and checks the default options for reads. */

import type { LevelName } from "../consistency/level.js";
import type { ReadDefaults } from "../consistency/read-policy.js";
import { InvalidOptionError } from "../errors/errors.js";
import { refuseUnknown } from "../errors/option-names.js";
import type { FallbackLimits } from "../reads/fallback-limit.js";

/** The options of a `Tidemark` that set the defaults for reads. */
export interface ReadDefaultOptions {
  /**
   * How long a read may wait for a replica to catch up before `fallback` applies, in milliseconds. Give one number for all
   * levels, or one for each level. The read waits only if recent lag suggests that a replica will catch up in time. Default 0.
   */
  readonly waitMs?: number | Partial<Readonly<Record<LevelName, number>>>;
  /**
   * The outcome of a read that no replica may answer. With `"primary"` the primary answers. With `"error"` the read rejects with
   * a `ReplicasBehindError`. Default `"primary"`.
   */
  readonly fallback?: "primary" | "error";
  /** If a key is missing on the replica, check the primary before returning null. Default false. */
  readonly confirmMisses?: boolean;
  /** Whether a later request of a user never sees older data than an earlier one. Default false. */
  readonly monotonicReads?: boolean;
  /**
   * Limits the reads that this process sends to the primary because no replica has the required data, or because a token says
   * that the position of a write is unknown. `concurrency` limits how many run at a time, and is reduced while the primary
   * answers more slowly than it did without such reads. `perSecond` limits how many run in a second. Reads over the limit wait up
   * to a second, and users take turns. After that second, reads reject with a `ReplicasBehindError`. Default `{ concurrency: 64,
   * perSecond: 5000 }`. Use false for no limit.
   */
  readonly fallbackLimit?: Partial<FallbackLimits> | false;
}

/** The read options with all defaults filled in. */
export interface ResolvedReadOptions extends ReadDefaults {
  readonly monotonicReads: boolean;
  readonly fallbackLimit: FallbackLimits | false;
}

const levels = ["eventual", "session", "bounded", "strong"] as const;
const usualLimits: FallbackLimits = { concurrency: 64, perSecond: 5_000 };

/** Throws an {@link InvalidOptionError} that names the first option that cannot be used. */
export function checkReadDefaults(options: ReadDefaultOptions): ResolvedReadOptions {
  const { fallback = "primary" } = options;
  if (fallback !== "primary" && fallback !== "error")
    throw new InvalidOptionError("fallback", fallback, 'Pass "primary" or "error"');
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
  throw new InvalidOptionError(option, given, `Pass ${other}, or { ${names.join(", ")} }`);
}

function atLeast(option: string, value: unknown, least: number): number {
  if (typeof value === "number" && Number.isFinite(value) && value >= least) return value;
  throw new InvalidOptionError(option, value, `Pass a number, at least ${least}`);
}

function flag(option: string, value: unknown): boolean {
  if (value === undefined || typeof value === "boolean") return value ?? false;
  throw new InvalidOptionError(option, value, "Pass true or false");
}
