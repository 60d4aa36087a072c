/** What is said on a connection of its own: blocking commands, and all from WATCH or MULTI until it is over. */
import type { Command } from "ioredis";
import type { CommandKind } from "./command.js";
import { deadlineOf } from "./deadline.js";
import { Ends } from "./ends.js";
import { ConnectionLostError, NotPrimaryError, TransactionLostError } from "./errors.js";
import type { Level } from "./level.js";
import type { Node } from "./node.js";
import type { Pool } from "./pool.js";
import { announce, isReplica } from "./primary.js";
import type { Session } from "./session.js";
import type { Shard } from "./shard.js";

/** A transaction that nobody goes on with would keep its connection for good. */
const maxPauseMs = 5_000;

/** What changes the state of a connection, unless it is refused. */
const stateful: ReadonlySet<string> = new Set(["WATCH", "UNWATCH", "MULTI", "EXEC", "DISCARD"]);

/** Whose commands they are, and what has to be carried out before them. */
interface Speaker {
  readonly session: Session | undefined;
  readonly before: Promise<void> | undefined;
}

/** Commands on a connection that is lent to one borrower until everything is answered and nothing is watched or queued. */
export class Conversation {
  readonly #pool: Pool;
  readonly #shard: Shard;
  readonly #node: Node;
  readonly #session: Session | undefined;
  readonly #onOver: () => void;
  /** What has to leave after something that is still on its way elsewhere; undefined when it may leave at once. */
  #waiting: (() => void)[] | undefined;
  #watching = false;
  #queueing = false;
  /** Set when the server has refused what was to change its state, so that the connection cannot be another's. */
  #unsure = false;
  #unanswered = 0;
  #epoch: number | undefined;
  /** Why what was begun cannot be gone on with. */
  #lost: string | undefined;
  #pause: NodeJS.Timeout | undefined;

  /** `onOver` is called when there is nothing left that a later command could belong to. */
  constructor(pool: Pool, shard: Shard, { session, before }: Speaker, onOver: () => void) {
    this.#pool = pool;
    this.#shard = shard;
    this.#node = pool.lend(shard.primary);
    this.#session = session;
    this.#onOver = onOver;
    if (before !== undefined) {
      this.#waiting = [];
      before.then(() => this.#goOn());
    }
  }

  get isLost(): boolean {
    return this.#lost !== undefined;
  }

  /** Whether something is watched or queued by what was given so far. */
  get #begun(): boolean {
    return this.#watching || this.#queueing;
  }

  /** Sends the next command; false when it belongs to no transaction, because the one begun here is lost. */
  send(command: Command, kind: CommandKind, level: Level): boolean {
    const name = command.name.toLowerCase();
    this.#checkConnection();
    if (this.#lost !== undefined) return this.#sendLate(command, name, this.#lost);
    const begins = name === "multi" && !this.#queueing;
    // What MULTI queues is carried out by EXEC, and its position is asked for behind that.
    const writes = this.#queueing ? name === "exec" : kind === "write" || kind === "blocking";
    const waits = kind === "blocking" && !this.#queueing;
    const begun = this.#begun;
    this.#advance(name);
    this.#attend(command, waits);
    if (begins) this.#mindRefusal(command);
    this.#leave(command, writes ? this.#session : undefined, begun || this.#begun, level);
    return true;
  }

  #leave(command: Command, writer: Session | undefined, inTransaction: boolean, level: Level): void {
    const { connection } = this.#node;
    writer?.writeStarted();
    this.#inTurn(() => {
      connection.whenReady((error) => {
        this.#checkConnection();
        if (error !== undefined) this.#neverBegan(command, error);
        else if (this.#lost !== undefined)
          command.reject(new TransactionLostError(nameOf(command), this.#lost));
        else this.#transmit(command, writer, inTransaction, level);
        writer?.writeEnded("not-sent");
      });
    });
  }

  #transmit(command: Command, writer: Session | undefined, inTransaction: boolean, level: Level): void {
    const { connection } = this.#node;
    if (this.#epoch === undefined) this.#node.probe();
    this.#epoch = connection.epoch;
    // An INFO that came behind MULTI would be queued with the rest.
    if (nameOf(command) === "MULTI") this.#node.closeWrites();
    announce(command, this.#node, "primary", "not-a-read", level);
    deadlineOf(command)?.sent();
    if (writer !== undefined) {
      this.#node.write(command, writer.writerTo(this.#shard));
      return;
    }
    const ends = new Ends(command);
    command.resolve = (reply) => ends.resolve(reply);
    command.reject = (failure) => {
      if (inTransaction && ConnectionLostError.isMeantBy(failure)) {
        const why = `the connection to ${connection.address} closed`;
        ends.reject(new TransactionLostError(nameOf(command), why));
      } else ends.reject(ConnectionLostError.of(command.name, connection.address, failure));
    };
    connection.send(command);
  }

  /** There is no connection, so that what follows a WATCH must not be carried out without it. */
  #neverBegan(command: Command, error: Error): void {
    this.#lose(error.message);
    command.reject(error);
  }

  #inTurn(leave: () => void): void {
    if (this.#waiting === undefined) leave();
    else this.#waiting.push(leave);
  }

  #goOn(): void {
    const waiting = this.#waiting ?? [];
    this.#waiting = undefined;
    for (const leave of waiting) leave();
  }

