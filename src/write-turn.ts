/** The writes of one turn of the event loop, and the one INFO behind them that tells the position of all. */
import type { Command } from "ioredis";
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
  #held: { writer: Writer; settle: () => void }[] = [];
  #heldSince = Number.POSITIVE_INFINITY;
  #over = false;
  readonly #address: string;

  constructor(address: string) {
    this.#address = address;
  }

  /** Makes `command` one of this turn's writes; called before it is sent. */
  add(command: Command, writer: Writer): void {
    const { resolve, reject } = command;
    writer.writeStarted();
    command.resolve = (reply) => this.#hold(writer, () => resolve(reply));
    command.reject = (error) => {
      if (error.name === "ReplyError") this.#hold(writer, () => reject(error));
      else {
        writer.writeEnded("unknown");
        reject(ConnectionLostError.of(command.name, this.#address, error));
      }
    };
  }

  /** Tells every writer of the turn its position, then gives the replies out, in order. */
  finish(position: Position | undefined): void {
    this.#over = true;
    const held = this.#held;
    this.#held = [];
    for (const { writer } of held) writer.writeEnded(position ?? "unknown");
    for (const { settle } of held) settle();
  }

  /** Gives the replies out without a position when they have waited for the INFO's for a second. */
  expire(now: number): void {
    if (now - this.#heldSince > infoDeadlineMs) this.finish(undefined);
  }

  #hold(writer: Writer, settle: () => void): void {
    if (this.#over) {
      writer.writeEnded("unknown");
      settle();
      return;
    }
    this.#held.push({ writer, settle });
    if (this.#held.length === 1) this.#heldSince = performance.now();
  }
}
