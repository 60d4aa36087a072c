/** Checks and resolves read policies: the level of a read, its options, and the next policy if this one cannot be met. */
import { InvalidOptionError } from "../errors/errors.js";
import { refuseUnknown } from "../errors/option-names.js";
import { invalidLevel, type Level, type LevelName, type LevelRules, parseLevel, rulesOf } from "./level.js";

/** The options of a read, in addition to its level. */
export interface ReadOptions {
  /**
   * How long a read may wait for a replica to catch up before `fallback` applies, in milliseconds. The read waits only if recent
   * lag suggests that a replica will catch up in time. Default: the option of the `Tidemark`.
   */
  readonly waitMs?: number;
  /**
   * The outcome of a read that no replica may answer. With `"primary"` the primary answers. With `"error"` the read rejects with
   * a `ReplicasBehindError`. Default: the option of the `Tidemark`.
   */
  readonly fallback?: "primary" | "error";
  /**
   * If a key is missing on the replica, check the primary before returning null. This finds keys that other users have just
   * written. For example, a user who follows a link does not have the token of the link's author. Default: the option of the
   * `Tidemark`.
   */
  readonly confirmMisses?: boolean;
  /**
   * Whether the freshest replica answers if the primary cannot be reached and no replica can prove what the read requires. After
   * such an answer `session.stale` is true, and `tidemark:stale-read` reports the read. Default false.
   */
  readonly staleIfPrimaryGone?: boolean;
}

/** A level with options. */
export interface ReadPolicy extends ReadOptions {
  /** Default: the level that applies without this policy. */
  readonly level?: Level;
  /** A level of bounded staleness, in milliseconds. Use it instead of `level`. */
  readonly maxStalenessMs?: number;
  /**
   * Only in a list: the policy applies if recent lag and latency suggest an answer within this many milliseconds. Default: no
   * limit.
   */
  readonly withinMs?: number;
}

/**
 * A level, a level with options, or a list of these. In a list, the first one that can be met now applies. If none can be met,
 * the last one applies.
 */
export type Consistency = Level | ReadPolicy | readonly (Level | ReadPolicy)[];

/** A read policy with all defaults filled in. */
export interface ResolvedReadPolicy {
  readonly level: Level;
  readonly rules: LevelRules;
  readonly waitMs: number;
  readonly fallback: "primary" | "error";
  readonly confirmMisses: boolean;
  readonly staleIfPrimaryGone: boolean;
  readonly withinMs: number;
  /** The policy that applies if this one cannot be met. */
  readonly next: ResolvedReadPolicy | undefined;
}

/** The defaults for reads. */
export interface ReadDefaults {
  readonly waitMs: Readonly<Record<LevelName, number>>;
  readonly fallback: "primary" | "error";
  readonly confirmMisses: boolean;
}

const optionNames = ["waitMs", "fallback", "confirmMisses", "staleIfPrimaryGone"];
const names = [...optionNames, "level", "maxStalenessMs", "withinMs"];
const maxPolicies = 16;

/** Returns `given` if it is valid. Otherwise throws an {@link InvalidOptionError} that says what was given. */
export function checkConsistency(given: unknown, option = "level"): Consistency {
  if (!Array.isArray(given)) return checkOne(given, option);
  if (given.length === 0 || given.length > maxPolicies)
    throw new InvalidOptionError(option, given, `Pass 1 to ${maxPolicies} levels or read policies`);
  return given.map((one, index) => checkOne(one, `${option}[${index}]`));
}

/** Checks a level and the options that came with it. Returns both together. */
export function withOptions(level: unknown, options: unknown, option: string): Consistency {
  const consistency = checkConsistency(level, option);
  if (options === undefined) return consistency;
  refuseUnknown(`${option} options`, options, names);
  const isGiven = typeof options === "object" && options !== null && Object.keys(options).length > 0;
  const policy = isGiven ? checkOne(options, `${option} options`) : undefined;
  if (typeof policy !== "object" || hasLevel(policy))
    throw new InvalidOptionError(
      `${option} options`,
      options,
      `Pass one or more of ${optionNames.join(", ")}`,
    );
  return mergeConsistency(consistency, policy);
}

