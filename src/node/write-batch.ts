/** The writes of one turn of the event loop, and the one INFO after them that reports a position for all of them. */
import type { Command } from "ioredis";
import { CommandCallbacks } from "../commands/callbacks.js";
import { isScript, provesPrimary } from "../commands/command-kind.js";
import { isOfReplica, isReadOnlyError, wasNotExecuted } from "../commands/server-reply.js";
import type { Connection } from "../connection/connection.js";
import { ConnectionLostError, NotPrimaryError } from "../errors/errors.js";
import type { Position } from "../replication/position.js";
import type { WriteHandle } from "../replication/write-outcome.js";

/** The server that executes the writes: a `Node`. The interface avoids an import loop, because node.ts imports this file. */
interface Server {
  readonly connection: Connection;
  /** Whether an answer on this TCP connection has shown that the server is a replica, and no later report says otherwise. */
  readonly saidReplica: boolean;
  refusedWrite(): void;
}

/** A reply that waits for the position of its batch. */
interface HeldReply {
  /** Passes the reply on to the caller. `byReplica` is set if the server reports after the command that it is a replica. */
  settle(position: Position | undefined, byReplica: boolean): void;
  /** Called instead of `settle` if the connection is gone. Nothing can then show whether the write is lost. */
  reject(): void;
  readonly handle: WriteHandle | undefined;
  /** The outcome of the write if the position is unknown. */
  outcomeWithoutPosition(byReplica: boolean): "unknown" | "not-sent";
  /** The reply that was held back next. Links, because V8 may place an array among old objects, where it keeps requests alive. */
  next: HeldReply | undefined;
}

/** A place in the order of the replies, which calls `then` when the position is known or will not become known. */
class HeldPlace implements HeldReply {
  readonly handle = undefined;
  readonly settle: HeldReply["settle"];
  readonly reject: () => void;
  next: HeldReply | undefined;

  constructor(then: (position: Position | undefined) => void) {
    this.settle = then;
    this.reject = () => then(undefined);
  }

  outcomeWithoutPosition(): "unknown" {
    return "unknown";
  }
}

/** A write whose position is not known yet. */
class PendingWrite implements HeldReply {
  readonly handle: WriteHandle;
  next: HeldReply | undefined;
  readonly #callbacks: CommandCallbacks;
  readonly #name: string;
  readonly #batch: WriteBatch;
  readonly #onRefusal: OnRefusal | undefined;
  #reply: unknown;
  #refusal: Error | undefined;
  /** Whether the server had already shown that it is a replica when it answered the command. */
  #isBehindReplica = false;

  constructor(command: Command, handle: WriteHandle, batch: WriteBatch, onRefusal: OnRefusal | undefined) {
    this.handle = handle;
    this.#callbacks = new CommandCallbacks(command);
    this.#name = command.name;
    this.#batch = batch;
    this.#onRefusal = onRefusal;
  }

  outcomeWithoutPosition(byReplica: boolean): "unknown" | "not-sent" {
    return this.#wroteNothing(byReplica) ? "not-sent" : "unknown";
  }

  #wroteNothing(byReplica: boolean): boolean {
    if (this.#refusal === undefined) return this.#isVoid(byReplica);
    // A script may return the text of a refusal after it has written.
    return isScript(this.#name) ? byReplica && isOfReplica(this.#refusal) : wasNotExecuted(this.#refusal);
  }

  /**
   * Whether a replica has executed the command. A script, for example, can run on a replica: it then wrote nothing and may have
   * seen old data. This is certain only if the server reported both before and after the command, on the same TCP connection, that
   * it is a replica. If it is not certain, a primary may have executed the command, so the command must not be sent again.
   */
  #isVoid(byReplica: boolean): boolean {
    return byReplica && this.#isBehindReplica && !provesPrimary(this.#name);
  }

  acknowledge(reply: unknown): void {
    this.#reply = reply;
    this.#isBehindReplica = this.#batch.server.saidReplica;
    this.#batch.hold(this);
  }

