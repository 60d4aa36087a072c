/** Runs commands on a dedicated connection: commands that block, and everything from WATCH or MULTI to the end. */
import type { Command, RedisOptions } from "ioredis";
import { blockingTimeoutMs, setBlockingTimeout } from "../commands/blocking-timeout.js";
import { CommandCallbacks } from "../commands/callbacks.js";
import { type CommandKind, isScript, provesPrimary } from "../commands/command-kind.js";
import { deadlineOf } from "../commands/command-timeout.js";
import { sendScriptTexts } from "../commands/script-text.js";
import { isDemotion } from "../commands/server-reply.js";
import type { Wait } from "../connection/connection.js";
import type { Level } from "../consistency/level.js";
import { ClosedError, ConnectionLostError, NotPrimaryError, TransactionLostError } from "../errors/errors.js";
import type { Node } from "../node/node.js";
import { discardSend, noteRoute } from "../reads/route-record.js";
import type { WriteHandle } from "../replication/write-outcome.js";
import type { Session } from "../session/session.js";
import { maxRepeats } from "../shard/primary-availability.js";
import type { Shard } from "../shard/shard.js";
import { mayBeRedirected } from "../topology/script-redirect.js";
import type { ConnectionPool } from "./connection-pool.js";

/**
 * The longest pause within a transaction. Without a limit, a transaction that the user has abandoned would keep its connection
 * forever.
 */
const maxPauseMs = 5_000;
/** A wait shorter than this is not subtracted from the timeout of a command that blocks. */
const notableMs = 10;

/** Commands that change the state of a connection. */
const stateful: ReadonlySet<string> = new Set(["watch", "unwatch", "multi", "exec", "discard"]);

/** The owner of the commands, and how they are routed. */
interface ConnectionOwner {
  readonly session: Session | undefined;
  /** Whether all commands of the session go this way until the transaction ends. */
  readonly isKept: boolean;
  /** Whether writes of the session are in flight on the shared connection. They have to be carried out first. */
  readonly isBehindWrites: boolean;
  /**
   * In a cluster: whether `commands` must wait for redirected writes on the same keys. `go` is called when these have ended.
   * Commands that were released once go ahead of new ones.
   */
  readonly holds:
    | ((commands: readonly Command[], isReleased: boolean, go: () => void) => boolean)
    | undefined;
  /**
   * In a cluster: learns from a redirection which node serves the keys of `command`, and calls `again` with the shard of the keys
   * when the shard is known. Returns false for an error that is no redirection.
   */
  readonly follow: ((error: Error, command: Command, again: (shard?: Shard) => void) => boolean) | undefined;
  /** In a cluster: resolves with the error if the server redirects a script, and otherwise with undefined. */
  readonly confirm: ((script: Command, server: RedisOptions) => Promise<Error | undefined>) | undefined;
}

/** Why commands move to another server. A redirection comes with the command that received it. */
type Moving = "refused" | "closed" | { readonly error: Error; readonly command: Command };

/** One command on a dedicated connection, until it is answered. */
interface Line {
  readonly command: Command;
  readonly name: string;
  readonly level: Level;
  readonly callbacks: CommandCallbacks;
  /** The place of the command among all commands of the connection. */
  readonly order: number;
  /** Whether the session has to learn the replication position of the command. */
  readonly writes: boolean;
  /** Marks the command as a write in flight while it waits for a connection. */
  waiting: WriteHandle | undefined;
  /** Whether success of the command proves that the server was a primary. */
  readonly isProof: boolean;
  /** Whether the command is part of a transaction, or begins one. */
  readonly inTransaction: boolean;
  /** Whether the command comes after a MULTI, up to and including its EXEC. */
  readonly isQueued: boolean;
  readonly givenAt: number;
  /** Since when the command waits for a connection. */
  waitsSince: number;
  /** How long the command blocks at most, in milliseconds, from when it was given. */
  readonly blocksMs: number;
  /** The redirection that a script was answered with, once the server has confirmed that the script did not make it up. */
  redirection: Error | undefined;
}

