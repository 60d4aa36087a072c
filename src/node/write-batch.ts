/** The writes of one turn of the event loop, and the one INFO behind them that tells the position of all. */
import type { Command } from "ioredis";
import { isScript, provesPrimary } from "../commands/command-kind.js";
import { Ends } from "../commands/ends.js";
import { isOfReplica, isReadOnlyError, wasNotExecuted } from "../commands/server-reply.js";
import type { Connection } from "../connection/connection.js";
import { ConnectionLostError, NotPrimaryError } from "../errors/errors.js";
import type { Position } from "../replication/position.js";
import type { WriteHandle } from "../replication/write-outcome.js";

/** The server that writes are given to. */
interface Server {
  readonly connection: Connection;
  /** Whether it has said on this TCP connection, not later than its latest answer, that it is a replica. */
  readonly saidReplica: boolean;
  refusedWrite(): void;
}

/** A reply that waits for the position. */
interface Held {
  /** `byReplica` when the server has said behind it that it is a replica. */
  settle(position: Position | undefined, byReplica: boolean): void;
  /** What is done instead when the connection is gone, and with it all that would tell of a loss. */
  abandon(): void;
  readonly handle: WriteHandle | undefined;
  /** What the handle is ended with when the position is not known. */
  otherwise(byReplica: boolean): "unknown" | "not-sent";
}

/** A write whose turn is not over. */
class PendingWrite implements Held {
  readonly handle: WriteHandle;
  readonly #ends: Ends;
  readonly #name: string;
  readonly #turn: WriteBatch;
  readonly #onRefusal: OnRefusal | undefined;
  #reply: unknown;
  #refusal: Error | undefined;
  /** Whether the server had said before its answer that it is a replica. */
  #isBehindReplica = false;

  constructor(command: Command, handle: WriteHandle, turn: WriteBatch, onRefusal: OnRefusal | undefined) {
    this.handle = handle;
    this.#ends = new Ends(command);
    this.#name = command.name;
    this.#turn = turn;
    this.#onRefusal = onRefusal;
  }

  otherwise(byReplica: boolean): "unknown" | "not-sent" {
    return this.#wroteNothing(byReplica) ? "not-sent" : "unknown";
  }

  #wroteNothing(byReplica: boolean): boolean {
    if (this.#refusal === undefined) return this.#isVoid(byReplica);
    // A script may return the text of a refusal after it has written.
    return isScript(this.#name) ? byReplica && isOfReplica(this.#refusal) : wasNotExecuted(this.#refusal);
  }

  /**
   * Whether a replica has carried it out, so that it wrote nothing and saw old data, as a script does. Only when the server
   * had said before it, on the same TCP connection, that it is a replica, and says so behind it: what was carried out
   * before that, or when nobody knows, may have been written by a primary, and must not be carried out again.
   */
  #isVoid(byReplica: boolean): boolean {
    return byReplica && this.#isBehindReplica && !provesPrimary(this.#name);
  }

  acknowledge(reply: unknown): void {
    this.#reply = reply;
    this.#isBehindReplica = this.#turn.server.saidReplica;
    this.#turn.hold(this);
  }

  fail(error: Error): void {
    if (error.name === "ReplyError") {
      this.#refusal = error;
      if (provesPrimary(this.#name) && isReadOnlyError(error)) this.#turn.server.refusedWrite();
      this.#turn.hold(this);
    } else {
      this.handle.end("unknown");
      this.#lose(error);
    }
  }

  settle(position: Position | undefined, byReplica: boolean): void {
    const ends = this.#ends;
    if (this.#refusal !== undefined) {
      ends.restore();
      if (!this.#onRefusal?.(this.#refusal)) ends.reject(this.#refusal);
      return;
    }
    if (this.#isVoid(byReplica)) {
      ends.restore();
      const { address } = this.#turn.server.connection;
      if (this.#onRefusal?.(new NotPrimaryError(this.#name.toUpperCase(), address))) return;
    }
    const held = this.handle.acknowledged?.(position);
    if (held === undefined) ends.resolve(this.#reply);
    else this.#resolveAfter(held);
  }

  abandon(): void {
    // A refused write was not carried out, whatever became of the connection.
    if (this.#refusal !== undefined) this.settle(undefined, false);
    else this.#lose(new Error("its position did not follow"));
  }

  #resolveAfter(held: Promise<unknown>): void {
    const ends = this.#ends;
    held.then(() => ends.resolve(this.#reply), ends.reject.bind(ends));
  }

  #lose(error: Error): void {
    this.#ends.reject(ConnectionLostError.of(this.#name, this.#turn.server.connection, error));
  }
}

/**
 * Given the error that a server refused a write with, or a `NotPrimaryError` when a replica has carried it out; says
 * whether the write goes on elsewhere.
 */
export type OnRefusal = (error: Error) => boolean;

const infoDeadlineMs = 1_000;

/**
 * Holds the replies of its writes back until the position is known, so that a write's promise resolves covered.
 * Redis answers in order, so all replies are in when the INFO's is; a write that is not is of unknown position.
 */
export class WriteBatch {
  #held: Held[] = [];
  #repliedAt = Number.POSITIVE_INFINITY;
  #over = false;
  readonly server: Server;
  /** The TCP connection the writes were given to. */
  readonly epoch: number;

  constructor(server: Server) {
    this.server = server;
    this.epoch = server.connection.epoch;
  }

  /** Makes `command` one of this turn's writes; called before it is sent. */
  add(command: Command, handle: WriteHandle, onRefusal?: OnRefusal): void {
    const write = new PendingWrite(command, handle, this, onRefusal);
    command.resolve = (reply) => write.acknowledge(reply);
    command.reject = (error) => write.fail(error);
  }

  /** Has a read that stands behind writes of its session answered after them; called before it is sent. */
  follow(command: Command): void {
    const ends = new Ends(command);
    const hold = (settle: () => void): void => {
      this.hold({ settle, abandon: settle, handle: undefined, otherwise: () => "unknown" });
    };
    command.resolve = (reply) => hold(() => ends.resolve(reply));
    command.reject = (error) => hold(() => ends.reject(error));
  }

  /** Calls `then` when the position is known, or will not be. */
  whenOver(then: () => void): void {
    this.hold({ settle: then, abandon: then, handle: undefined, otherwise: () => "unknown" });
  }

  /**
   * Ends every handle of the turn with its position, then gives the replies out, in order; `byReplica` when the server has said
   * that it is a replica.
   */
  finish(position: Position | undefined, byReplica = false): void {
    for (const held of this.#end(position, byReplica)) held.settle(position, byReplica);
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

  #end(position: Position | undefined, byReplica = false): readonly Held[] {
    this.#over = true;
    const held = this.#held;
    this.#held = [];
    for (const one of held) one.handle?.end(position ?? one.otherwise(byReplica));
    return held;
  }

  /** Holds a reply back until the position is known, or for no time at all when it already is, or will not be. */
  hold(held: Held): void {
    if (this.#over) {
      held.handle?.end(held.otherwise(false));
      held.settle(undefined, false);
      return;
    }
    this.#held.push(held);
    this.#repliedAt = performance.now();
  }
}
