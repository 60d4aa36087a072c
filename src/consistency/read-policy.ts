/** What a read is asked for: its level, what may be done to meet it, and what is wished for if it cannot be met. */
import { InvalidOptionError } from "../errors/errors.js";
import { refuseUnknown } from "../errors/option-names.js";
import { invalidLevel, type Level, type LevelName, levelName, parseLevel } from "./level.js";

/** What may be done for a read besides asking a replica that is known to have what its level requires. */
export interface ReadOptions {
  /**
   * How long a read may wait for a replica to catch up before `fallback` applies, in milliseconds. It waits only while
   * the recent lag leaves hope. Default that of the `Tidemark`.
   */
  readonly waitMs?: number;
  /** Where a read goes that no replica may answer: to the primary, or to a `ReplicasBehindError`. */
  readonly fallback?: "primary" | "error";
  /**
   * Whether what a replica lacks is looked up on the primary, for what others have just made: who follows a link has no
   * token of its author. Default that of the `Tidemark`.
   */
  readonly confirmMisses?: boolean;
  /**
   * Whether the freshest replica answers when the primary cannot be reached and none can prove what is required;
   * `session.stale` is true then, and `tidemark:stale-read` tells of it. Default false.
   */
  readonly staleIfPrimaryGone?: boolean;
}

/** A level with what may be done for it. */
export interface ReadPolicy extends ReadOptions {
  /** Default that which would count without this wish. */
  readonly level?: Level;
  /** Instead of `level`: that of a bounded staleness, in milliseconds. */
  readonly maxStalenessMs?: number;
  /** In a list: the time the answer has to come in, in milliseconds, by recent lag and latency; default any. */
  readonly withinMs?: number;
}

/** A level, a level with options, or a list of these: the first that can be met now counts, or else the last. */
export type Consistency = Level | ReadPolicy | readonly (Level | ReadPolicy)[];

/** One wish with nothing left open. */
export interface ResolvedReadPolicy {
  readonly level: Level;
  readonly waitMs: number;
  readonly fallback: "primary" | "error";
  readonly confirmMisses: boolean;
  readonly staleIfPrimaryGone: boolean;
  readonly withinMs: number;
  /** What is asked for if this cannot be met. */
  readonly next: ResolvedReadPolicy | undefined;
}

/** What holds for reads that do not say otherwise. */
export interface ReadDefaults {
  readonly waitMs: Readonly<Record<LevelName, number>>;
  readonly fallback: "primary" | "error";
  readonly confirmMisses: boolean;
}

const optionNames = ["waitMs", "fallback", "confirmMisses", "staleIfPrimaryGone"];
const names = [...optionNames, "level", "maxStalenessMs", "withinMs"];
const maxWishes = 16;

/** Returns `given` as it is, or throws an {@link InvalidOptionError} that names what came. */
export function checkConsistency(given: unknown, option = "level"): Consistency {
  if (!Array.isArray(given)) return checkOne(given, option);
  if (given.length === 0 || given.length > maxWishes)
    throw new InvalidOptionError(option, given, `give 1 to ${maxWishes} levels or wishes`);
  return given.map((one, index) => checkOne(one, `${option}[${index}]`));
}

/** Returns a level together with the options given beside it, both checked. */
export function withOptions(level: unknown, options: unknown, option: string): Consistency {
  const consistency = checkConsistency(level, option);
  if (options === undefined) return consistency;
  refuseUnknown(`${option} options`, options, names);
  const isGiven = typeof options === "object" && options !== null && Object.keys(options).length > 0;
  const wish = isGiven ? checkOne(options, `${option} options`) : undefined;
  if (typeof wish !== "object" || hasLevel(wish))
    throw new InvalidOptionError(
      `${option} options`,
      options,
      `give one or more of ${optionNames.join(", ")}`,
    );
  return mergeConsistency(consistency, wish);
}

