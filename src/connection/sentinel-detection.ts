/** Recognizes a Sentinel by its first replies on a connection, because otherwise it looks like a server with data. */
import type { Redis } from "ioredis";

/** The length of the text that is kept. A server that loads its data repeats the same text. */
const maxLength = 32_768;
/** Matches the replies of a Sentinel to HELLO and INFO, in Redis and in Valkey. */
const ofSentinel = /\bmode\r\n(\$\d+\r\n|\+)sentinel\r\n|^(redis|server)_mode:sentinel\r$/m;

/** Whether `reply` is that of a Sentinel. */
export function isOfSentinel(reply: unknown): boolean {
  return ofSentinel.test(String(reply));
}

/** Listens to a server from the first byte of a connection. */
export class SentinelDetection {
  #text = "";
  readonly #stream: Redis["stream"];
  readonly #listener = (bytes: unknown): void => {
    this.#text = (this.#text + String(bytes)).slice(-maxLength);
  };

  constructor(stream: Redis["stream"]) {
    this.#stream = stream;
    stream.on("data", this.#listener);
  }

  /** Stops listening. Returns whether the server is a Sentinel. */
  end(): boolean {
    this.#stream.off("data", this.#listener);
    const text = this.#text;
    this.#text = "";
    return isOfSentinel(text);
  }
}
