/** Which of two servers that may both answer a read is asked. */
import type { Node } from "../node/node.js";

/** Answers that differ by less count as equally fast: what is measured is never quite the same. */
const notableRatio = 3;
const notableMs = 3;
/** A server in the own zone is passed by when one elsewhere answers so many times faster. */
const farRatio = 8;

/** Draws two servers at random, by their weights and those in the own zone first, and prefers the one with less to do. */
export class TwoChoices {
  readonly #zone: string | undefined;
  readonly #now: number;
  readonly #fastestMs: number;
  #first: Node;
  #firstDraw: number;
  #second: Node | undefined;
  #secondDraw = Number.NEGATIVE_INFINITY;

  /** Begins with `one`. Among `all` it is told by how far one is the slower. */
  constructor(zone: string | undefined, all: readonly Node[], now: number, one: Node) {
    this.#zone = zone;
    this.#now = now;
    this.#fastestMs = zone === undefined ? 0 : fastest(all, now);
    this.#first = one;
    this.#firstDraw = this.#drawOf(one);
  }

  /** Takes in that `node` may answer. */
  add(node: Node): void {
    const drawn = this.#drawOf(node);
    if (drawn > this.#firstDraw) {
      this.#second = this.#first;
      this.#secondDraw = this.#firstDraw;
      this.#first = node;
      this.#firstDraw = drawn;
    } else if (drawn > this.#secondDraw) {
      this.#second = node;
      this.#secondDraw = drawn;
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
    // Among the equally fast one more of a read that is only now to be sent would outweigh every draw.
    const more = slower * fewer > 1 ? 1 : 0;
    return burden(second, more) * fewer < burden(first, more) * slower ? second : first;
  }

  #drawOf(node: Node): number {
    return drawOf(node) + (this.#isNear(node) ? 1 : 0);
  }

  #isNear({ zone, latency }: Node): boolean {
    if (this.#zone === undefined || zone !== this.#zone) return false;
    return slowness(latency.at(this.#now), this.#fastestMs) < farRatio;
  }
}

/** Weighted sampling by Efraimidis and Spirakis: the larger, the sooner it is drawn; below 1. */
function drawOf({ weight }: Node): number {
  const random = Math.random();
  return weight === 1 ? random : random ** (1 / weight);
}

function burden({ connection, weight }: Node, more: number): number {
  return (connection.inFlight + more) / weight;
}

/** By how much a server that answers within `ms` is slower than one that does within `otherMs`; 1 when it is not. */
function slowness(ms: number, otherMs: number): number {
  const isNotable = ms - otherMs > notableMs && ms > notableRatio * otherMs;
  return isNotable ? ms / Math.max(otherMs, notableMs) : 1;
}

function fastest(nodes: readonly Node[], now: number): number {
  let least = Number.POSITIVE_INFINITY;
  for (const { latency, connection } of nodes) if (connection.ready) least = Math.min(least, latency.at(now));
  return least;
}
