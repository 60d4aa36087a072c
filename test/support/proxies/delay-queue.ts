/** Keeps the bytes for one client back for a while without ever changing their order. */

import type { Socket } from "node:net";
import type { Outlet } from "./tcp-proxy.js";

/** Shared by all queues of a proxy, so that a change reaches every connection. */
export interface Lag {
  isHeld: boolean;
  ms: number;
  jitterMs: number;
  /** How much passes in a millisecond; infinity for all that comes. */
  bytesPerMs: number;
}

/** A chunk that takes longer than this to pass is cut into pieces, in milliseconds. */
const pieceMs = 5;

interface Entry {
  /** Undefined is the end of the connection: it must not overtake the bytes before it. */
  readonly chunk: Buffer | undefined;
  readonly dueAt: number;
}

/**
 * One queue and one timer. With a timer per chunk, two that end in the same millisecond would fire in either
 * order, and a replica would apply swapped commands while its offset still looks right.
 */
export class DelayQueue implements Outlet {
  readonly #client: Socket;
  readonly #lag: Readonly<Lag>;
  #entries: Entry[] = [];
  /** When the line will have passed all that it was given. */
  #freeAt = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(client: Socket, lag: Readonly<Lag>) {
    this.#client = client;
    this.#lag = lag;
    client.once("close", () => {
      clearTimeout(this.#timer);
      this.#entries = [];
    });
  }

  write(chunk: Buffer): void {
    this.#push(chunk);
  }

  end(): void {
    this.#push(undefined);
  }

  /** Sends all that is queued, due or not; resolves when the kernel has taken it or the client is gone. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#freeAt = 0;
    await Promise.all(this.#entries.splice(0).map((entry) => this.#send(entry)));
  }

  #push(chunk: Buffer | undefined): void {
    const { ms, jitterMs, bytesPerMs } = this.#lag;
    const arrivesAt = performance.now() + ms + jitterMs * (2 * Math.random() - 1);
    for (const piece of piecesOf(chunk, bytesPerMs * pieceMs)) {
      this.#freeAt = Math.max(arrivesAt, this.#freeAt) + (piece?.length ?? 0) / bytesPerMs;
      this.#entries.push({ chunk: piece, dueAt: this.#freeAt });
    }
    if (this.#timer === undefined) this.#drain();
  }

  #drain(): void {
    this.#timer = undefined;
    if (this.#lag.isHeld) return;
    const now = performance.now();
    const waiting = this.#entries.findIndex(({ dueAt }) => dueAt > now);
    const due = this.#entries.splice(0, waiting < 0 ? this.#entries.length : waiting);
    for (const entry of due) void this.#send(entry);
    const next = this.#entries[0];
    if (next) this.#timer = setTimeout(() => this.#drain(), next.dueAt - now);
  }

  #send({ chunk }: Entry): Promise<void> {
    const client = this.#client;
    if (chunk) return new Promise((resolve) => client.write(chunk, () => resolve()));
    client.destroySoon();
    return Promise.resolve();
  }
}

function piecesOf(chunk: Buffer | undefined, bytes: number): readonly (Buffer | undefined)[] {
  if (chunk === undefined || chunk.length <= bytes) return [chunk];
  const size = Math.max(1, Math.floor(bytes));
  return Array.from({ length: Math.ceil(chunk.length / size) }, (_, i) =>
    chunk.subarray(i * size, (i + 1) * size),
  );
}
