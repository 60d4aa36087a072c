/** A line in which everybody gets one turn after the other, however many places somebody has in it. */

/** Goes on, unless it has gone elsewhere meanwhile; says whether it did. */
export type Go = () => boolean;

/** Invariant: nobody is in the map without a place, and the one whose turn was last is at its end. */
export class Turns {
  readonly #places = new Map<unknown, Set<Go>>();

  get isEmpty(): boolean {
    return this.#places.size === 0;
  }

  /** Gives `bearer` one more place, behind those it has; the returned function gives that up. */
  add(bearer: unknown, go: Go): () => void {
    let places = this.#places.get(bearer);
    if (places === undefined) {
      places = new Set();
      this.#places.set(bearer, places);
    }
    places.add(go);
    return () => {
      if (places.delete(go) && places.size === 0) this.#places.delete(bearer);
    };
  }

  /** Takes out the first place of the one whose turn it is; undefined when the line is empty. */
  next(): Go | undefined {
    for (const [bearer, places] of this.#places) {
      this.#places.delete(bearer);
      for (const go of places) {
        places.delete(go);
        if (places.size > 0) this.#places.set(bearer, places);
        return go;
      }
    }
    return undefined;
  }
}
