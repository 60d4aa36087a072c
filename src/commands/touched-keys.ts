/** What commands touch: which keys, and in which scope. */
import type { Command } from "ioredis";
import { declaredKeysOf, keysTouchedBy } from "./command-keys.js";
import { isScript } from "./command-kind.js";
import { hashOf } from "./key-hash.js";
import { isLeftUntracked } from "./untracked.js";

type Key = string | Buffer;

/** Keys, by their hashes, that are all in one scope; or anything. */
export class Touched {
  /** The prefix of the keys, "" for those of no scope; undefined when the keys are not known, or not all in one scope. */
  readonly scope: string | undefined;
  /** As they are sent; undefined when any key may be touched. */
  readonly keys: readonly Key[] | undefined;
  /**
   * The keys that the commands name, for people to read: where any key may be touched, those that scripts declare. Undefined when
   * one of the commands names none of what it may touch.
   */
  readonly named: readonly Key[] | undefined;
  #hashes: readonly number[] | undefined;

  constructor(scope: string | undefined, keys: readonly Key[] | undefined, named = keys) {
    this.scope = scope;
    this.keys = keys;
    this.named = named;
  }

  /** Undefined when any key may be touched. */
  get hashes(): readonly number[] | undefined {
    const { keys } = this;
    if (this.#hashes === undefined && keys !== undefined) {
      const [first] = keys;
      this.#hashes = keys.length === 1 && first !== undefined ? [hashOf(first)] : keys.map(hashOf);
    }
    return this.#hashes;
  }
}

/** What may be any key. */
export const anyKey = new Touched(undefined, undefined);

/** Finds what commands touch, and which of their writes count. */
export interface KeyFinder {
  touchedBy(commands: Command | readonly Command[]): Touched;
  /** Whether a write counts for its session. */
  tracks(write: Command): boolean;
}

/** A write, as far as it decides whether it counts for its session. */
export interface WriteToTrack {
  /** The command's name in small letters, for example `"set"` or `"evalsha"`. */
  readonly command: string;
  /** The keys as they are sent; of a script those that it declares. */
  readonly keys: readonly (string | Buffer)[];
}

/** Which keys are in an order only among themselves, and which writes count for no session. */
export interface KeyRules {
  /** Prefixes of keys, as they are sent. */
  readonly scopes: readonly string[];
  /** Whether scripts touch no keys but those that they declare. */
  readonly scriptsDeclareKeys: boolean;
  /** Whether a write of known keys counts for no session; undefined when all count. */
  readonly isUntracked: ((write: WriteToTrack) => boolean) | undefined;
  /** The commands, in small letters, whose writes it can be true of; undefined for any. */
  readonly untrackedCommands: ReadonlySet<string> | undefined;
}

/** Finds what commands touch by the rules of a Tidemark. */
export class RuledKeys implements KeyFinder {
  readonly #prefixes: readonly string[];
  /** The bytes that prefixes begin with: most keys of an app begin with none of them. */
  readonly #initials: ReadonlySet<number>;
  readonly #rules: KeyRules;

  constructor(rules: KeyRules) {
    // The longest that fits counts.
    this.#prefixes = rules.scopes.toSorted((one, other) => other.length - one.length);
    this.#initials = new Set(this.#prefixes.map(initialOf));
    this.#rules = rules;
  }

  touchedBy(commands: Command | readonly Command[]): Touched {
    if (isOne(commands)) return this.#touchedByOne(commands);
    const [first, second] = commands;
    return first !== undefined && second === undefined
      ? this.#touchedByOne(first)
      : this.#touchedByAll(commands);
  }

  tracks(write: Command): boolean {
    if (isLeftUntracked(write)) return false;
    const { isUntracked, untrackedCommands } = this.#rules;
    if (untrackedCommands?.has(write.name.toLowerCase()) === false) return true;
    const keys = isUntracked && (keysTouchedBy(write) ?? (isScript(write.name) ? declaredKeysOf(write) : []));
    if (isUntracked === undefined || keys === undefined || keys.length === 0) return true;
    return !isUntracked({ command: write.name.toLowerCase(), keys });
  }

  #touchedByOne(command: Command): Touched {
    const keys = keysTouchedBy(command);
    if (keys !== undefined) return new Touched(this.#scopeOf(keys), keys);
    const declared = isScript(command.name) ? declaredKeysOf(command) : undefined;
    if (declared === undefined || declared.length === 0) return anyKey;
    const scope = this.#scopeOf(declared);
    // Scripts of a library are taken at their word where the library keeps to its own keys.
    const isKnown = scope === "" ? this.#rules.scriptsDeclareKeys : scope !== undefined;
    return isKnown ? new Touched(scope, declared) : new Touched(undefined, undefined, declared);
  }

  #touchedByAll(commands: readonly Command[]): Touched {
    let keys: readonly Key[] = [];
    let scope: string | undefined = "";
    let isKnown = true;
    for (const command of commands) {
      if (framing.has(command.name.toLowerCase())) continue;
      const one = this.#touchedByOne(command);
      if (one.named === undefined) return anyKey;
      if (one.keys === undefined) isKnown = false;
      if (one.named.length === 0) continue;
      scope = keys.length === 0 || scope === one.scope ? one.scope : undefined;
      keys = keys.length === 0 ? one.named : [...keys, ...one.named];
    }
    return isKnown ? new Touched(scope, keys) : new Touched(undefined, undefined, keys);
  }

  /** The scope of all `keys`; undefined when they are in several. */
  #scopeOf(keys: readonly Key[]): string | undefined {
    const [first] = keys;
    if (first === undefined) return "";
    const scope = this.#prefixOf(first);
    // A closure for each command would cost more than the rest.
    for (let i = 1; i < keys.length; i += 1) if (this.#prefixOf(keys[i] ?? first) !== scope) return undefined;
    return scope;
  }

  #prefixOf(key: Key): string {
    if (!this.#initials.has(initialOf(key))) return "";
    for (const prefix of this.#prefixes) if (startsWith(key, prefix)) return prefix;
    return "";
  }
}

/** What frames a transaction touches no keys beside those of the commands inside, and WATCH changes none. */
const framing: ReadonlySet<string> = new Set(["multi", "exec", "discard", "unwatch"]);

function isOne(commands: Command | readonly Command[]): commands is Command {
  return !Array.isArray(commands);
}

/** The first byte; one number for all bytes that are no ASCII, and 0 of an empty key. */
function initialOf(key: Key): number {
  const code = (typeof key === "string" ? key.charCodeAt(0) : key[0]) || 0;
  return Math.min(code, 0x80);
}

function startsWith(key: Key, prefix: string): boolean {
  if (typeof key === "string") return key.startsWith(prefix);
  const bytes = Buffer.from(prefix);
  return key.subarray(0, bytes.length).equals(bytes);
}
