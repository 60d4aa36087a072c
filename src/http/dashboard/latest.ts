/** The latest items of a list that would otherwise grow without end. */

export class Latest<Item> {
  readonly #limit: number;
  readonly #items: Item[] = [];

  /** Keeps at most `limit` items. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  add(item: Item): void {
    this.#items.push(item);
    if (this.#items.length > this.#limit) this.#items.shift();
  }

  /** The items, the oldest first. */
  get items(): readonly Item[] {
    return this.#items;
  }
}
