/** The writes that reads have to see, by brute force: sets of writes, and the writes in each state of a server. */

/** A history of a primary, and where it left the one before it. */
export interface Past {
  readonly replid: string;
  readonly parent?: Past;
  /** The last offset of the parent that is in it. */
  readonly forkedAt: number;
  /** Whether offsets go on where the parent's ended, as after a promotion, and not anywhere, as after a restart. */
  readonly goesOn: boolean;
}

/** A point in a history: what a server has, or where a write is. */
export interface Point {
  readonly past: Past;
  readonly offset: number;
}

/** A write by anybody. */
export interface Write {
  readonly at: Point;
  /** Where its writer knows it to be, which may be later. */
  knownAt?: Point;
  /** Undefined when any key may be touched. */
  readonly keys: readonly string[] | undefined;
}

/** Whether a server in this `state` has what is at `point`. */
export function has(state: Point, point: Point): boolean {
  let { past, offset: limit } = state;
  while (past !== point.past) {
    if (past.parent === undefined) return false;
    limit = past.goesOn ? Math.min(limit, past.forkedAt) : past.forkedAt;
    past = past.parent;
  }
  return point.offset <= limit;
}

/** The longest of `prefixes` that `key` has, "" for none. */
export function scopeOf(key: string, prefixes: readonly string[]): string {
  let scope = "";
  for (const prefix of prefixes) if (key.startsWith(prefix) && prefix.length > scope.length) scope = prefix;
  return scope;
}

/** The scope of all `keys`; "several" when there is none, and undefined for no key. */
export function scopeOfAll(
  keys: readonly string[] | undefined,
  prefixes: readonly string[],
): { readonly scope: string } | "several" | undefined {
  if (keys === undefined) return "several";
  const scopes = new Set(keys.map((key) => scopeOf(key, prefixes)));
  const [scope] = scopes;
  return scopes.size > 1 ? "several" : scope === undefined ? undefined : { scope };
}

/** The writes that a request follows on; true for those that count for every key. */
export type Chain = ReadonlyMap<Write, boolean>;

export function merged(chains: readonly Chain[]): Map<Write, boolean> {
  const all = new Map<Write, boolean>();
  for (const chain of chains)
    for (const [write, isOfAll] of chain) all.set(write, isOfAll || all.get(write) === true);
  return all;
}

/** The same writes, each for every key. */
export function ofAllKeys(chain: Chain): Map<Write, boolean> {
  return new Map([...chain.keys()].map((write) => [write, true]));
}

interface Deed {
  readonly place: object;
  readonly scope: ReturnType<typeof scopeOfAll>;
}

/** One request of a user, and what its reads have to see. */
export class Witness {
  readonly #prefixes: readonly string[];
  readonly chain: Map<Write, boolean>;
  readonly #writes: (Deed & { readonly write: Write })[] = [];
  readonly #reads: (Deed & { readonly saw: readonly Write[] })[] = [];
  /** Whether all scopes count as one. */
  #isWhole = false;

  constructor(prefixes: readonly string[], chains: readonly Chain[]) {
    this.#prefixes = prefixes;
    this.chain = merged(chains);
  }

  /** It has written in a shard; the server has not to have answered yet. */
  wrote(place: object, write: Write): void {
    const scope = scopeOfAll(write.keys, this.#prefixes);
    if (scope === "several") this.#isWhole = true;
    // No read can see a message.
    if (write.keys?.length !== 0) this.chain.set(write, false);
    this.#writes.push({ place, scope, write });
  }

  /** It begins to read `keys`. */
  reads(keys: readonly string[] | undefined): void {
    if (scopeOfAll(keys, this.#prefixes) === "several") this.#isWhole = true;
  }

  /** It has read `keys` from a server that had the writes `saw`. */
  hasRead(place: object, keys: readonly string[] | undefined, saw: readonly Write[]): void {
    this.#reads.push({ place, scope: scopeOfAll(keys, this.#prefixes), saw });
  }

  /** The writes to `place` that it has seen. */
  seenIn(place: object): Write[] {
    return this.#reads.flatMap((deed) => (deed.place === place ? deed.saw : []));
  }

  /** Whether a read of `keys` in `place` follows an earlier one in their scope. */
  followsReads(place: object, keys: readonly string[] | undefined): boolean {
    return this.#reads.some((deed) => deed.place === place && this.#concerns(deed, keys));
  }

  /** Whether one of the `writes` of this request is in the scope of `keys`. */
  isBehind(writes: readonly Write[], keys: readonly string[] | undefined): boolean {
    return this.#writes.some((deed) => writes.includes(deed.write) && this.#concerns(deed, keys));
  }

  /** The writes to `place` that a read of `keys` has to see. */
  needs(place: object, keys: readonly string[] | undefined): Set<Write> {
    const needed = new Set<Write>();
    for (const [write, isOfAll] of this.chain)
      if (
        isOfAll ||
        write.keys === undefined ||
        keys === undefined ||
        write.keys.some((key) => keys.includes(key))
      )
        needed.add(write);
    for (const deed of this.#writes) if (this.#concerns(deed, keys)) needed.add(deed.write);
    for (const deed of this.#reads)
      if (deed.place === place && this.#concerns(deed, keys)) for (const write of deed.saw) needed.add(write);
    return needed;
  }

  #concerns({ scope }: Deed, keys: readonly string[] | undefined): boolean {
    if (scope === undefined) return false;
    const own = scopeOfAll(keys, this.#prefixes);
    if (this.#isWhole || scope === "several" || own === "several") return true;
    return own?.scope === scope.scope;
  }
}
