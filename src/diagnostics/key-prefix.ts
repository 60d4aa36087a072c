/**
 * Finds the prefix of a key that may be shown to people, and the options that would name it. Never shows a whole key or a
 * possible secret.
 */

const maxLength = 32;
/** Matches names that apps give. Addresses and input from users do not look like this. */
const name = /^\{?[a-z][\w.{}/-]*:$/i;
const threeDigits = /\d\D*\d\D*\d/;

/** Options that name one more prefix, as code to paste. They are complete, because their lists replace the defaults. */
export interface PrefixOptions {
  readonly scopes: string;
  /** Undefined if the option is a function. */
  readonly untracked: string | undefined;
}

/** Finds the prefixes of keys in the form that options take, without `keyPrefix`. */
export class KeyPrefixes {
  /** The prefixes in the option `scopes`, or in its default. */
  readonly scopes: readonly string[];
  readonly #keyPrefix: string;
  readonly #untracked: readonly string[] | undefined;
  /** The prefixes that options name, the longest first. */
  readonly #named: readonly string[];

  /** `untracked` is undefined if that option is a function. */
  constructor(keyPrefix: string, scopes: readonly string[], untracked: readonly string[] | undefined) {
    this.scopes = [...scopes];
    this.#keyPrefix = keyPrefix;
    this.#untracked = untracked && [...untracked];
    this.#named = [...scopes, ...(untracked ?? [])].toSorted((one, other) => other.length - one.length);
  }

  /** The current options, with `prefix` added. */
  optionsWith(prefix: string): PrefixOptions {
    return {
      scopes: `scopes: ${listOf([...this.scopes, prefix])}`,
      untracked: this.#untracked && `untracked: ${listOf([...this.#untracked, prefix])}`,
    };
  }

  /** The prefix that all of `keys` share. `keys` are as sent to the server. Undefined if they share none. */
  ofAll(keys: readonly (string | Buffer)[]): string | undefined {
    const [first, ...others] = keys;
    const prefix = first === undefined ? undefined : this.of(first);
    return others.every((key) => this.of(key) === prefix) ? prefix : undefined;
  }

  /**
   * The prefix of `key`: one that options name, or everything up to and including the first colon. Undefined if this prefix is
   * the whole key, is longer than 32 characters or is not a plain name. A name with more than two digits may be the id of a user
   * or a session.
   */
  of(key: string | Buffer): string | undefined {
    const sent = key.toString();
    if (!sent.startsWith(this.#keyPrefix)) return undefined;
    const given = sent.slice(this.#keyPrefix.length);
    const named = this.#named.find((one) => given.startsWith(one));
    if (named !== undefined) return named;
    const prefix = given.slice(0, given.indexOf(":") + 1);
    if (prefix.length > maxLength || prefix.length === given.length) return undefined;
    return name.test(prefix) && !threeDigits.test(prefix) ? prefix : undefined;
  }
}

function listOf(prefixes: readonly string[]): string {
  return `[${[...new Set(prefixes)].map((prefix) => JSON.stringify(prefix)).join(", ")}]`;
}
