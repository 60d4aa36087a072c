/** Picks one of two servers that may both answer a read. */
import type { Node } from "../node/node.js";

/** Response times that differ by less count as equal, because measurements are never quite the same. */
const notableRatio = 3;
const notableMs = 3;
/** A server in the own zone is passed over if a server elsewhere answers this many times faster. */
const farRatio = 8;

/** Picks two servers at random by their weights, with the own zone first. Prefers the one of the two that has less to do. */
export class TwoChoices {
  readonly #zone: string | undefined;
  readonly #now: number;
  readonly #fastestMs: number;
  #first: Node;
  #firstScore: number;
  #second: Node | undefined;
  #secondScore = Number.NEGATIVE_INFINITY;

  /** Begins with `one`. The fastest server of `all` shows how much slower another server is. */
  constructor(zone: string | undefined, all: readonly Node[], now: number, one: Node) {
    this.#zone = zone;
    this.#now = now;
    this.#fastestMs = zone === undefined ? 0 : fastest(all, now);
    this.#first = one;
    this.#firstScore = this.#scoreOf(one);
  }

  /** Adds `node`, which may answer the read too. */
  add(node: Node): void {
    const score = this.#scoreOf(node);
    if (score > this.#firstScore) {
      this.#second = this.#first;
      this.#secondScore = this.#firstScore;
      this.#first = node;
      this.#firstScore = score;
    } else if (score > this.#secondScore) {
      this.#second = node;
      this.#secondScore = score;
    }
  }

  get chosen(): Node {
    const first = this.#first;
    const second = this.#second;
    if (second === undefined || this.#isNear(first) !== this.#isNear(second)) return first;
    const one = first.latency.at(this.#now);
    const other = second.latency.at(this.#now);
    const slower = slowness(one, other);
    const fewer = slowness(other, one);
    // Among equally fast servers, counting the read that is about to be sent would outweigh every random pick.
    const more = slower * fewer > 1 ? 1 : 0;
    return load(second, more) * fewer < load(first, more) * slower ? second : first;
  }

  #scoreOf(node: Node): number {
    return scoreOf(node) + (this.#isNear(node) ? 1 : 0);
  }

  #isNear({ zone, latency }: Node): boolean {
    if (this.#zone === undefined || zone !== this.#zone) return false;
    return slowness(latency.at(this.#now), this.#fastestMs) < farRatio;
  }
}

/** Weighted sampling by Efraimidis and Spirakis. A node with a larger result is picked sooner. The result is below 1. */
function scoreOf({ weight }: Node): number {
  const random = Math.random();
  return weight === 1 ? random : random ** (1 / weight);
}

function load({ connection, weight }: Node, more: number): number {
  return (connection.inFlight + more) / weight;
}

/** How many times slower a server that answers within `ms` is than one that answers within `otherMs`. 1 if it is not slower. */
function slowness(ms: number, otherMs: number): number {
  const isNotable = ms - otherMs > notableMs && ms > notableRatio * otherMs;
  return isNotable ? ms / Math.max(otherMs, notableMs) : 1;
}

function fastest(nodes: readonly Node[], now: number): number {
  let least = Number.POSITIVE_INFINITY;
  for (const { latency, connection } of nodes) if (connection.ready) least = Math.min(least, latency.at(now));
  return least;
}
