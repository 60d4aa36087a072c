/** Tracks the HTTP requests that have a session and are not answered yet, because closing a Tidemark waits for them. */

/** How long no request may arrive before closing goes on. A request may be in flight on a connection that was just opened. */
const quietMs = 50;

export class OpenRequests {
  #begun = 0;
  #ended = 0;
  #isClosing = false;
  #onLast: (() => void) | undefined;
  readonly #listeners: (() => void)[] = [];

  /** Whether the Tidemark is about to be closed, so that clients should send no more requests. */
  get isClosing(): boolean {
    return this.#isClosing;
  }

  /** Calls `listener` each time when the Tidemark begins to close, and when it is opened again. */
  onChange(listener: () => void): void {
    this.#listeners.push(listener);
  }

  begin(): void {
    this.#begun += 1;
  }

  end(): void {
    this.#ended += 1;
    if (this.#ended === this.#begun) this.#onLast?.();
  }

  /** Resolves when all requests are answered, including those that arrive meanwhile. */
  async over(): Promise<void> {
    this.close();
    for (let seen = 0; seen < this.#begun; ) {
      seen = this.#begun;
      if (this.#ended < seen) await this.#last();
      await new Promise((resolve) => setTimeout(resolve, quietMs));
    }
  }

  /** From now on the Tidemark is about to be closed. */
  close(): void {
    this.#change(true);
  }

  /** Accepts requests again after closing. */
  reopen(): void {
    this.#change(false);
  }

  #change(isClosing: boolean): void {
    if (this.#isClosing === isClosing) return;
    this.#isClosing = isClosing;
    for (const listener of this.#listeners) listener();
  }

  #last(): Promise<void> {
    return new Promise((resolve) => {
      this.#onLast = resolve;
    });
  }
}

const all = new WeakMap<object, OpenRequests>();

/** The open requests whose sessions belong to `source`. */
export function requestsOf(source: object): OpenRequests {
  let requests = all.get(source);
  if (requests === undefined) {
    requests = new OpenRequests();
    all.set(source, requests);
  }
  return requests;
}
