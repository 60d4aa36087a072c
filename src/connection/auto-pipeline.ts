/** The bytes of one turn of the event loop: one long text leaves in less time than many short ones. */
import type { Redis } from "ioredis";

/** ioredis's second argument of `sendCommand`: the pipeline a command is part of. */
export type CommandStream = NonNullable<Parameters<Redis["sendCommand"]>[1]>;

const maxTextLength = 65_536;

/** Takes what ioredis would write to a socket, and writes it when it is let go. */
export class Outgoing {
  readonly isPipeline = true;
  readonly destination: { readonly redis: Redis };
  readonly #stream: Redis["stream"];
  #text = "";
  /** Whether some of it has been given to the stream, which keeps it. */
  #isCorked = false;

  constructor(redis: Redis) {
    this.destination = { redis };
    this.#stream = redis.stream;
  }

  write(data: string | Buffer): void {
    if (typeof data === "string") this.#text += data;
    else {
      this.#keep(this.#text);
      this.#keep(data);
    }
    if (this.#text.length > maxTextLength) this.#keep(this.#text);
  }

  /** Has everything leave now. */
  letGo(): void {
    if (this.#text !== "") this.#stream.write(this.#text);
    if (this.#isCorked) this.#stream.uncork();
  }

  #keep(data: string | Buffer): void {
    if (!this.#isCorked) this.#stream.cork();
    this.#isCorked = true;
    if (data !== "") this.#stream.write(data);
    if (typeof data === "string") this.#text = "";
  }
}
