/** Gathers the bytes of one turn of the event loop, because one long text is sent in less time than many short ones. */
import type { Redis } from "ioredis";

/** The second argument of `sendCommand` of ioredis: the pipeline that a command is part of. */
export type CommandStream = NonNullable<Parameters<Redis["sendCommand"]>[1]>;

const maxTextLength = 65_536;
/** With this many commands in one text, sending it takes a small part of the time of each. */
const manyCommands = 16;
/** After this many commands their text is sent, so that the server works on them while further commands are gathered. */
const commandsPerText = 2 * manyCommands;

/** Takes the bytes that ioredis would write to a socket, and writes them when it is flushed. */
export class TurnBuffer {
  readonly isPipeline = true;
  readonly destination: { readonly redis: Redis };
  readonly #stream: Redis["stream"];
  #text = "";
  #commands = 0;
  /** Whether the stream is corked and already has some of the bytes. */
  #isCorked = false;

  constructor(redis: Redis) {
    this.destination = { redis };
    this.#stream = redis.stream;
  }

  write(data: string | Buffer): void {
    this.#commands += 1;
    if (typeof data === "string") this.#text += data;
    else {
      this.#keep(this.#text);
      this.#keep(data);
    }
    if (this.#text.length > maxTextLength) this.#keep(this.#text);
    else if (this.#commands % commandsPerText === 0) this.#sendText();
  }

  /** Sends everything now. */
  flush(): void {
    this.#sendText();
    if (this.#isCorked) this.#stream.uncork();
  }

  #sendText(): void {
    if (this.#text !== "") this.#stream.write(this.#text);
    this.#text = "";
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
  /** Those that users gave. */
  #commands = 0;
  #turnsLeft = loneTurns;

  get expectsMore(): boolean {
    return this.#turnsLeft > 0;
  }

  /** Whether the turn has so many commands that a longer wait would make them hardly cheaper. */
  get hasMany(): boolean {
    return this.#commands >= manyCommands;
  }

  turnBegan(): void {
    this.#commands = 0;
  }

  commandGiven(): void {
    this.#commands += 1;
  }

  /** Called when the commands of this turn are sent. */
  turnEnded(): void {
    this.#turnsLeft = this.#commands > 1 ? loneTurns : Math.max(0, this.#turnsLeft - 1);
  }
}
