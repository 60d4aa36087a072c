/** Whether a server's ACL forbids reads: it refuses one after the other, and others answer them. */

/** So many refusals in a row show that reads are forbidden. */
const most = 5;
/** How often a read is tried on a server that has refused so many. */
const tryEveryMs = 3_000;

export class AclDenials {
  #inRow = 0;
  #latest = "";
  #triedAt = Number.NEGATIVE_INFINITY;

  /** What the server refuses reads with; undefined while it does not, as far as is known. */
  get fault(): string | undefined {
    return this.#inRow < most ? undefined : this.#latest;
  }

  /** Whether a read may be sent to the server: while it refuses reads, one now and then. */
  mayTry(now: number): boolean {
    return this.#inRow < most || now - this.#triedAt >= tryEveryMs;
  }

  /** Called for every read that is sent to the server. */
  tries(): void {
    if (this.#inRow >= most) this.#triedAt = performance.now();
  }

  /** Told that the server has refused a read with an error of its ACL that another server has answered. */
  refused({ message }: Error): void {
    this.#inRow += 1;
    this.#latest = message;
    if (this.#inRow === most) this.#triedAt = performance.now();
  }

  /** Told that the server has carried out a read. */
  answered(): void {
    this.#inRow = 0;
  }
}
