/** Defines and checks the options that decide which writes affect which reads. */

import type { KeyRules, WriteToTrack } from "../commands/touched-keys.js";
import { KeyPrefixes } from "../diagnostics/key-prefix.js";
import { InvalidOptionError } from "../errors/errors.js";
import { maxTokenKeys } from "../session/token.js";

/** The options of a `Tidemark` that decide which writes affect which reads. */
export interface KeyOptions {
  /**
   * Prefixes of keys that are ordered only among themselves. After a write or read of such keys, a read of other keys in the same
   * request need not be as new. After a write or read of other keys, a read of such keys need not be as new either. Give the
   * prefixes of stores that never refer to the app's own data, without `keyPrefix`. Your list replaces the default: `"sess:"`,
   * `"koa:sess:"`, `"rl:"`, `"rlflx:"` and `"fastify-rate-limit-"`.
   */
  readonly scopes?: readonly string[];
  /**
   * Writes that later reads of their session need not see. They send no read to the primary and set no cookie. All other writes
   * are tracked. Give prefixes of keys, without `keyPrefix`, or a function that returns true for an untracked write. With
   * prefixes, a write is tracked if one of its keys has none of the prefixes. Default: scripts whose keys begin with `"rl:"` or
   * `"fastify-rate-limit-"`, which rate limiters use. Your list or function replaces this default. With an empty list all writes
   * are tracked.
   */
  readonly untracked?: readonly string[] | ((write: WriteToTrack) => boolean);
  /**
   * Whether all scripts touch only the keys that they declare, as Redis requires of scripts. If false, Tidemark assumes this only
   * of a script whose declared keys are all in one scope. Any other script may touch every key. A script that declares no keys,
   * or keys of several scopes, may always touch every key. Default false.
   */
  readonly scriptsDeclareKeys?: boolean;
  /**
   * How many keys a token names, from 0 to 32. A token names the keys that were written last. Reads of other keys need not see
   * the writes to the named keys, only earlier ones. If a token names more keys, fewer reads go to the primary, and the token
   * grows by about 6 characters for each key. With 0 each read has to see all writes. Default 8.
   */
  readonly keysPerToken?: number;
}

/** The key options with all defaults filled in. */
export interface ResolvedKeyOptions {
  readonly keyRules: KeyRules;
  readonly keysPerToken: number;
  /** Finds the prefix of a key that may be shown to people. */
  readonly keyPrefixes: KeyPrefixes;
}

/** The key prefixes of well-known libraries whose keys never refer to an app's own data. */
const usualScopes: readonly string[] = ["sess:", "koa:sess:", "rl:", "rlflx:", "fastify-rate-limit-"];

/**
 * The prefixes of rate-limit-redis and @fastify/rate-limit. Only their own scripts read these keys, and scripts run on the
 * primary.
 */
const usualUntracked: readonly string[] = ["rl:", "fastify-rate-limit-"];

const scripts: ReadonlySet<string> = new Set(["eval", "evalsha"]);

const usualKeys = 8;

/** Throws an {@link InvalidOptionError} that names the first option that cannot be used. */
export function checkKeyOptions(options: KeyOptions, keyPrefix: string): ResolvedKeyOptions {
  const { untracked, scriptsDeclareKeys = false, keysPerToken = usualKeys } = options;
  if (typeof scriptsDeclareKeys !== "boolean")
    throw new InvalidOptionError("scriptsDeclareKeys", scriptsDeclareKeys, "Pass true or false");
  if (!Number.isInteger(keysPerToken) || keysPerToken < 0 || keysPerToken > maxTokenKeys)
    throw new InvalidOptionError(
      "keysPerToken",
      keysPerToken,
      `Pass a whole number from 0 to ${maxTokenKeys}`,
    );
  const { scopes = usualScopes } = options;
  const keyRules = {
    scopes: prefixesIn("scopes", scopes, keyPrefix),
    scriptsDeclareKeys,
    isUntracked: untrackedBy(untracked, keyPrefix),
    untrackedCommands: untracked === undefined ? scripts : undefined,
  };
  const named = typeof untracked === "function" ? undefined : (untracked ?? usualUntracked);
  return { keyRules, keysPerToken, keyPrefixes: new KeyPrefixes(keyPrefix, scopes, named) };
}

function untrackedBy(given: KeyOptions["untracked"], keyPrefix: string): KeyRules["isUntracked"] {
  if (typeof given === "function") return (write) => given(write) === true;
  const prefixes = prefixesIn("untracked", given ?? usualUntracked, keyPrefix);
  if (prefixes.length === 0) return undefined;
  return ({ keys }) => keys.every((key) => prefixes.some((prefix) => String(key).startsWith(prefix)));
}

function prefixesIn(option: string, given: unknown, keyPrefix: string): readonly string[] {
  if (!Array.isArray(given))
    throw new InvalidOptionError(option, given, 'Pass a list of prefixes, like ["sess:"]');
  return given.map((prefix, index) => {
    if (typeof prefix === "string" && prefix !== "") return keyPrefix + prefix;
    throw new InvalidOptionError(
      `${option}[${index}]`,
      prefix,
      'Pass the beginning of the keys, like "sess:"',
    );
  });
}
