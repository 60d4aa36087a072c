/** The HTTP requests that have a session of a Tidemark and are not answered yet: closing it waits for them. */

/** For so long no request may arrive: one may be on its way over a connection that was just opened. */
const quietMs = 50;

export class OpenRequests {
  #begun = 0;
  #ended = 0;
  #isClosing = false;
  #onLast: (() => void) | undefined;

  /** Whether the Tidemark is about to be closed, so that clients should not send more requests. */
  get isClosing(): boolean {
    return this.#isClosing;
  }

  begin(): void {
    this.#begun += 1;
  }

  end(): void {
    this.#ended += 1;
    if (this.#ended === this.#begun) this.#onLast?.();
  }

  /** Resolves when all are answered, those that arrive meanwhile included. */
  async over(): Promise<void> {
    this.#isClosing = true;
    for (let seen = 0; seen < this.#begun; ) {
      seen = this.#begun;
      if (this.#ended < seen) await this.#last();
      await new Promise((resolve) => setTimeout(resolve, quietMs));
    }
  }

  /** Takes requests as before. */
  reopen(): void {
    this.#isClosing = false;
  }

  #last(): Promise<void> {
    return new Promise((resolve) => {
      this.#onLast = resolve;
    });
  }
}

const all = new WeakMap<object, OpenRequests>();

/** Those whose sessions are of `source`. */
export function requestsOf(source: object): OpenRequests {
  let requests = all.get(source);
  if (requests === undefined) {
    requests = new OpenRequests();
    all.set(source, requests);
  }
  return requests;
}