  /** Commands that come after the connection is gone must not be carried out as if they were part of nothing. */
  #sendLate(command: Command, name: string, why: string): boolean {
    const ends = name === "exec" || name === "discard" || (name === "unwatch" && !this.#queueing);
    if (ends) this.#onOver();
    if (name === "multi") this.#queueing = true;
    else if (!ends && !this.#queueing) return false;
    if (name === "discard" || name === "unwatch") command.resolve(Buffer.from("OK"));
    else command.reject(new TransactionLostError(nameOf(command), why));
    return true;
  }

  /** Takes in what a command changes for those behind it. */
  #advance(name: string): void {
    const ends = this.#queueing ? name === "exec" || name === "discard" : name === "unwatch";
    if (name === "watch") this.#watching = true;
    else if (name === "multi") this.#queueing = true;
    else if (ends) {
      this.#watching = false;
      this.#queueing = false;
    }
  }

  /** Sees `command` to its end, which counts once; one that blocks for longer than it may has its connection ended. */
  #attend(command: Command, waits: boolean): void {
    const ends = new Ends(command);
    const { address } = this.#node.connection;
    if (waits)
      deadlineOf(command)?.whenLate((ms) => this.#lose(`${nameOf(command)} has blocked for ${ms} ms`));
    clearTimeout(this.#pause);
    this.#unanswered += 1;
    command.resolve = (reply) => {
      this.#session?.in(this.#shard).readAhead(performance.now());
      this.#answered();
      if (isReplica(this.#node)) return ends.reject(new NotPrimaryError(nameOf(command), address));
      return ends.resolve(reply);
    };
    command.reject = (error) => {
      if (stateful.has(nameOf(command))) this.#unsure = true;
      // Begun again, it has to begin where the key is now.
      if (nameOf(command) === "WATCH" && /^(MOVED|ASK) /.test(error.message)) this.#lose(error.message);
      this.#answered();
      ends.reject(error);
    };
  }

  /** When MULTI is refused, what was to be queued behind it is carried out at once. */
  #mindRefusal(multi: Command): void {
    const ends = new Ends(multi);
    multi.resolve = (reply) => ends.resolve(reply);
    multi.reject = (error) => {
      if (error.name === "ReplyError") {
        this.#session?.writeStarted();
        this.#session?.writeEnded("unknown");
        this.#lose(`MULTI was refused (${error.message})`);
      }
      ends.reject(error);
    };
  }

  #answered(): void {
    this.#unanswered -= 1;
    if (this.#unanswered > 0 || this.#lost !== undefined) return;
    if (this.#begun) {
      this.#pause = setTimeout(() => this.#lose(`nothing was sent for ${maxPauseMs} ms`), maxPauseMs).unref();
      return;
    }
    this.#onOver();
    if (this.#unsure) this.#pool.end(this.#node);
    else this.#pool.giveBack(this.#node);
  }

  #checkConnection(): void {
    const { epoch, address } = this.#node.connection;
    if (this.#epoch !== undefined && this.#epoch !== epoch) this.#lose(`the connection to ${address} closed`);
  }

  #lose(why: string): void {
    if (this.#lost !== undefined) return;
    this.#lost = why;
    clearTimeout(this.#pause);
    this.#pool.end(this.#node);
  }
}

function nameOf({ name }: Command): string {
  return name.toUpperCase();
}
