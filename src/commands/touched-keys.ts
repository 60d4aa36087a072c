/**
 * Finds the keys that commands touch, their scope, and which writes are tracked: later reads of the session have to see these.
 */
import type { Command } from "ioredis";
import { declaredKeysOf, keysTouchedBy } from "./command-keys.js";
import { isScript } from "./command-kind.js";
import { hashOf } from "./key-hash.js";
import { isLeftUntracked } from "./untracked.js";

type Key = string | Buffer;

/** The keys that one or more commands touch. Can also stand for any key. */
export class Touched {
  /** The common prefix of the keys, or "" for keys in no scope. Undefined if the keys are unknown or in several scopes. */
  readonly scope: string | undefined;
  /** The keys as sent to the server. Undefined if any key may be touched. */
  readonly keys: readonly Key[] | undefined;
  /**
   * The keys that the commands name, for people to read. If a script may touch any key, these are the keys that it declares.
   * Undefined if one of the commands may touch any key and names none.
   */
  readonly named: readonly Key[] | undefined;
  #hashes: readonly number[] | undefined;

  constructor(scope: string | undefined, keys: readonly Key[] | undefined, named = keys) {
    this.scope = scope;
    this.keys = keys;
    this.named = named;
  }

  /** Undefined if any key may be touched. */
  get hashes(): readonly number[] | undefined {
    const { keys } = this;
    if (this.#hashes === undefined && keys !== undefined) {
      const [first] = keys;
      this.#hashes = keys.length === 1 && first !== undefined ? [hashOf(first)] : keys.map(hashOf);
    }
    return this.#hashes;
  }
}

/** Stands for commands that may touch any key. */
export const anyKey = new Touched(undefined, undefined);

/** Finds the keys that commands touch, and whether later reads of the session have to see a write. */
export interface KeyFinder {
  touchedBy(commands: Command | readonly Command[]): Touched;
  /** Whether later reads of the session have to see `write`. */
  tracks(write: Command): boolean;
}

/** A write, as the option `untracked` gets it to decide whether later reads of the session have to see it. */
export interface WriteToTrack {
  /** The command's name in lower case, for example `"set"` or `"evalsha"`. */
  readonly command: string;
  /** The keys as sent to the server. For a script, the keys that it declares. */
  readonly keys: readonly (string | Buffer)[];
}

/** Which keys are ordered only among themselves, and which writes later reads of the session need not see. */
export interface KeyRules {
  /** Key prefixes, as sent to the server. */
  readonly scopes: readonly string[];
  /** Whether scripts touch only the keys that they declare. */
  readonly scriptsDeclareKeys: boolean;
  /** Whether later reads of the session need not see a write of known keys. Undefined if they have to see all writes. */
  readonly isUntracked: ((write: WriteToTrack) => boolean) | undefined;
  /** The commands, in lower case, for which `isUntracked` can return true. Undefined for all commands. */
  readonly untrackedCommands: ReadonlySet<string> | undefined;
}

/** Finds the keys that commands touch, by the rules of one Tidemark. */
export class RuledKeys implements KeyFinder {
  readonly #prefixes: readonly string[];
  /**
   * The first bytes of the prefixes. Most keys of an app begin with none of these bytes, so they need not be compared with the
   * prefixes.
   */
  readonly #initials: ReadonlySet<number>;
  readonly #rules: KeyRules;

  constructor(rules: KeyRules) {
    // The longest come first, because the longest prefix that matches a key is its scope.
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
    // The keys of one scope belong to one library. It can be trusted to declare all keys of its scripts.
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

  /** The scope of all `keys`. Undefined if they are in several scopes. */
  #scopeOf(keys: readonly Key[]): string | undefined {
    const [first] = keys;
    if (first === undefined) return "";
    const scope = this.#prefixOf(first);
    // A closure for each command would cost more than the rest of this method.
    for (let i = 1; i < keys.length; i += 1) if (this.#prefixOf(keys[i] ?? first) !== scope) return undefined;
    return scope;
  }

  #prefixOf(key: Key): string {
    if (!this.#initials.has(initialOf(key))) return "";
    for (const prefix of this.#prefixes) if (startsWith(key, prefix)) return prefix;
    return "";
  }
}

/** Commands that frame a transaction touch only the keys of the commands inside. WATCH changes no keys. */
const framing: ReadonlySet<string> = new Set(["multi", "exec", "discard", "unwatch"]);

function isOne(commands: Command | readonly Command[]): commands is Command {
  return !Array.isArray(commands);
}

/** The first byte. All non-ASCII bytes give the same number, and an empty key gives 0. */
function initialOf(key: Key): number {
  const code = (typeof key === "string" ? key.charCodeAt(0) : key[0]) || 0;
  return Math.min(code, 0x80);
}

function startsWith(key: Key, prefix: string): boolean {
  if (typeof key === "string") return key.startsWith(prefix);
  const bytes = Buffer.from(prefix);
  return key.subarray(0, bytes.length).equals(bytes);
}