/**
 * Sends commands over a connection of the pool. The connection stays borrowed until everything is answered and nothing is watched
 * or queued.
 *
 * The connection leads to the server that is the primary when the first command is sent. If the server was demoted, the commands
 * that it refused, and the reads that it answered, are sent to the next primary in the same order. The exception is a transaction
 * of which the user has seen an answer: that transaction is lost.
 */
export class DedicatedConnection {
  readonly #pool: ConnectionPool;
  #shard: Shard;
  readonly #session: Session | undefined;
  readonly #onOver: () => void;
  readonly #follow: ConnectionOwner["follow"];
  readonly #confirm: ConnectionOwner["confirm"];
  readonly #holds: ConnectionOwner["holds"];
  readonly #isKept: boolean;
  #isBehindWrites: boolean;
  /** Whether the commands have already waited for redirected writes on their keys. */
  #isReleased = false;
  #node: Node | undefined;
  /** The TCP connection of the node. Undefined before the first command is sent. */
  #epoch: number | undefined;
  /** Commands that are not sent on this connection yet, in order. */
  #queue: Line[] = [];
  /** Commands that were sent and are not answered yet. */
  readonly #inFlight = new Set<Line>();
  #given = 0;
  #isConnecting = false;
  #moves = 0;
  /** Set when the commands have to move to another server, once everything in flight is answered. */
  #moving: Moving | undefined;
  #watching = false;
  #queueing = false;
  /** Whether MULTI has queued a write. */
  #queuesWrites = false;
  /** Whether the user has seen an answer of the transaction. */
  #isSeen = false;
  /** Set when a command that changes the connection's state has failed. Nobody else may use the connection then. */
  #unsure = false;
  /** Why the transaction cannot continue. */
  #lost: string | undefined;
  #pause: NodeJS.Timeout | undefined;

  /** `onOver` is called when later commands can no longer belong to this connection. */
  constructor(
    pool: ConnectionPool,
    shard: Shard,
    { session, isKept, isBehindWrites, holds, follow, confirm }: ConnectionOwner,
    onOver: () => void,
  ) {
    this.#pool = pool;
    this.#shard = shard;
    this.#session = session;
    this.#onOver = onOver;
    this.#isBehindWrites = isBehindWrites;
    this.#follow = follow;
    this.#confirm = confirm;
    this.#isKept = isKept;
    this.#holds = holds;
  }

  /** Whether a batch that begins with the command `name` belongs to this connection. */
  takes(name: string): boolean {
    return this.#lost === undefined || this.#queueing || name.toLowerCase() === "multi";
  }

