/** Commands on a connection of their own: those that block, and all from WATCH or MULTI until it is over. */
import type { Command } from "ioredis";
import { blockFor, blocksForMs } from "./blocking.js";
import type { CommandKind } from "./command.js";
import type { Wait } from "./connection.js";
import { deadlineOf } from "./deadline.js";
import { Ends } from "./ends.js";
import { ClosedError, ConnectionLostError, NotPrimaryError, TransactionLostError } from "./errors.js";
import type { Level } from "./level.js";
import type { Node } from "./node.js";
import type { Pool } from "./pool.js";
import { announce, isReplica, whenPrimary } from "./primary.js";
import { isDemotion } from "./refusal.js";
import type { Session } from "./session.js";
import type { Shard } from "./shard.js";

/** A transaction that nobody goes on with would keep its connection for good. */
const maxPauseMs = 5_000;
/** How often commands may be refused by a server that is no primary any more. */
const maxMoves = 3;
/** What a command that blocks has waited for less than this is not taken off its timeout. */
const notableMs = 10;

/** What changes the state of a connection, unless it is refused. */
const stateful: ReadonlySet<string> = new Set(["watch", "unwatch", "multi", "exec", "discard"]);

/** Whose commands they are, and what has to be carried out before them. */
interface Speaker {
  readonly session: Session | undefined;
  readonly before: Promise<void> | undefined;
}

/** One command of a conversation, until it is answered. */
interface Line {
  readonly command: Command;
  readonly name: string;
  readonly level: Level;
  readonly ends: Ends;
  /** Its place in the order of all. */
  readonly order: number;
  /** Whether the position behind it is asked for. */
  readonly writes: boolean;
  /** Whether only a primary can have answered it without an error. */
  readonly isProof: boolean;
  /** Whether it is part of a transaction, or begins one. */
  readonly inTransaction: boolean;
  readonly givenAt: number;
  /** Since when it waits for a connection. */
  waitsSince: number;
  /** For how long it blocks at most, from when it was given. */
  readonly blocksMs: number;
  timer: NodeJS.Timeout | undefined;
}

/**
 * Commands on a connection that is lent to one borrower until everything is answered and nothing is watched or queued.
 *
 * The connection is one to the primary of the moment, lent when the first command leaves. If that server turns out to be
 * no primary any more, everything it has refused, or only read, is sent to the next primary in its order. The exception
 * is a transaction of which the user has seen an answer: it is lost.
 */
export class Conversation {
  readonly #pool: Pool;
  readonly #shard: Shard;
  readonly #session: Session | undefined;
  readonly #onOver: () => void;
  /** What has to be carried out elsewhere first. */
  #before: Promise<void> | undefined;
  #node: Node | undefined;
  /** Which TCP connection of the node it is; undefined before the first command has left on it. */
  #epoch: number | undefined;
  /** Given and not sent on this connection, in order. */
  #queue: Line[] = [];
  /** Sent and not answered. */
  readonly #inFlight = new Set<Line>();
  #given = 0;
  #isConnecting = false;
  #moves = 0;
  /** Why what is in flight has to be sent elsewhere, once all of it is answered. */
  #moving: "refused" | "closed" | undefined;
  #watching = false;
  #queueing = false;
  /** Whether what is queued by now writes something. */
  #queuesWrites = false;
  /** Whether the user has seen an answer of the transaction. */
  #isSeen = false;
  /** Set when the server has refused what was to change its state, so that the connection cannot be another's. */
  #unsure = false;
  /** Why the transaction that was begun cannot be gone on with. */
  #lost: string | undefined;
  #pause: NodeJS.Timeout | undefined;

  /** `onOver` is called when there is nothing left that a later command could belong to. */
  constructor(pool: Pool, shard: Shard, { session, before }: Speaker, onOver: () => void) {
    this.#pool = pool;
    this.#shard = shard;
    this.#session = session;
    this.#onOver = onOver;
    this.#before = before;
  }

  /** Whether a batch that begins with the command `name` belongs to it. */
  takes(name: string): boolean {
    return this.#lost === undefined || this.#queueing || name.toLowerCase() === "multi";
  }

