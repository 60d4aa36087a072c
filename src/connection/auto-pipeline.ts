/** Gathers the bytes of one turn of the event loop, because one long text is sent in less time than many short ones. */
import type { Redis } from "ioredis";

/** The second argument of `sendCommand` of ioredis: the pipeline that a command is part of. */
export type CommandStream = NonNullable<Parameters<Redis["sendCommand"]>[1]>;

const maxTextLength = 65_536;

/** Takes the bytes that ioredis would write to a socket, and writes them when it is flushed. */
export class TurnBuffer {
  readonly isPipeline = true;
  readonly destination: { readonly redis: Redis };
  readonly #stream: Redis["stream"];
  #text = "";
  /** Whether the stream is corked and already has some of the bytes. */
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

  /** Sends everything now. */
  flush(): void {
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

/** This many turns in a row have to bring a single command before the next turn is expected to bring a single one too. */
const loneTurns = 8;

/** Predicts whether more commands will follow in this turn of the event loop. */
export class TurnEstimate {
  #commands = 0;
  #turnsLeft = loneTurns;

  get expectsMore(): boolean {
    return this.#turnsLeft > 0;
  }

  turnBegan(): void {
    this.#commands = 0;
  }

  commandAdded(): void {
    this.#commands += 1;
  }

  /** Called when the commands of this turn are sent. A command that is added after that, such as INFO, does not count. */
  turnEnded(): void {
    this.#turnsLeft = this.#commands > 1 ? loneTurns : Math.max(0, this.#turnsLeft - 1);
  }
}
