/** The writes of one turn of the event loop, and the one INFO behind them that tells the position of all. */
import type { Command } from "ioredis";
import { Ends } from "./ends.js";
import { ConnectionLostError } from "./errors.js";
import type { Position } from "./position.js";
import { isRefusal } from "./refusal.js";
import type { Writer } from "./replicated.js";

/** A reply that waits for the position. */
interface Held {
  settle(position: Position | undefined): void;
  /** What is done instead when the connection is gone, and with it all that would tell of a loss. */
  abandon(): void;
  readonly writer: Writer | undefined;
  /** What the writer is told when the position is not known. */
  readonly otherwise: "unknown" | "not-sent";
}

/** A write whose turn is not over. */
class PendingWrite implements Held {
  readonly writer: Writer;
  readonly #ends: Ends;
  readonly #name: string;
  readonly #turn: WriteTurn;
  readonly #onRefusal: OnRefusal | undefined;
  #reply: unknown;
  #refusal: Error | undefined;

  constructor(command: Command, writer: Writer, turn: WriteTurn, onRefusal: OnRefusal | undefined) {
    this.writer = writer;
    this.#ends = new Ends(command);
    this.#name = command.name;
    this.#turn = turn;
    this.#onRefusal = onRefusal;
  }

  get otherwise(): Held["otherwise"] {
    return this.#refusal !== undefined && isRefusal(this.#refusal) ? "not-sent" : "unknown";
  }

  acknowledge(reply: unknown): void {
    this.#reply = reply;
    this.#turn.hold(this);
  }

  fail(error: Error): void {
    if (error.name === "ReplyError") {
      this.#refusal = error;
      this.#turn.hold(this);
    } else {
      this.writer.writeEnded("unknown");
      this.#lose(error);
    }
  }

  settle(position: Position | undefined): void {
    const ends = this.#ends;
    if (this.#refusal !== undefined) {
      ends.giveBack();
      if (!this.#onRefusal?.(this.#refusal)) ends.reject(this.#refusal);
      return;
    }
    const held = this.writer.held?.(position);
    if (held === undefined) ends.resolve(this.#reply);
    else this.#resolveAfter(held);
  }

  abandon(): void {
    // A refused write was not carried out, whatever became of the connection.
    if (this.#refusal !== undefined) this.settle(undefined);
    else this.#lose(new Error("its position did not follow"));
  }

  #resolveAfter(held: Promise<unknown>): void {
    const ends = this.#ends;
    held.then(() => ends.resolve(this.#reply), ends.reject.bind(ends));
  }

  #lose(error: Error): void {
    this.#ends.reject(ConnectionLostError.of(this.#name, this.#turn.connection, error));
  }
}

/** Given the error that a server refused a write with; says whether the write goes on elsewhere. */
export type OnRefusal = (error: Error) => boolean;

/** What writes are sent over. */
interface WriteConnection {
  readonly address: string;
  /** See `Connection.epoch`. */
  readonly epoch: number;
  readonly error: Error | undefined;
}

const infoDeadlineMs = 1_000;

/**
 * Holds the replies of its writes back until the position is known, so that a write's promise resolves covered.
 * Redis answers in order, so all replies are in when the INFO's is; a write that is not is of unknown position.
 */
export class WriteTurn {
  #held: Held[] = [];
  #repliedAt = Number.POSITIVE_INFINITY;
  #over = false;
  readonly connection: WriteConnection;
  /** The TCP connection the writes were given to. */
  readonly epoch: number;

  constructor(connection: WriteConnection) {
    this.connection = connection;
    this.epoch = connection.epoch;
  }

  /** Makes `command` one of this turn's writes; called before it is sent. */
  add(command: Command, writer: Writer, onRefusal?: OnRefusal): void {
    writer.writeStarted();
    const write = new PendingWrite(command, writer, this, onRefusal);
    command.resolve = (reply) => write.acknowledge(reply);
    command.reject = (error) => write.fail(error);
  }

  /** Has a read that stands behind writes of its session answered after them; called before it is sent. */
  follow(command: Command): void {
    const ends = new Ends(command);
    const hold = (settle: () => void): void => {
      this.hold({ settle, abandon: settle, writer: undefined, otherwise: "unknown" });
    };
    command.resolve = (reply) => hold(() => ends.resolve(reply));
    command.reject = (error) => hold(() => ends.reject(error));
  }

  /** Calls `then` when the position is known, or will not be. */
  whenOver(then: () => void): void {
    this.hold({ settle: then, abandon: then, writer: undefined, otherwise: "unknown" });
  }

  /** Tells every writer of the turn its position, then gives the replies out, in order. */
  finish(position: Position | undefined): void {
    for (const held of this.#end(position)) held.settle(position);
  }

  /**
   * Rejects what was acknowledged, because the connection closed before its position came: that server may be gone with
   * the write, and nobody could ever tell.
   */
  abandon(): void {
    for (const held of this.#end(undefined)) held.abandon();
  }

  /** Gives the replies out without a position when the INFO's has not followed the last of them for a second. */
  expire(now: number): void {
    if (now - this.#repliedAt > infoDeadlineMs) this.finish(undefined);
  }

  #end(position: Position | undefined): readonly Held[] {
    this.#over = true;
    const held = this.#held;
    this.#held = [];
    for (const { writer, otherwise } of held) writer?.writeEnded(position ?? otherwise);
    return held;
  }

  /** Holds a reply back until the position is known, or for no time at all when it already is, or will not be. */
  hold(held: Held): void {
    if (this.#over) {
      held.writer?.writeEnded(held.otherwise);
      held.settle(undefined);
      return;
    }
    this.#held.push(held);
    this.#repliedAt = performance.now();
  }
}
