/** Refuses unknown option names, and suggests the option that was probably meant. */
import { InvalidOptionError } from "./errors.js";

/** The problem with the options, and what to do about it. */
export interface UnknownOption {
  readonly problem: string;
  readonly remedy: string;
}

/** Returns the remedy for an option that another call accepts. Undefined if no other call accepts it. */
export type Elsewhere = (name: string) => string | undefined;

/** The names of the options of `new Tidemark`. */
export const tidemarkOptions: readonly string[] = [
  ...["primary", "replicas", "sentinels", "name", "cluster", "redis"],
  ...["maxStalenessMs", "maxClockSkewMs", "tokenTtlMs", "probeIntervalMs", "primaryTimeoutMs"],
  ...["waitMs", "fallback", "confirmMisses", "monotonicReads", "fallbackLimit"],
  ...["scopes", "untracked", "scriptsDeclareKeys", "keysPerToken"],
  ...["mode", "shadowSample", "rollout", "stopWhen"],
  ...["verify", "onLostWrite", "zone", "zones", "weights", "accept", "recordReads", "context"],
];

/** The longest list of names in a message. */
const maxListed = 12;
/** No option has a longer name than this, so Tidemark suggests no option for a longer name. */
const maxLength = 40;

/**
 * Throws an {@link InvalidOptionError} if `given` is not an object, or has an option that is not in `names`. `where` names the
 * function that received the options.
 */
export function refuseUnknown(
  where: string,
  given: unknown,
  names: readonly string[],
  elsewhere?: Elsewhere,
): void {
  if (typeof given !== "object" || given === null || Array.isArray(given))
    throw new InvalidOptionError(where, given, `Pass an object with options, like { ${names[0]}: … }`);
  const unknown = unknownIn(given, names, elsewhere);
  if (unknown !== undefined) throw new InvalidOptionError(where, given, unknown.remedy, unknown.problem);
}

/** The first option of `given` that is not in `names`. Undefined if there is none. */
function unknownIn(
  given: object,
  names: readonly string[],
  elsewhere: Elsewhere = () => undefined,
): UnknownOption | undefined {
  for (const name in given) {
    if (names.includes(name)) continue;
    return { problem: noOption(name), remedy: elsewhere(name) ?? remedyFor(name, names) };
  }
  return undefined;
}

/**
 * The text for an unknown option `name`. The name is shown only if it looks like the name of an option. A name with four or more
 * digits may be a misplaced secret.
 */
export function noOption(name: string): string {
  return /^(?!(.*\d){4})[\w$]{1,40}$/.test(name)
    ? `there is no option "${name}"`
    : "there is an option with an unknown name (not shown, because it may be a secret)";
}

/** The option that was probably meant by `name`. Undefined if no option is similar enough. */
export function nearestName(name: string, names: readonly string[]): string | undefined {
  if (name.length > maxLength) return undefined;
  const lower = name.toLowerCase();
  const most = Math.min(3, Math.max(1, Math.floor(name.length / 3)));
  let nearest: string | undefined;
  let least = most + 1;
  for (const one of names) {
    const other = one.toLowerCase();
    // People often leave out the unit, for example "timeout" for "timeoutMs".
    const isBeginning = lower.length > 3 && other.startsWith(lower);
    const changes = isBeginning ? 1 : changesBetween(lower, other);
    if (changes < least) [nearest, least] = [one, changes];
  }
  return nearest;
}

/** How many letters were added, left out, replaced or swapped with the next letter. */
export function changesBetween(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const replaced = at(last, j - 1) + (a[i - 1] === b[j - 1] ? 0 : 1);
      const swapped = a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1] ? at(beforeLast, j - 2) + 1 : replaced;
      row.push(Math.min(replaced, swapped, at(last, j) + 1, at(row, j - 1) + 1));
    }
    [beforeLast, last] = [last, row];
  }
  return at(last, b.length);
}

function at(row: readonly number[], index: number): number {
  return row[index] ?? Number.POSITIVE_INFINITY;
}

function remedyFor(name: string, names: readonly string[]): string {
  const nearest = nearestName(name, names);
  if (nearest !== undefined) return `Did you mean "${nearest}"?`;
  if (names.length <= maxListed) return `The options are ${names.join(", ")}`;
  return "Remove it, or see the list of options in Tidemark's README";
}