  /** Whether something is watched or queued by what was given so far. */
  get #begun(): boolean {
    return this.#watching || this.#queueing;
  }

  /** Sends the next command; false when it belongs to no transaction, because the one begun here is lost. */
  send(command: Command, kind: CommandKind, level: Level): boolean {
    const name = command.name.toLowerCase();
    this.#checkConnection();
    if (this.#lost !== undefined) return this.#sendLate(command, name);
    const line = this.#lineOf(command, name, kind, level);
    if (kind === "blocking")
      deadlineOf(command)?.whenLate((ms) => this.#lose(`${name.toUpperCase()} has blocked for ${ms} ms`));
    clearTimeout(this.#pause);
    this.#wait(line);
    this.#queue.push(line);
    this.#pump();
    return true;
  }

  #lineOf(command: Command, name: string, kind: CommandKind, level: Level): Line {
    const blocks = kind === "blocking" && !this.#queueing;
    // What MULTI queues is carried out by EXEC, and its position is asked for behind that.
    const writes = this.#queueing ? name === "exec" : kind === "write" || kind === "blocking";
    const isProof = name === "exec" ? this.#queuesWrites : writes && name !== "xread";
    const begun = this.#begun;
    this.#advance(name, kind);
    this.#given += 1;
    const inTransaction = begun || this.#begun;
    return {
      ...{ command, name, level, writes, isProof, inTransaction, order: this.#given, timer: undefined },
      ends: new Ends(command),
      givenAt: performance.now(),
      waitsSince: performance.now(),
      blocksMs: blocks ? blocksForMs(command) : Number.POSITIVE_INFINITY,
    };
  }

  /** Takes in what a command changes for those behind it. */
  #advance(name: string, kind: CommandKind): void {
    const ends = this.#queueing ? name === "exec" || name === "discard" : name === "unwatch";
    if (name === "watch") this.#watching = true;
    else if (name === "multi") {
      this.#queueing = true;
      this.#queuesWrites = false;
    } else if (ends) {
      this.#watching = false;
      this.#queueing = false;
    } else if (this.#queueing && (kind === "write" || kind === "blocking")) this.#queuesWrites = true;
  }

  /** Counts `line` as on its way although it has not left: its session's reads have to stay behind it. */
  #wait(line: Line): void {
    line.waitsSince = performance.now();
    if (line.writes) this.#session?.writeStarted();
    if (!Number.isFinite(line.blocksMs)) return;
    const leftMs = line.blocksMs - (performance.now() - line.givenAt);
    line.timer = setTimeout(() => this.#timeOut(line), Math.max(0, leftMs));
  }

  /** Nothing came for a command that blocks, since there was nobody to ask all the time. */
  #timeOut(line: Line): void {
    this.#queue = this.#queue.filter((one) => one !== line);
    this.#leave(line);
    line.ends.resolve(null);
    this.#rest();
  }

  /** Has `line` wait no more. */
  #leave(line: Line): void {
    clearTimeout(line.timer);
    if (line.writes) this.#session?.writeEnded("not-sent");
  }

  /** Sends all that was given, as soon as there is a connection for it. */
  #pump(): void {
    if (this.#queue.length === 0 || this.#isConnecting || this.#moving !== undefined) return;
    const node = this.#node;
    if (node === undefined) {
      this.#connect();
      return;
    }
    const lines = this.#queue;
    this.#queue = [];
    for (const line of lines) this.#transmit(line, node);
  }

  #connect(): void {
    this.#isConnecting = true;
    const before = this.#before;
    this.#before = undefined;
    if (before === undefined) this.#borrow();
    else before.then(() => this.#borrow());
  }

  #borrow(): void {
    const [first] = this.#queue;
    if (first === undefined) {
      this.#giveUp(new ClosedError());
      return;
    }
    const { name: command, waitsSince: since } = first;
    const start = (error?: Error): void => {
      if (error === undefined) this.#lend({ command, since });
      else this.#giveUp(error);
    };
    whenPrimary(this.#shard, command, start, false, since);
  }

  #lend(wait: Wait): void {
    const node = this.#pool.lend(this.#shard.primary);
    const start = (failure?: Error): void => {
      if (failure === undefined) {
        this.#begin(node);
        return;
      }
      this.#pool.end(node);
      // It was ended because there is another primary.
      if (failure instanceof ClosedError && !this.#pool.closed) this.#borrow();
      else this.#giveUp(failure);
    };
    node.connection.whenReady(start, wait);
  }

  #begin(node: Node): void {
    this.#isConnecting = false;
    if (this.#lost !== undefined) {
      this.#pool.end(node);
      return;
    }
    this.#node = node;
    this.#epoch = undefined;
    this.#pump();
    this.#rest();
  }

  /** There is no connection, so nothing that follows a WATCH may be carried out without it. */
  #giveUp(error: Error): void {
    this.#isConnecting = false;
    const lines = this.#queue;
    this.#queue = [];
    this.#node = undefined;
    if (this.#begun) this.#lose(error.message);
    else this.#onOver();
    for (const line of lines) {
      this.#leave(line);
      line.ends.reject(error);
    }
  }

  #transmit(line: Line, node: Node): void {
    const { command, name, writes, level } = line;
    this.#leaveInTime(line);
    // In front of all: reads count only if the server says that it is a primary.
    if (this.#epoch === undefined) node.probe();
    this.#epoch = node.connection.epoch;
    // An INFO that came behind MULTI would be queued with the rest.
    if (name === "multi") node.closeWrites();
    announce(command, node, "primary", "not-a-read", level);
    this.#inFlight.add(line);
    command.resolve = (reply) => this.#answered(line, node, reply);
    command.reject = (error) => this.#failed(line, node, error);
    const writer = writes ? this.#session : undefined;
    if (writer === undefined) node.read(command, true);
    else node.write(command, writer.writerTo(this.#shard), (error) => this.#hasMoved(line, node, error));
    if (writes) this.#session?.writeEnded("not-sent");
  }

  /** Has the server block for no longer than what is left of the line's own time. */
  #leaveInTime(line: Line): void {
    clearTimeout(line.timer);
    const waitedMs = performance.now() - line.givenAt;
    if (Number.isFinite(line.blocksMs) && waitedMs > notableMs)
      blockFor(line.command, line.blocksMs - waitedMs);
    deadlineOf(line.command)?.sent();
  }

  #answered(line: Line, node: Node, reply: unknown): unknown {
    const { name, ends } = line;
    const isDoubtful = !line.isProof && name !== "discard" && name !== "unwatch";
    if (isDoubtful && (this.#moving !== undefined || isReplica(node))) {
      if (!this.#mayMove(line)) return this.#failElsewhere(line, node);
      return this.#move(line, node, "refused");
    }
    this.#session?.in(this.#shard).readAhead(performance.now());
    this.#over(line, node);
    return ends.resolve(reply);
  }

  #failed(line: Line, node: Node, error: Error): void {
    if (this.#hasMoved(line, node, error)) return;
    if (ConnectionLostError.isMeantBy(error)) this.#cut(line, node, error);
    else if (isElsewhere(error) && (line.inTransaction || isDemotion(error)))
      this.#failElsewhere(line, node, error);
    else if (this.#lost !== undefined && error.message.startsWith("EXECABORT"))
      this.#failElsewhere(line, node, error);
    else this.#refused(line, node, error);
  }

  #refused(line: Line, node: Node, error: Error): void {
    const { name, ends } = line;
    if (stateful.has(name)) this.#unsure = true;
    // Begun again, it has to begin where the key is now.
    if (name === "watch" && /^ASK /.test(error.message)) this.#lose(error.message);
    if (name === "multi") this.#mindRefusal(error);
    this.#over(line, node);
    ends.reject(error);
  }

  /** The connection closed before `line` was answered. */
  #cut(line: Line, node: Node, error: Error): void {
    const { address } = node.connection;
    if (this.#node === node) this.#node = undefined;
    this.#pool.end(node);
    if (line.inTransaction) this.#lose(`the connection to ${address} closed`);
    this.#over(line, node);
    // EXEC may have been carried out.
    const isLost = line.inTransaction && line.name !== "exec";
    if (isLost) line.ends.reject(this.#lossOf(line));
    else if (this.#pool.closed) line.ends.reject(new ClosedError());
    else line.ends.reject(ConnectionLostError.of(line.command.name, address, error));
  }

  /** When MULTI is refused, what was to be queued behind it is carried out at once. */
  #mindRefusal(error: Error): void {
    this.#session?.writeStarted();
    this.#session?.writeEnded("unknown");
    this.#lose(`MULTI was refused (${error.message})`);
  }

  /** Whether what `line` has failed with has it sent to the next primary: a refusal, or for a read a lost connection. */
  #hasMoved(line: Line, node: Node, error: Error): boolean {
    const isAnswered = !ConnectionLostError.isMeantBy(error);
    const isRefused =
      isAnswered &&
      (isDemotion(error) ||
        (isElsewhere(error) && line.inTransaction) ||
        (this.#moving === "refused" && error.message.startsWith("EXECABORT")));
    const isCut = !isAnswered && !line.inTransaction && (!line.writes || line.name === "xread");
    if (!(isRefused || isCut) || !this.#mayMove(line)) return false;
    this.#move(line, node, isRefused ? "refused" : "closed");
    return true;
  }

  #mayMove(line: Line): boolean {
    if (this.#lost !== undefined) return false;
    return this.#moves < maxMoves && !(line.inTransaction && this.#isSeen);
  }

  /** Keeps `line` for the next primary, and goes there when all that was sent has been answered. */
  #move(line: Line, node: Node, why: "refused" | "closed"): void {
    line.ends.giveBack();
    this.#inFlight.delete(line);
    this.#moving ??= why;
    this.#wait(line);
    this.#queue.push(line);
    this.#queue.sort((one, other) => one.order - other.order);
    this.#goOn(node);
  }

  /** Rejects what can not be sent elsewhere, because the user has seen answers of its transaction, or nobody takes it. */
  #failElsewhere(line: Line, node: Node, error?: Error): void {
    const { address } = node.connection;
    const isMoved = error?.message.startsWith("MOVED ") === true;
    const why = isMoved ? `its keys have moved (${error.message})` : `${address} is not the primary any more`;
    this.#moving ??= "refused";
    if (line.inTransaction) this.#lose(why);
    this.#over(line, node);
    line.ends.reject(
      line.inTransaction ? this.#lossOf(line) : new NotPrimaryError(line.name.toUpperCase(), address),
    );
  }

  /** Takes in that `line` is answered. */
  #over(line: Line, node: Node): void {
    clearTimeout(line.timer);
    this.#inFlight.delete(line);
    if (line.inTransaction) this.#isSeen = true;
    this.#goOn(node);
    this.#rest();
  }

  /** Leaves a server that is not the primary any more, or whose connection closed, when it has nothing left to say. */
  #goOn(node: Node): void {
    if (this.#moving === undefined || this.#inFlight.size > 0) return;
    const { primary } = this.#shard;
    if (this.#moving === "refused" && primary.connection.address === node.connection.address)
      this.#shard.refused(primary);
    this.#moving = undefined;
    this.#moves += 1;
    this.#pool.end(node);
    this.#node = undefined;
    this.#pump();
  }

  /** Ends when nothing is left, or waits for what comes next in a transaction. */
  #rest(): void {
    if (this.#queue.length > 0 || this.#inFlight.size > 0 || this.#isConnecting || this.#lost !== undefined)
      return;
    if (this.#begun) {
      this.#pause = setTimeout(() => this.#lose(`nothing was sent for ${maxPauseMs} ms`), maxPauseMs).unref();
      return;
    }
    const node = this.#node;
    this.#node = undefined;
    this.#isSeen = false;
    this.#onOver();
    if (node === undefined) return;
    if (this.#unsure) this.#pool.end(node);
    else this.#pool.giveBack(node);
  }

  #checkConnection(): void {
    const node = this.#node;
    if (node === undefined || this.#epoch === undefined || this.#moving !== undefined) return;
    const { epoch, address, ready } = node.connection;
    if (this.#epoch === epoch && ready) return;
    this.#node = undefined;
    this.#pool.end(node);
    if (this.#begun) this.#lose(`the connection to ${address} closed`);
  }

  #lose(why: string): void {
    if (this.#lost !== undefined) return;
    this.#lost = why;
    clearTimeout(this.#pause);
    if (!this.#begun) this.#onOver();
    if (this.#node !== undefined) this.#pool.end(this.#node);
    this.#node = undefined;
    const lines = this.#queue;
    this.#queue = [];
    for (const line of lines) {
      this.#leave(line);
      line.ends.reject(this.#lossOf(line));
    }
  }

  /** What a command of the lost transaction is rejected with. The session goes on once the user can have seen it. */
  #lossOf({ name }: Pick<Line, "name">): TransactionLostError {
    if (this.#queueing || !this.#begun) setImmediate(() => this.#onOver());
    return new TransactionLostError(name.toUpperCase(), this.#lost ?? "it was ended");
  }

  /** Commands that come after the transaction was lost must not be carried out as if they were part of nothing. */
  #sendLate(command: Command, name: string): boolean {
    const ends =
      name === "exec" || name === "discard" || (!this.#queueing && stateful.has(name) && name !== "multi");
    if (ends) this.#onOver();
    else if (name !== "multi" && !this.#queueing) return false;
    if (name === "watch") return false;
    if (name === "discard" || name === "unwatch") {
      command.resolve(Buffer.from("OK"));
      return true;
    }
    if (name === "multi") this.#queueing = true;
    command.reject(this.#lossOf({ name }));
    return true;
  }
}

/** Whether a server says so when another one is the primary of what the command is about. */
function isElsewhere(error: Error): boolean {
  return isDemotion(error) || error.message.startsWith("MOVED ");
}
