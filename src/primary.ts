/** What goes to a shard's primary, in which order, and when it is sent again. */
import { Command } from "ioredis";
import { type Reason, routeChannel } from "./channels.js";
import { Ends } from "./ends.js";
import { ClosedError, ConnectionLostError, NoPrimaryError, NotPrimaryError } from "./errors.js";
import type { Level } from "./level.js";
import type { Node } from "./node.js";
import { isOfReplica, isRedirection } from "./refusal.js";
import type { Session } from "./session.js";
import type { Shard } from "./shard.js";

/** How often a command is sent again that servers have proven not to have carried out, or that changes nothing. */
export const maxRepeats = 3;
const promotionPatienceMs = 1_000;

/** What is read from the primary, and who is told. */
export interface PrimaryRead {
  readonly shard: Shard;
  readonly command: Command;
  readonly level: Level;
  readonly reason: Reason;
  /** Whether the primary has to prove in front of this very read that it still is one. */
  readonly doubtful: boolean;
  /** Called when it leaves, with the time on the monotonic clock; more than once when it is sent again. */
  readonly onSend: (at: number) => void;
  /** Whether it stands behind a write of the same session, and must not be answered before that. */
  readonly behindWrites: boolean;
  /** Called when `from` has answered it, before it is resolved; gives the error that it is rejected with instead. */
  readonly onAnswer: (from: Node) => Error | undefined;
  readonly ends: Pick<Ends, "resolve" | "reject">;
}

/**
 * Sends what changes nothing, again if the connection closes before the answer. The answer counts only while the
 * server's latest word is that it is a primary; else the read waits for another one to say so.
 */
export function readPrimary(read: PrimaryRead, repeats = maxRepeats, isReturned = false): void {
  const { shard, command, ends } = read;
  const start = (error?: Error): void => {
    if (error !== undefined) {
      ends.reject(error);
      return;
    }
    const { primary } = shard;
    const again = (): void => readPrimary(read, repeats - 1, true);
    command.resolve = (reply) => {
      if (!isStill(shard, primary)) {
        if (repeats > 0) return again();
        return ends.reject(new NotPrimaryError(command.name.toUpperCase(), primary.connection.address));
      }
      const failure = read.onAnswer(primary);
      return failure === undefined ? ends.resolve(reply) : ends.reject(failure);
    };
    command.reject = (failure) => {
      if (mayGoOn(failure)) shard.refused(primary);
      const isUnanswered = ConnectionLostError.isMeantBy(failure) || !isStill(shard, primary);
      // A redirection is followed by whoever gave the read, behind what was redirected before it.
      if (repeats > 0 && isUnanswered && !isRedirection(failure)) again();
      else ends.reject(failure);
    };
    shard.askPrimary(performance.now(), read.doubtful);
    // After the INFO in front of it, which must not stand for what the read sees.
    read.onSend(performance.now());
    announce(command, primary, "primary", read.reason, read.level);
    primary.read(command, read.behindWrites);
  };
  whenPrimary(shard, command.name, start, isReturned);
}

/**
 * Calls `start` when there is a connection to a server that is not known to have become a replica, or with the reason why
 * there is none. Commands start in the order in which they were given: `isReturned` is for one that was sent before and
 * came back, so that it goes ahead of commands that were given later.
 */
export function whenPrimary(
  shard: Shard,
  command: string,
  start: (error?: Error) => void,
  isReturned = false,
): void {
  const { vacancy } = shard;
  if (vacancy.isEmpty && shard.hasPrimary) {
    start();
    return;
  }
  if (vacancy.isEmpty && !isVacant(shard)) {
    queue(shard, command, start);
    return;
  }
  shard.primary.connection.begin();
  const attempt = (): boolean => {
    if (shard.hasPrimary) start();
    else if (isVacant(shard)) return false;
    else queue(shard, command, start);
    return true;
  };
  const giveUp = (): void => start(absence(shard, command));
  const patience = patienceOf(shard);
  const waiter = {
    attempt,
    giveUp,
    isReturned,
    // A new primary is there, and the old one answers or is given up.
    get until() {
      return shard.isHandedOver ? patience : Number.POSITIVE_INFINITY;
    },
  };
  vacancy.add(waiter);
}

/** Whether commands wait for another primary, or for the first connection to it, instead of for this connection. */
function isVacant({ primary: { connection }, demoted, isHandedOver, options }: Shard): boolean {
  if (connection.closed || connection.refuses) return false;
  return demoted || !isHandedOver || options.governed;
}

/** Has a command wait as in ioredis's offline queue. */
function queue(shard: Shard, command: string, start: (error?: Error) => void): void {
  const { primary } = shard;
  shard.watch();
  primary.connection.whenReady((error) => {
    if (shard.primary === primary) start(error);
    else whenPrimary(shard, command, start);
  });
}

