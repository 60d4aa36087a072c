/** The moment that the user points at, in both charts at once. */

export class TimeCursor {
  /** The start of the moment in milliseconds since 1970. Undefined if the user points at none. */
  #at: number | undefined;
  readonly #changed: () => void;

  constructor(changed: () => void) {
    this.#changed = changed;
  }

  get at(): number | undefined {
    return this.#at;
  }

  moveTo(at: number | undefined): void {
    if (this.#at === at) return;
    this.#at = at;
    this.#changed();
  }
}