  fail(error: Error): void {
    if (error.name === "ReplyError") {
      this.#refusal = error;
      if (provesPrimary(this.#name) && isReadOnlyError(error)) this.#batch.server.refusedWrite();
      this.#batch.hold(this);
    } else {
      this.handle.end("unknown");
      this.#lose(error);
    }
  }

  settle(position: Position | undefined, byReplica: boolean): void {
    const callbacks = this.#callbacks;
    if (this.#refusal !== undefined) {
      callbacks.restore();
      if (!this.#onRefusal?.(this.#refusal)) callbacks.reject(this.#refusal);
      return;
    }
    if (this.#isVoid(byReplica)) {
      callbacks.restore();
      const { address } = this.#batch.server.connection;
      if (this.#onRefusal?.(new NotPrimaryError(this.#name.toUpperCase(), address))) return;
    }
    const held = this.handle.whenReplicated?.(position);
    if (held === undefined) callbacks.resolve(this.#reply);
    else this.#resolveAfter(held);
  }

  reject(): void {
    // A refused write was not executed, no matter what became of the connection.
    if (this.#refusal !== undefined) this.settle(undefined, false);
    else this.#lose(new Error("the replication position of the write did not arrive"));
  }

  #resolveAfter(held: Promise<unknown>): void {
    const callbacks = this.#callbacks;
    held.then(() => callbacks.resolve(this.#reply), callbacks.reject.bind(callbacks));
  }

  #lose(error: Error): void {
    this.#callbacks.reject(ConnectionLostError.of(this.#name, this.#batch.server.connection, error));
  }
}

/**
 * Called with the error that a server refused a write with, or with a `NotPrimaryError` if a replica has executed the write.
 * Returns whether the write is sent elsewhere.
 */
export type OnRefusal = (error: Error) => boolean;

const infoDeadlineMs = 1_000;

/**
 * Holds back the replies of its writes until their position is known, so that the session knows the position when a promise
 * resolves. Redis answers in order, so all replies have arrived when the reply of INFO does. If a write has no reply by then, its
 * position is unknown.
 */
export class WriteBatch {
  /** The replies that are held back, from the first to the last. */
  #first: HeldReply | undefined;
  #last: HeldReply | undefined;
  #repliedAt = Number.POSITIVE_INFINITY;
  #isOver = false;
  readonly server: Server;
  /** The TCP connection that the writes were sent on. */
  readonly epoch: number;

  constructor(server: Server) {
    this.server = server;
    this.epoch = server.connection.epoch;
  }

  /** Adds a write to the batch. Call it before the command is sent. */
  add(command: Command, handle: WriteHandle, onRefusal?: OnRefusal): void {
    const write = new PendingWrite(command, handle, this, onRefusal);
    command.resolve = (reply) => write.acknowledge(reply);
    command.reject = (error) => write.fail(error);
  }

  /** Makes a read resolve after the writes of its session that were sent before it. Call it before the command is sent. */
  holdBehindWrites(command: Command): void {
    const callbacks = new CommandCallbacks(command);
    command.resolve = (reply) => this.whenOver(() => callbacks.resolve(reply));
    command.reject = (error) => this.whenOver(() => callbacks.reject(error));
  }

  /** Calls `then` with the position, or with undefined when the position certainly will not become known. */
  whenOver(then: (position: Position | undefined) => void): void {
    this.hold(new HeldPlace(then));
  }

  /**
   * Ends every handle of the batch with the position, then passes the replies on in order. `byReplica` is set if the server has
   * reported that it is a replica.
   */
  resolveAt(position: Position | undefined, byReplica = false): void {
    for (let held = this.#end(position, byReplica); held !== undefined; held = followerOf(held))
      held.settle(position, byReplica);
  }

  /**
   * Rejects the writes that were acknowledged, because the connection closed before their position arrived. The server may have
   * lost the writes, and nothing could ever show the loss.
   */
  rejectAll(): void {
    for (let held = this.#end(undefined); held !== undefined; held = followerOf(held)) held.reject();
  }

  /** Passes the replies on without a position if INFO is unanswered a second after the last reply. */
  expire(now: number): void {
    if (now - this.#repliedAt > infoDeadlineMs) this.resolveAt(undefined);
  }

  /** Ends the handles, and returns the first of the replies. */
  #end(position: Position | undefined, byReplica = false): HeldReply | undefined {
    this.#isOver = true;
    const first = this.#first;
    this.#first = undefined;
    this.#last = undefined;
    for (let one = first; one !== undefined; one = one.next)
      one.handle?.end(position ?? one.outcomeWithoutPosition(byReplica));
    return first;
  }

  /** Holds back a reply until the position is known. If the batch is over, the reply is passed on at once. */
  hold(held: HeldReply): void {
    if (this.#isOver) {
      held.handle?.end(held.outcomeWithoutPosition(false));
      held.settle(undefined, false);
      return;
    }
    // ioredis may answer a command twice.
    if (held === this.#last || held.next !== undefined) return;
    if (this.#last === undefined) this.#first = held;
    else this.#last.next = held;
    this.#last = held;
    this.#repliedAt = performance.now();
  }
}

/** The reply after `held`. The link is cut, because an old reply would keep younger ones alive. */
function followerOf(held: HeldReply): HeldReply | undefined {
  const { next } = held;
  held.next = undefined;
  return next;
}
