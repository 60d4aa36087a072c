/** The bytes of one turn of the event loop: one long text leaves in less time than many short ones. */
import type { Redis } from "ioredis";

/** ioredis's second argument of `sendCommand`: the pipeline a command is part of. */
export type CommandStream = NonNullable<Parameters<Redis["sendCommand"]>[1]>;

const maxTextLength = 65_536;

/** Takes what ioredis would write to a socket, and writes it when it is let go. */
export class Outgoing {
  readonly isPipeline = true;
  readonly destination: { readonly redis: Redis };
  #stream: Redis["stream"];
  #text = "";

  constructor(redis: Redis) {
    this.destination = { redis };
    this.#stream = redis.stream;
    this.#stream.cork();
  }

  write(data: string | Buffer): void {
    if (typeof data === "string") this.#text += data;
    else {
      this.#flush();
      this.#stream.write(data);
    }
    if (this.#text.length > maxTextLength) this.#flush();
  }

  /** Has everything leave now. */
  letGo(): void {
    this.#flush();
    this.#stream.uncork();
  }

  #flush(): void {
    if (this.#text === "") return;
    this.#stream.write(this.#text);
    this.#text = "";
  }
}
