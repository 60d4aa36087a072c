/** The writes of one turn of the event loop, and the one INFO behind them that tells the position of all. */
import type { Command } from "ioredis";
import { Ends } from "./ends.js";
import { ConnectionLostError } from "./errors.js";
import type { Position } from "./position.js";
import type { WriteEnd } from "./session.js";

/** Whoever has to know where a write ended up. */
export interface Writer {
  writeStarted(): void;
  writeEnded(end: WriteEnd): void;
}

const infoDeadlineMs = 1_000;

/**
 * Holds the replies of its writes back until the position is known, so that a write's promise resolves covered.
 * Redis answers in order, so all replies are in when the INFO's is; a write that is not is of unknown position.
 */
export class WriteTurn {
  #held: { settle: () => void; writer: Writer | undefined }[] = [];
  #repliedAt = Number.POSITIVE_INFINITY;
  #over = false;
  readonly #address: string;
  /** The TCP connection the writes were given to. */
  readonly epoch: number;

  constructor(address: string, epoch: number) {
    this.#address = address;
    this.epoch = epoch;
  }

  /** Makes `command` one of this turn's writes; called before it is sent. */
  add(command: Command, writer: Writer): void {
    const ends = new Ends(command);
    writer.writeStarted();
    command.resolve = (reply) => this.#hold(() => ends.resolve(reply), writer);
    command.reject = (error) => {
      if (error.name === "ReplyError") this.#hold(() => ends.reject(error), writer);
      else {
        writer.writeEnded("unknown");
        ends.reject(ConnectionLostError.of(command.name, this.#address, error));
      }
    };
  }

  /** Has a read that stands behind writes of its session answered after them; called before it is sent. */
  follow(command: Command): void {
    const ends = new Ends(command);
    command.resolve = (reply) => this.#hold(() => ends.resolve(reply));
    command.reject = (error) => this.#hold(() => ends.reject(error));
  }

  /** Tells every writer of the turn its position, then gives the replies out, in order. */
  finish(position: Position | undefined): void {
    this.#over = true;
    const held = this.#held;
    this.#held = [];
    for (const { writer } of held) writer?.writeEnded(position ?? "unknown");
    for (const { settle } of held) settle();
  }

  /** Gives the replies out without a position when the INFO's has not followed the last of them for a second. */
  expire(now: number): void {
    if (now - this.#repliedAt > infoDeadlineMs) this.finish(undefined);
  }

  #hold(settle: () => void, writer?: Writer): void {
    if (this.#over) {
      writer?.writeEnded("unknown");
      settle();
      return;
    }
    this.#held.push({ settle, writer });
    this.#repliedAt = performance.now();
  }
}