function checkOne(given: unknown, option: string): Level | ReadPolicy {
  if (typeof given !== "object" || given === null || Array.isArray(given)) {
    const level = parseLevel(given);
    if (level === undefined) throw invalidLevel(option, given);
    return level;
  }
  if (Object.keys(given).length === 0) throw invalidLevel(option, given);
  refuseUnknown(option, given, names);
  const policy: Record<string, unknown> = { ...given };
  checkLevelOf(policy, option);
  for (const time of ["waitMs", "withinMs"]) {
    const ms = policy[time];
    if (ms === undefined || (typeof ms === "number" && ms >= 0 && Number.isFinite(ms))) continue;
    throw new InvalidOptionError(`${option}.${time}`, ms, "Pass a number of milliseconds, at least 0");
  }
  for (const flag of ["confirmMisses", "staleIfPrimaryGone"]) {
    if (policy[flag] === undefined || typeof policy[flag] === "boolean") continue;
    throw new InvalidOptionError(`${option}.${flag}`, policy[flag], "Pass true or false");
  }
  const { fallback } = policy;
  if (fallback !== undefined && fallback !== "primary" && fallback !== "error")
    throw new InvalidOptionError(`${option}.fallback`, fallback, 'Pass "primary" or "error"');
  return { ...given };
}

function checkLevelOf(policy: Record<string, unknown>, option: string): void {
  const { level, maxStalenessMs } = policy;
  if ("maxStalenessMs" in policy) {
    if (level !== undefined) {
      const problem = "got both level and maxStalenessMs";
      throw new InvalidOptionError(option, policy, "Pass only one of the two", problem);
    }
    if (parseLevel({ maxStalenessMs }) === undefined)
      throw new InvalidOptionError(
        `${option}.maxStalenessMs`,
        maxStalenessMs,
        "Pass a number of milliseconds above 0",
      );
  } else if (level !== undefined && parseLevel(level) === undefined)
    throw invalidLevel(`${option}.level`, level);
}

/**
 * Combines `given` with `before`, the policy that applied until now. If `given` names no level, its options are added to
 * `before`.
 */
export function mergeConsistency(before: Consistency, given: Consistency): Consistency {
  if (typeof given !== "object") return given;
  if (isList(given)) {
    const { level } = isList(before) ? { level: undefined } : asPolicy(before);
    return given.map((one) => (hasLevel(one) ? one : { ...asPolicy(one), level: level ?? "session" }));
  }
  if (hasLevel(given)) return given;
  if (isList(before)) return before.map((one) => ({ ...asPolicy(one), ...asPolicy(given) }));
  return { ...asPolicy(before), ...asPolicy(given) };
}

/** Resolves `consistency`, which was checked before. */
function resolve(consistency: Consistency, defaults: ReadDefaults): ResolvedReadPolicy {
  const policies = isList(consistency) ? consistency : [consistency];
  let next: ResolvedReadPolicy | undefined;
  for (const policy of policies.toReversed()) next = resolveOne(asPolicy(policy), defaults, next);
  if (next === undefined) throw invalidLevel("level", consistency);
  return next;
}

/** Resolves each read policy once and keeps the result. */
export class ReadPolicyCache {
  /** The policy of reads that ask for nothing special. */
  readonly usual: ResolvedReadPolicy;
  readonly #defaults: ReadDefaults;
  readonly #named = new Map<Consistency, ResolvedReadPolicy>();
  readonly #others = new WeakMap<object, ResolvedReadPolicy>();

  constructor(defaults: ReadDefaults) {
    this.#defaults = defaults;
    this.usual = this.of("session");
  }

  of(consistency: Consistency): ResolvedReadPolicy {
    const known =
      typeof consistency === "object" ? this.#others.get(consistency) : this.#named.get(consistency);
    if (known !== undefined) return known;
    const resolved = resolve(consistency, this.#defaults);
    if (typeof consistency === "object") this.#others.set(consistency, resolved);
    else this.#named.set(consistency, resolved);
    return resolved;
  }
}

function resolveOne(
  policy: ReadPolicy,
  defaults: ReadDefaults,
  next: ResolvedReadPolicy | undefined,
): ResolvedReadPolicy {
  const level = policy.level ?? "session";
  const rules = rulesOf(level);
  return {
    level,
    rules,
    waitMs: policy.waitMs ?? policy.withinMs ?? defaults.waitMs[rules.name],
    fallback: policy.fallback ?? defaults.fallback,
    confirmMisses: policy.confirmMisses ?? defaults.confirmMisses,
    staleIfPrimaryGone: policy.staleIfPrimaryGone ?? false,
    withinMs: policy.withinMs ?? Number.POSITIVE_INFINITY,
    next,
  };
}

/** The policy with its level in `level`, whether it was given as `level` or as `maxStalenessMs`. */
function asPolicy(one: Level | ReadPolicy): ReadPolicy {
  if (typeof one !== "object") return { level: one };
  const { maxStalenessMs, ...options } = one;
  return maxStalenessMs === undefined ? options : { ...options, level: { maxStalenessMs } };
}

function hasLevel(one: Level | ReadPolicy): boolean {
  return asPolicy(one).level !== undefined;
}

function isList(consistency: Consistency): consistency is readonly (Level | ReadPolicy)[] {
  return Array.isArray(consistency);
}