function checkOne(given: unknown, option: string): Level | ReadPolicy {
  if (typeof given !== "object" || given === null || Array.isArray(given)) {
    const level = parseLevel(given);
    if (level === undefined) throw invalidLevel(option, given);
    return level;
  }
  if (Object.keys(given).length === 0) throw invalidLevel(option, given);
  refuseUnknown(option, given, names);
  const wish: Record<string, unknown> = { ...given };
  checkLevelOf(wish, option);
  for (const time of ["waitMs", "withinMs"]) {
    const ms = wish[time];
    if (ms === undefined || (typeof ms === "number" && ms >= 0 && Number.isFinite(ms))) continue;
    throw new InvalidOptionError(`${option}.${time}`, ms, "give a number of milliseconds, at least 0");
  }
  for (const flag of ["confirmMisses", "staleIfPrimaryGone"]) {
    if (wish[flag] === undefined || typeof wish[flag] === "boolean") continue;
    throw new InvalidOptionError(`${option}.${flag}`, wish[flag], "give true or false");
  }
  const { fallback } = wish;
  if (fallback !== undefined && fallback !== "primary" && fallback !== "error")
    throw new InvalidOptionError(`${option}.fallback`, fallback, 'give "primary" or "error"');
  return { ...given };
}

function checkLevelOf(wish: Record<string, unknown>, option: string): void {
  const { level, maxStalenessMs } = wish;
  if ("maxStalenessMs" in wish) {
    if (level !== undefined) {
      const problem = "got both level and maxStalenessMs";
      throw new InvalidOptionError(option, wish, "give one of the two", problem);
    }
    if (parseLevel({ maxStalenessMs }) === undefined)
      throw new InvalidOptionError(
        `${option}.maxStalenessMs`,
        maxStalenessMs,
        "give a number of milliseconds above 0",
      );
  } else if (level !== undefined && parseLevel(level) === undefined)
    throw invalidLevel(`${option}.level`, level);
}

/** What `given` asks for where `before` counted: one that names no level keeps it, and adds its options. */
export function mergeConsistency(before: Consistency, given: Consistency): Consistency {
  if (typeof given !== "object") return given;
  if (isList(given)) {
    const { level } = isList(before) ? { level: undefined } : asWish(before);
    return given.map((one) => (hasLevel(one) ? one : { ...asWish(one), level: level ?? "session" }));
  }
  if (hasLevel(given)) return given;
  if (isList(before)) return before.map((one) => ({ ...asWish(one), ...asWish(given) }));
  return { ...asWish(before), ...asWish(given) };
}

/** `consistency`, checked before, with nothing left open. */
function termsOf(consistency: Consistency, defaults: ReadDefaults): ResolvedReadPolicy {
  const wishes = isList(consistency) ? consistency : [consistency];
  let terms: ResolvedReadPolicy | undefined;
  for (const wish of wishes.toReversed()) terms = termsOfOne(asWish(wish), defaults, terms);
  if (terms === undefined) throw invalidLevel("level", consistency);
  return terms;
}

/** The terms of each consistency that is asked for, made once. */
export class ReadPolicyCache {
  /** Those of who asks for nothing. */
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
    const terms = termsOf(consistency, this.#defaults);
    if (typeof consistency === "object") this.#others.set(consistency, terms);
    else this.#named.set(consistency, terms);
    return terms;
  }
}

function termsOfOne(
  wish: ReadPolicy,
  defaults: ReadDefaults,
  next: ResolvedReadPolicy | undefined,
): ResolvedReadPolicy {
  const level = wish.level ?? "session";
  return {
    level,
    waitMs: wish.waitMs ?? wish.withinMs ?? defaults.waitMs[levelName(level)],
    fallback: wish.fallback ?? defaults.fallback,
    confirmMisses: wish.confirmMisses ?? defaults.confirmMisses,
    staleIfPrimaryGone: wish.staleIfPrimaryGone ?? false,
    withinMs: wish.withinMs ?? Number.POSITIVE_INFINITY,
    next,
  };
}

/** With its level by that name, whichever way it was given. */
function asWish(one: Level | ReadPolicy): ReadPolicy {
  if (typeof one !== "object") return { level: one };
  const { maxStalenessMs, ...options } = one;
  return maxStalenessMs === undefined ? options : { ...options, level: { maxStalenessMs } };
}

function hasLevel(one: Level | ReadPolicy): boolean {
  return asWish(one).level !== undefined;
}

function isList(consistency: Consistency): consistency is readonly (Level | ReadPolicy)[] {
  return Array.isArray(consistency);
}
