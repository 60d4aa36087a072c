/** A map that mostly has one entry. */

class Entry<K, V> {
  readonly key: K;
  value: V;

  constructor(key: K, value: V) {
    this.key = key;
    this.value = value;
  }
}

/** A Map is made only for the second key, because a session of one request mostly needs none. */
export class SmallMap<K, V> {
  #first: Entry<K, V> | undefined;
  #others: Map<K, V> | undefined;

  get(key: K): V | undefined {
    const first = this.#first;
    return first !== undefined && first.key === key ? first.value : this.#others?.get(key);
  }

  set(key: K, value: V): void {
    if (this.#first === undefined) this.#first = new Entry(key, value);
    else if (this.#first.key === key) this.#first.value = value;
    else {
      this.#others ??= new Map();
      this.#others.set(key, value);
    }
  }

  /** In the order in which the keys were first set. */
  get entries(): readonly (readonly [K, V])[] {
    if (this.#first === undefined) return [];
    return [[this.#first.key, this.#first.value], ...(this.#others ?? [])];
  }
}