  /** Whether a WATCH or MULTI is open. */
  get #begun(): boolean {
    return this.#watching || this.#queueing;
  }

  /** Sends the next command. Returns false when the transaction is lost and the command does not belong to it. */
  send(command: Command, kind: CommandKind, level: Level): boolean {
    const name = command.name.toLowerCase();
    this.#checkConnection();
    if (this.#lost !== undefined) return this.#sendLate(command, name);
    const line = this.#lineOf(command, name, kind, level);
    clearTimeout(this.#pause);
    this.#wait(line);
    this.#queue.push(line);
    if (kind === "blocking")
      deadlineOf(command)?.whenLate((ms) => this.#lose(`${name.toUpperCase()} has blocked for ${ms} ms`));
    this.#pump();
    return true;
  }

  #lineOf(command: Command, name: string, kind: CommandKind, level: Level): Line {
    const blocks = kind === "blocking" && !this.#queueing;
    const isWrite = kind === "write" || kind === "blocking";
    const isTracked = isWrite && this.#session?.tracks(command) !== false;
    // EXEC carries out the commands that MULTI queues, and Tidemark asks for their position behind EXEC.
    const writes = this.#queueing ? name === "exec" : isTracked;
    if (isWrite && !isTracked && !this.#queueing) this.#session?.statistics.countUntracked(1);
    const isProof = name === "exec" ? this.#queuesWrites : writes && provesPrimary(name);
    const [begun, isQueued] = [this.#begun, this.#queueing];
    this.#advance(name, kind);
    this.#given += 1;
    const inTransaction = begun || this.#begun;
    return {
      ...{
        command,
        name,
        level,
        writes,
        isProof,
        inTransaction,
        isQueued,
        order: this.#given,
      },
      callbacks: new CommandCallbacks(command),
      givenAt: performance.now(),
      waitsSince: performance.now(),
      blocksMs: blocks ? blockingTimeoutMs(command) : Number.POSITIVE_INFINITY,
      waiting: undefined,
      redirection: undefined,
    };
  }

  /** Updates the state that the commands behind this one depend on. */
  #advance(name: string, kind: CommandKind): void {
    const isLast = this.#queueing ? name === "exec" || name === "discard" : name === "unwatch";
    if (name === "watch") this.#watching = true;
    else if (name === "multi") {
      this.#queueing = true;
      this.#queuesWrites = false;
    } else if (isLast) {
      this.#watching = false;
      this.#queueing = false;
    } else if (this.#queueing && (kind === "write" || kind === "blocking") && provesPrimary(name))
      this.#queuesWrites = true;
  }

  /** Counts `line` as in flight although it is not sent yet, because reads of its session must stay behind it. */
  #wait(line: Line): void {
    line.waitsSince = performance.now();
    if (line.writes) line.waiting = this.#session?.beginWrite();
  }

  /** Ends the wait of `line`. */
  #leave(line: Line): void {
    line.waiting?.end("not-sent");
  }

  /** Sends the queue as soon as there is a connection. */
  #pump(): void {
    if (this.#queue.length === 0 || this.#isConnecting || this.#moving !== undefined) return;
    const node = this.#node;
    if (node === undefined) {
      this.#isConnecting = true;
      this.#borrow();
      return;
    }
    const lines = this.#queue;
    this.#queue = [];
    for (const line of lines) this.#transmit(line, node);
  }

  #borrow(): void {
    const [first] = this.#queue;
    if (first === undefined) {
      this.#giveUp(new ClosedError());
      return;
    }
    const { name: command, waitsSince: since } = first;
    const start = (error?: Error): void => {
      if (error !== undefined) this.#giveUp(error);
      else if (this.#isBehindWrites) this.#fallBehind({ command, since });
      else this.#lend({ command, since });
    };
    this.#shard.availability.whenReady(command, start, false, since);
  }

  /** Waits until the session's earlier writes are carried out, also when they move to another primary. */
  #fallBehind(wait: Wait): void {
    const { primary } = this.#shard;
    const over = (): void => {
      const commands = this.#queue.map(({ command }) => command);
      const go = (): void => {
        this.#isReleased = true;
        this.#borrow();
      };
      if (this.#holds?.(commands, this.#isReleased, go) === true) return;
      if (!this.#shard.isStillPrimary(primary)) {
        this.#borrow();
        return;
      }
      this.#isBehindWrites = false;
      this.#lend(wait);
    };
    primary.drained().then(over, over);
  }

  #lend(wait: Wait): void {
    const node = this.#pool.acquire(this.#shard.primary);
    const start = (failure?: Error): void => {
      if (failure === undefined) {
        this.#begin(node);
        return;
      }
      this.#pool.end(node);
      // The pool ended the connection because the primary has changed.
      if (failure instanceof ClosedError && !this.#pool.closed) this.#borrow();
      else this.#giveUp(failure);
    };
    node.connection.whenReady(start, wait);
  }

  #begin(node: Node): void {
    this.#isConnecting = false;
    if (this.#lost !== undefined && this.#queue.length === 0) {
      this.#pool.end(node);
      return;
    }
    this.#node = node;
    this.#epoch = undefined;
    this.#pump();
    this.#rest();
  }

  /** Rejects all queued commands. A transaction is lost with them, because no command may be carried out without its WATCH. */
  #giveUp(error: Error): void {
    this.#isConnecting = false;
    const lines = this.#queue;
    this.#queue = [];
    this.#node = undefined;
    if (this.#begun) this.#lose(error.message);
    else this.#onOver();
    for (const line of lines) {
      this.#leave(line);
      line.callbacks.reject(error);
    }
  }

  #transmit(line: Line, node: Node): void {
    const { command, name, writes, level } = line;
    this.#leaveInTime(line);
    // An INFO in front of each turn proves that the server still is the primary. Between MULTI and EXEC the server would queue the
    // INFO.
    if (!line.isQueued) node.probeBefore();
    this.#epoch = node.connection.epoch;
    // An INFO for earlier writes has to go first, because after MULTI the server would queue it.
    if (name === "multi") node.flushWrites();
    noteRoute(this.#shard.counts, command, node, "primary", "not-a-read", level);
    if (line.isQueued) sendScriptTexts([command]);
    this.#inFlight.add(line);
    line.redirection = undefined;
    command.resolve = (reply) => this.#answered(line, node, reply);
    command.reject = (error) => this.#failed(line, node, error);
    const writer = writes ? this.#session : undefined;
    if (writer === undefined) node.read(command, true);
    else
      node.write(
        command,
        writer.beginWrite(command.name, writer.touchedBy(command), this.#shard),
        (error) => this.#asks(line, node, error) || this.#hasMoved(line, node, error),
      );
    this.#leave(line);
  }

  /** Subtracts the time that `line` has waited from its own timeout. */
  #leaveInTime(line: Line): void {
    const waitedMs = performance.now() - line.givenAt;
    // When no time is left, Tidemark still asks the server, because only the server knows whether there is an element.
    if (Number.isFinite(line.blocksMs) && waitedMs > notableMs)
      setBlockingTimeout(line.command, Math.max(1, line.blocksMs - waitedMs));
    deadlineOf(line.command)?.sent();
  }

  #answered(line: Line, node: Node, reply: unknown): unknown {
    const { command, name, callbacks } = line;
    const isDoubtful = !line.isProof && name !== "discard" && name !== "unwatch";
    if (isDoubtful && (this.#moving !== undefined || node.isReplica)) {
      if (!this.#mayMove(line)) return this.#failElsewhere(line, node);
      return this.#move(line, node, "refused");
    }
    const session = this.#session;
    session?.progressIn(this.#shard, session.touchedBy(command)).readAhead(performance.now());
    this.#over(line, node);
    return callbacks.resolve(reply);
  }

  #failed(line: Line, node: Node, error: Error): void {
    if (this.#asks(line, node, error) || this.#hasMoved(line, node, error)) return;
    const isElsewhere = isOfReplica(error) || (line.inTransaction && this.#isMoved(line, error));
    if (ConnectionLostError.isMeantBy(error)) this.#cut(line, node, error);
    else if (isElsewhere) this.#failElsewhere(line, node, error);
    else if (this.#lost !== undefined && error.message.startsWith("EXECABORT"))
      this.#failElsewhere(line, node, error);
    else this.#refused(line, node, error);
  }

  /**
   * Whether `line` is a script whose error may be a redirection or its own. Tidemark then asks the server over another
   * connection, because a MULTI on this connection could queue the question.
   */
  #asks(line: Line, node: Node, error: Error): boolean {
    const { command, inTransaction, writes } = line;
    const isMoved = error.message.startsWith("MOVED ") && mayBeRedirected(command, error);
    const isDoubtful = this.#mayBeOwn(line) && line.redirection === undefined;
    if (!isMoved || !isDoubtful || !(inTransaction || this.#isKept)) return false;
    const confirmed = this.#confirm?.(command, node.connection.server);
    if (confirmed === undefined) return false;
    const handle = writes ? this.#session?.beginWrite() : undefined;
    confirmed.then((redirection) => {
      line.redirection = redirection;
      if (redirection === undefined) this.#refused(line, node, error);
      else this.#failed(line, node, redirection);
      handle?.end("not-sent");
    });
    return true;
  }

  /** Whether a script itself may have returned the error of `line`. A script returns nothing while a MULTI only queues it. */
  #mayBeOwn({ name, isQueued }: Line): boolean {
    return isScript(name) && !(isQueued && this.#lost === undefined);
  }

  /** Whether the server reports with `error` that the keys of `line` have moved. */
  #isMoved(line: Line, error: Error): boolean {
    return error.message.startsWith("MOVED ") && (!this.#mayBeOwn(line) || line.redirection === error);
  }

  #refused(line: Line, node: Node, error: Error): void {
    const { name, callbacks } = line;
    if (stateful.has(name)) this.#unsure = true;
    // A new attempt at the transaction has to start at the node that has the key now.
    if (name === "watch" && /^ASK /.test(error.message)) this.#lose(error.message);
    if (name === "multi") this.#mindRefusal(error);
    this.#over(line, node);
    callbacks.reject(error);
  }

  /** Called if the connection closed before `line` was answered. */
  #cut(line: Line, node: Node, error: Error): void {
    const { address } = node.connection;
    if (this.#node === node) this.#node = undefined;
    this.#pool.end(node);
    if (line.inTransaction) this.#lose(`the connection to ${address} closed`);
    this.#over(line, node);
    // An EXEC is different: it may have been carried out.
    const isLost = line.inTransaction && line.name !== "exec";
    if (isLost) line.callbacks.reject(this.#lossOf(line));
    else if (this.#pool.closed) line.callbacks.reject(new ClosedError());
    else line.callbacks.reject(ConnectionLostError.of(line.command.name, node.connection, error));
  }

  /** When the server refuses MULTI, it carries out at once the commands that should have been queued. */
  #mindRefusal(error: Error): void {
    this.#session?.beginWrite().end("unknown");
    this.#lose(`the server refused MULTI (${error.message})`);
  }

  /**
   * Whether `line` is sent elsewhere because of `error`. A refused command goes to the next primary, and so does a read whose
   * connection was lost. A transaction goes to the shard that its keys have moved to.
   */
  #hasMoved(line: Line, node: Node, error: Error): boolean {
    const { command, inTransaction } = line;
    const isAnswered = !ConnectionLostError.isMeantBy(error);
    const isRefused =
      isDemotion(error) || (this.#moving !== undefined && error.message.startsWith("EXECABORT"));
    const isMoved = (inTransaction || this.#isKept) && this.#isMoved(line, error);
    // Before its EXEC, a transaction has carried out nothing except the writes in front of its MULTI.
    const isRead = inTransaction ? !this.#hasWrites(line) : !line.writes || line.name === "xread";
    const isCut = !isAnswered && isRead;
    if (!(isAnswered ? isRefused || isMoved : isCut) || !this.#mayMove(line)) return false;
    this.#move(line, node, isMoved ? { error, command } : isRefused ? "refused" : "closed");
    return true;
  }

  /** Whether `line`, or another command in flight, may have changed data. */
  #hasWrites(line: Line): boolean {
    return [line, ...this.#inFlight].some(({ writes }) => writes);
  }

  #mayMove(line: Line): boolean {
    const isLost = this.#lost !== undefined || this.#isSeen;
    return this.#moves < maxRepeats && !(line.inTransaction && isLost);
  }

  /** Keeps `line` for the next primary, and moves there once everything in flight is answered. */
  #move(line: Line, node: Node, why: Moving): void {
    line.callbacks.restore();
    discardSend(line.command);
    this.#inFlight.delete(line);
    this.#moving ??= why;
    this.#wait(line);
    this.#queue.push(line);
    this.#queue.sort((one, other) => one.order - other.order);
    this.#goOn(node);
  }

  /** Rejects a command that cannot move: its transaction is lost, or it has moved too often. */
  #failElsewhere(line: Line, node: Node, error?: Error): void {
    const { address } = node.connection;
    const isMoved = error !== undefined && this.#isMoved(line, error);
    if (isMoved) this.#follow?.(error, line.command, () => {});
    const why = isMoved
      ? `its keys moved to another shard (${error.message})`
      : `${address} is no longer the primary`;
    this.#moving ??= "refused";
    if (line.inTransaction) this.#lose(why);
    this.#over(line, node);
    line.callbacks.reject(
      line.inTransaction ? this.#lossOf(line) : new NotPrimaryError(line.name.toUpperCase(), address),
    );
  }

  /** Removes `line`, which is answered. */
  #over(line: Line, node: Node): void {
    this.#inFlight.delete(line);
    if (line.inTransaction) this.#isSeen = true;
    this.#goOn(node);
    this.#rest();
  }

  /** Moves to another server, once this one has answered everything. */
  #goOn(node: Node): void {
    const moving = this.#moving;
    if (moving === undefined || this.#inFlight.size > 0) return;
    const { primary } = this.#shard;
    if (moving === "refused" && primary.connection.address === node.connection.address)
      this.#shard.availability.refusedWrite(primary);
    this.#moving = undefined;
    this.#moves += 1;
    this.#pool.end(node);
    if (this.#node === node) this.#node = undefined;
    if (typeof moving === "object") this.#redirect(moving.error, moving.command);
    else this.#pump();
  }

  #redirect(error: Error, command: Command): void {
    this.#isConnecting = true;
    const again = (shard?: Shard): void => {
      this.#isConnecting = false;
      this.#shard = shard ?? this.#shard;
      this.#pump();
    };
    if (this.#follow?.(error, command, again) !== true) this.#giveUp(error);
  }

  /** Gives the connection back when nothing is left, or waits for the next command of a transaction. */
  #rest(): void {
    if (this.#queue.length > 0 || this.#inFlight.size > 0 || this.#isConnecting) return;
    if (this.#lost !== undefined) {
      if (this.#node !== undefined) this.#pool.end(this.#node);
      this.#node = undefined;
      return;
    }
    if (this.#begun) {
      this.#pause = setTimeout(
        () => this.#lose(`the app sent no command for ${maxPauseMs} ms`),
        maxPauseMs,
      ).unref();
      return;
    }
    const node = this.#node;
    this.#node = undefined;
    this.#onOver();
    if (node === undefined) return;
    if (this.#unsure) this.#pool.end(node);
    else this.#pool.release(node);
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
    const lines = this.#queue;
    // Commands behind the transaction do not belong to it.
    this.#queue = lines.filter(({ inTransaction }) => !inTransaction && this.#isKept);
    for (const line of lines) {
      if (this.#queue.includes(line)) continue;
      this.#leave(line);
      line.callbacks.reject(this.#lossOf(line));
    }
    if (this.#inFlight.size > 0 && this.#moving !== undefined) return;
    if (this.#node !== undefined) this.#pool.end(this.#node);
    this.#node = undefined;
    this.#pump();
  }

  /**
   * The error of a command after the transaction was lost. Later commands of the session are sent as usual once the user can have
   * seen the error.
   */
  #lossOf({ name, inTransaction }: Pick<Line, "name" | "inTransaction">): Error {
    const why = this.#lost ?? "its transaction was ended";
    if (this.#queueing || !this.#begun) setImmediate(() => this.#onOver());
    if (inTransaction) return new TransactionLostError(name.toUpperCase(), why);
    return new Error(`${name.toUpperCase()}: ${why}, so the command was not sent. Retry it.`);
  }

  /** Rejects later commands of a lost transaction, which must not be carried out outside of it. */
  #sendLate(command: Command, name: string): boolean {
    const isLast =
      name === "exec" || name === "discard" || (!this.#queueing && stateful.has(name) && name !== "multi");
    if (isLast) this.#onOver();
    else if (name !== "multi" && !this.#queueing) return false;
    if (name === "watch") return false;
    if (name === "discard" || name === "unwatch") {
      command.resolve(Buffer.from("OK"));
      return true;
    }
    if (name === "multi") this.#queueing = true;
    command.reject(this.#lossOf({ name, inTransaction: true }));
    return true;
  }
}

/** Whether the server is no primary any more: it has refused the command, or carried it out as a replica. */
function isOfReplica(error: Error): boolean {
  return isDemotion(error) || error instanceof NotPrimaryError;
}
