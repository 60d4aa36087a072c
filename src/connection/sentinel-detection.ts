/** What a server says of itself while a connection to it begins: Sentinels look like servers with data. */
import type { Redis } from "ioredis";

/** A server that loads its data says the same again and again. */
const mostWords = 32_768;
/** In the replies to HELLO and INFO, of Redis and Valkey. */
const ofSentinel = /\bmode\r\n(\$\d+\r\n|\+)sentinel\r\n|^(redis|server)_mode:sentinel\r$/m;

/** Whether `words` are those of a Sentinel. */
export function isOfSentinel(words: unknown): boolean {
  return ofSentinel.test(String(words));
}

/** Listens to a server from the first byte until it is known enough. */
export class SentinelDetection {
  #words = "";
  readonly #stream: Redis["stream"];
  readonly #listener = (bytes: unknown): void => {
    this.#words = (this.#words + String(bytes)).slice(-mostWords);
  };

  constructor(stream: Redis["stream"]) {
    this.#stream = stream;
    stream.on("data", this.#listener);
  }

  /** Listens no more; whether a Sentinel has spoken. */
  end(): boolean {
    this.#stream.off("data", this.#listener);
    const words = this.#words;
    this.#words = "";
    return isOfSentinel(words);
  }
}
