/** What was measured of contestants in rounds, and how they compare with the plain app in the same round. */
import type { Contestant } from "./contestants.js";

export class Compared<Case, Measured extends { readonly [What in keyof Measured]: number }> {
  readonly #ofRounds = new Map<Case, Map<Contestant, Measured[]>>();

  /** Called once for each case and contestant in a round. */
  add(of: Case, contestant: Contestant, measured: Measured): void {
    const ofCase = this.#ofRounds.get(of) ?? new Map<Contestant, Measured[]>();
    this.#ofRounds.set(of, ofCase);
    ofCase.set(contestant, [...(ofCase.get(contestant) ?? []), measured]);
  }

  /** One value of each round in which it could be measured. */
  values(of: Case, contestant: Contestant, what: keyof Measured): number[] {
    return this.#compare(of, contestant, what, (value) => value);
  }

  /** The value of `contestant` divided by that of the plain app in the same round. */
  ratios(of: Case, contestant: Contestant, what: keyof Measured): number[] {
    return this.#compare(of, contestant, what, (value, plain) => value / plain);
  }

  /** How much more `contestant` takes than the plain app in the same round. */
  differences(of: Case, contestant: Contestant, what: keyof Measured): number[] {
    return this.#compare(of, contestant, what, (value, plain) => value - plain);
  }

  #compare(
    of: Case,
    contestant: Contestant,
    what: keyof Measured,
    compare: (value: number, plain: number) => number,
  ): number[] {
    const ofCase = this.#ofRounds.get(of);
    const plain = ofCase?.get("plain") ?? [];
    const compared = (ofCase?.get(contestant) ?? []).map((measured, round) =>
      compare(measured[what], plain[round]?.[what] ?? Number.NaN),
    );
    return compared.filter(Number.isFinite);
  }
}
