/** A map that usually has one entry. */

class Entry<K, V> {
  readonly key: K;
  value: V;

  constructor(key: K, value: V) {
    this.key = key;
    this.value = value;
  }
}

/** A Map is created only for the second key, because the session of one request rarely needs it. */
export class SmallMap<K, V> {
  #first: Entry<K, V> | undefined;
  #others: Map<K, V> | undefined;

  get(key: K): V | undefined {
    const first = this.#first;
    return first !== undefined && first.key === key ? first.value : this.#others?.get(key);
  }

  /** The value of `key`, which is made if there is none. The class comes in place of a closure, which each call would allocate. */
  getOrMake(key: K, Value: new () => V): V {
    let value = this.get(key);
    if (value === undefined) {
      value = new Value();
      this.set(key, value);
    }
    return value;
  }

  set(key: K, value: V): void {
    if (this.#first === undefined) this.#first = new Entry(key, value);
    else if (this.#first.key === key) this.#first.value = value;
    else {
      this.#others ??= new Map();
      this.#others.set(key, value);
    }
  }

  /** The entries, in the order in which their keys were first set. */
  get entries(): readonly (readonly [K, V])[] {
    if (this.#first === undefined) return [];
    return [[this.#first.key, this.#first.value], ...(this.#others ?? [])];
  }
}
