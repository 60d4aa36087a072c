/** Whether commands come alone, guessed from what was seen: it decides when they leave, never where. */

/** So many turns in a row have to bring one alone before the next is taken to be alone too. */
const lasts = 8;

export class Company {
  #given = 0;
  #left = lasts;

  /** Whether others will probably follow in the same turn of the event loop. */
  get isExpected(): boolean {
    return this.#left > 0;
  }

  /** Takes in that a turn begins. */
  gathers(): void {
    this.#given = 0;
  }

  /** Takes in that a command was given. */
  joins(): void {
    this.#given += 1;
  }

  /** Takes in that what was given in this turn leaves; what comes on its way out, as an INFO does, is no company. */
  leaves(): void {
    this.#left = this.#given > 1 ? lasts : Math.max(0, this.#left - 1);
  }
}
