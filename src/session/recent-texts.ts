/** What the latest texts were decoded to, because a user sends the same token with every request until the next write. */

/** Few enough that all of them together take less than a megabyte. */
const maxTexts = 256;

/**
 * Stores what each of up to 512 texts was decoded to. When 256 texts were added, the 256 before them are forgotten. Only texts that
 * prove authentic or are well-formed belong here, because anybody can send others.
 */
export class RecentTexts<Value extends object> {
  #newer = new Map<string, Value>();
  #older = new Map<string, Value>();

  /** What the text was decoded to. Undefined if that is not known any more. */
  get(text: string): Value | undefined {
    const known = this.#newer.get(text);
    if (known !== undefined) return known;
    const old = this.#older.get(text);
    if (old !== undefined) this.add(text, old);
    return old;
  }

  add(text: string, value: Value): void {
    if (this.#newer.size >= maxTexts) {
      this.#older = this.#newer;
      this.#newer = new Map();
    }
    this.#newer.set(text, value);
  }
}
