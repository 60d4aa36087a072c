/** Which prefix a key has, for people to read: never a whole key, and nothing that may be a secret. And which options name it. */

const maxLength = 32;
/** Names that apps give. An address, or what comes from a user, does not look like this. */
const name = /^\{?[a-z][\w.{}/-]*:$/i;
const threeDigits = /\d\D*\d\D*\d/;

/** Options that would name one more prefix, as code to paste. Their lists replace the defaults, so they are complete. */
export interface PrefixOptions {
  readonly scopes: string;
  /** Undefined where the option is a function. */
  readonly untracked: string | undefined;
}

/** Finds the prefixes of keys as options take them, without `keyPrefix`. */
export class KeyPrefixes {
  /** The prefixes in the option `scopes`, or in its default. */
  readonly scopes: readonly string[];
  readonly #keyPrefix: string;
  readonly #untracked: readonly string[] | undefined;
  /** Those that options name, the longest first. */
  readonly #named: readonly string[];

  /** `untracked` is undefined where that option is a function. */
  constructor(keyPrefix: string, scopes: readonly string[], untracked: readonly string[] | undefined) {
    this.scopes = [...scopes];
    this.#keyPrefix = keyPrefix;
    this.#untracked = untracked && [...untracked];
    this.#named = [...scopes, ...(untracked ?? [])].toSorted((one, other) => other.length - one.length);
  }

  /** The options as they are, with `prefix` added. */
  optionsWith(prefix: string): PrefixOptions {
    return {
      scopes: `scopes: ${listOf([...this.scopes, prefix])}`,
      untracked: this.#untracked && `untracked: ${listOf([...this.#untracked, prefix])}`,
    };
  }

  /** The prefix that all of `keys`, as they are sent, have in common; undefined for none. */
  ofAll(keys: readonly (string | Buffer)[]): string | undefined {
    const [first, ...others] = keys;
    const prefix = first === undefined ? undefined : this.of(first);
    return others.every((key) => this.of(key) === prefix) ? prefix : undefined;
  }

  /**
   * A prefix that options name, else the key up to and including its first colon. Undefined if that is the whole key, longer
   * than 32 characters or no plain name: with more than two digits it may be the id of a user or a session.
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
