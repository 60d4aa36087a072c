/** The bytes of one turn of the event loop: one long text leaves in less time than many short ones. */
import type { Redis } from "ioredis";

/** ioredis's second argument of `sendCommand`: the pipeline a command is part of. */
export type CommandStream = NonNullable<Parameters<Redis["sendCommand"]>[1]>;

const maxTextLength = 65_536;

/** Takes what ioredis would write to a socket, and writes it when it is let go. */
export class TurnBuffer {
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

/** So many turns in a row have to bring one alone before the next is taken to be alone too. */
const lasts = 8;

export class TurnEstimate {
  #given = 0;
  #left = lasts;

  /** Whether others will probably follow in the same turn of the event loop. */
  get expectsMore(): boolean {
    return this.#left > 0;
  }

  /** Takes in that a turn begins. */
  turnBegan(): void {
    this.#given = 0;
  }

  /** Takes in that a command was given. */
  commandAdded(): void {
    this.#given += 1;
  }

  /** Takes in that what was given in this turn leaves; what comes on its way out, as an INFO does, is no company. */
  turnEnded(): void {
    this.#left = this.#given > 1 ? lasts : Math.max(0, this.#left - 1);
  }
}