/**
 * Until when a command may wait: not for long after the primary was lost, since then everybody knows; and after another one
 * was named, which has closed all connections when it was promoted.
 */
function patienceOf({ demoted, primary, primarySince }: Shard): number {
  if (primary.connection.server.maxRetriesPerRequest === null) return Number.POSITIVE_INFINITY;
  const since = demoted ? performance.now() : Math.max(primary.connection.downSince, primarySince);
  return since + promotionPatienceMs;
}

function absence(shard: Shard, command: string): Error {
  const { connection, fault = "not connected" } = shard.primary;
  if (connection.closed) return new ClosedError();
  return shard.demoted
    ? new NotPrimaryError(command.toUpperCase(), connection.address)
    : new NoPrimaryError(command.toUpperCase(), connection.address, fault);
}

/** Whether `node` is the primary by everything that is known: it has neither said that it is a replica nor refused a write. */
export function isStill(shard: Shard, node: Node): boolean {
  return shard.primary === node && !shard.demoted;
}

/** Whether a node said last that it is a replica. */
export function isReplica(node: Node): boolean {
  return node.seen?.replication.role === "replica";
}

/**
 * Sends a write that belongs to no session, and again only if the server refused it. The primary has to say now and then
 * that it still is one.
 */
export function sendAlone(
  shard: Shard,
  command: Command,
  level: Level,
  isReturned = false,
  repeats = maxRepeats,
): void {
  const ends = new Ends(command);
  const start = (error?: Error): void => {
    if (error !== undefined) {
      ends.reject(error);
      return;
    }
    const { primary } = shard;
    command.resolve = (reply) => ends.resolve(reply);
    command.reject = (failure) => {
      if (repeats > 0 && mayGoOn(failure)) {
        shard.refused(primary);
        ends.giveBack();
        sendAlone(shard, command, level, true, repeats - 1);
      } else ends.reject(ConnectionLostError.of(command.name, primary.connection.address, failure));
    };
    announce(command, primary, "primary", "not-a-read", level);
    primary.read(command, false);
  };
  shard.askPrimary(performance.now(), false);
  whenPrimary(shard, command.name, start, isReturned);
}

/**
 * Sends a write of `session`, and again only if the server refused it. Tells the session where it ended up before its
 * promise resolves.
 */
export function sendWrite(
  shard: Shard,
  command: Command,
  session: Session,
  level: Level,
  isReturned = false,
  repeats = maxRepeats,
): void {
  const start = (error?: Error): void => {
    if (error === undefined) {
      const { primary } = shard;
      announce(command, primary, "primary", "not-a-read", level);
      primary.write(command, session.writerTo(shard), (failure) => {
        if (repeats === 0 || !mayGoOn(failure)) return false;
        shard.refused(primary);
        sendWrite(shard, command, session, level, true, repeats - 1);
        return true;
      });
    } else command.reject(error);
    session.writeEnded("not-sent");
  };
  // Reads that follow without waiting have to stay behind the write, also while it waits for a connection.
  session.writeStarted();
  whenPrimary(shard, command.name, start, isReturned);
}

/** Sends a command to a shard that its key is on its way to, once; `writer` is told its position. */
export function sendAsking(shard: Shard, command: Command, writer: Session | undefined, level: Level): void {
  const ends = new Ends(command);
  const start = (error?: Error): void => {
    const { primary } = shard;
    if (error !== undefined) ends.reject(error);
    else {
      command.resolve = (reply) => ends.resolve(reply);
      command.reject = (failure) => {
        ends.reject(ConnectionLostError.of(command.name, primary.connection.address, failure));
      };
      ask(primary);
      announce(command, primary, "primary", "asked", level);
      if (writer === undefined) primary.read(command, false);
      else primary.write(command, writer.writerTo(shard));
    }
    writer?.writeEnded("not-sent");
  };
  writer?.writeStarted();
  whenPrimary(shard, command.name, start, true);
}

/** Has the next command on the connection, or the next transaction, carried out though its slot is only on its way there. */
export function ask({ connection }: Node): void {
  const asking = new Command("asking");
  asking.reject = () => {};
  connection.cork();
  connection.send(asking);
}

/** Whether a server refused to carry a command out because it is no primary, so that another one may be asked. */
function mayGoOn(error: Error): boolean {
  return error.name === "ReplyError" && isOfReplica(error);
}

/** Publishes where `command` goes, if anybody listens. */
export function announce(
  command: Command,
  node: Node,
  role: "primary" | "replica",
  reason: Reason,
  level: Level,
): void {
  if (!routeChannel.hasSubscribers) return;
  routeChannel.publish({
    command: command.name.toLowerCase(),
    node: node.connection.address,
    role,
    reason,
    level,
  });
}
