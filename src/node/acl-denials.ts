/** Notices that a server's ACL forbids reads: the server refuses one read after the other, and other servers answer them. */

/** This many refusals in a row show that reads are forbidden. */
const most = 5;
/** How often a read is tried on a server whose ACL forbids reads. */
const tryEveryMs = 3_000;

export class AclDenials {
  #inRow = 0;
  #latest = "";
  #triedAt = Number.NEGATIVE_INFINITY;

  /** The error that the server refuses reads with. Undefined while reads are not known to be forbidden. */
  get fault(): string | undefined {
    return this.#inRow < most ? undefined : this.#latest;
  }

  /** Whether a read may be sent to the server. While reads are forbidden, one read is sent every `tryEveryMs`. */
  mayTry(now: number): boolean {
    return this.#inRow < most || now - this.#triedAt >= tryEveryMs;
  }

  /** Called for every read that is sent to the server. */
  tries(): void {
    if (this.#inRow >= most) this.#triedAt = performance.now();
  }

  /** Called when the server has refused a read by its ACL and another server has answered the read. */
  refused({ message }: Error): void {
    this.#inRow += 1;
    this.#latest = message;
    if (this.#inRow === most) this.#triedAt = performance.now();
  }

  /** Called when the server has executed a read. */
  answered(): void {
    this.#inRow = 0;
  }
}
