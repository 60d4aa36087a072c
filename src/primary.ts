/** What goes to a shard's primary, and how often: again if unanswered, once, or once with its position learnt. */
import { Command } from "ioredis";
import { type Reason, routeChannel } from "./channels.js";
import { Ends } from "./ends.js";
import { ClosedError, ConnectionLostError, NoPrimaryError, NotPrimaryError } from "./errors.js";
import type { Level } from "./level.js";
import type { Node } from "./node.js";
import { isReadOnly } from "./refusal.js";
import type { Session } from "./session.js";
import type { Shard } from "./shard.js";

const maxRepeats = 3;
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
export function readPrimary(read: PrimaryRead, repeats = maxRepeats): void {
  const { shard, command, ends } = read;
  whenPrimary(shard, command.name, (error) => {
    if (error !== undefined) return ends.reject(error);
    const { primary } = shard;
    const { era, link } = primary;
    const again = (): void => readPrimary(read, repeats - 1);
    const settle = (reply: unknown): unknown => {
      if (!isStill(shard, primary) || primary.link !== link) {
        if (repeats > 0) return again();
        return ends.reject(new NotPrimaryError(command.name.toUpperCase(), primary.connection.address));
      }
      const failure = read.onAnswer(primary);
      return failure === undefined ? ends.resolve(reply) : ends.reject(failure);
    };
    command.resolve = (reply) => {
      if (primary.era === era) return settle(reply);
      // It may have been made a replica and loaded other data. If it says behind the read that it is the primary of the same
      // history as before, it has been that all the time.
      return void primary.askedBehind().then(() => settle(reply));
    };
    command.reject = (failure) => {
      if (repeats > 0 && (ConnectionLostError.isMeantBy(failure) || !isStill(shard, primary))) again();
      else ends.reject(failure);
    };
    shard.askPrimary(performance.now(), read.doubtful);
    // After the INFO in front of it, which must not stand for what the read sees.
    read.onSend(performance.now());
    announce(command, primary, "primary", read.reason, read.level);
    primary.read(command, read.behindWrites);
  });
}

/** Calls `start` when there is a connection to a server that is not known to have become a replica, or says why not. */
export function whenPrimary(shard: Shard, command: string, start: (error?: Error) => void): void {
  const { primary, vacancy, options } = shard;
  const { connection } = primary;
  if (vacancy.isEmpty && shard.hasPrimary) {
    start();
    return;
  }
  if (connection.closed || connection.refuses || !(shard.demoted || options.governed)) {
    shard.watch();
    connection.whenReady((error) => {
      if (shard.primary === primary) start(error);
      else whenPrimary(shard, command, start);
    });
    return;
  }
  connection.begin();
  const attempt = (): boolean => {
    if (!shard.hasPrimary) return false;
    start();
    return true;
  };
  vacancy.add({ attempt, giveUp: () => start(absence(shard, command)), until: patienceOf(shard) });
}

/**
 * Until when a command may wait: not for long after the primary was lost, since then everybody knows; and after another one
 * was named, which has closed all connections when it was promoted.
 */
function patienceOf({ demoted, primary, primarySince }: Shard): number {
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

/**
 * Sends what nobody needs the position of, and never again. `onReply` is called before its promise resolves, and gives
 * the error that it is rejected with instead, if any.
 */
export function sendOnce(
  shard: Shard,
  command: Command,
  level: Level,
  onReply: (from: Node) => Error | undefined = () => undefined,
  behindWrites = false,
  repeats = 1,
): void {
  const ends = new Ends(command);
  whenPrimary(shard, command.name, (error) => {
    if (error !== undefined) return ends.reject(error);
    const { primary } = shard;
    command.resolve = (reply) => {
      const failure = onReply(primary);
      return failure === undefined ? ends.resolve(reply) : ends.reject(failure);
    };
    command.reject = (failure) => {
      if (repeats > 0 && mayGoOn(command, failure)) {
        shard.refused(primary);
        ends.giveBack();
        sendOnce(shard, command, level, onReply, behindWrites, repeats - 1);
      } else ends.reject(ConnectionLostError.of(command.name, primary.connection.address, failure));
    };
    announce(command, primary, "primary", "not-a-read", level);
    primary.read(command, behindWrites);
  });
}

/** Whether `node` is the primary by the latest that is known. */
function isStill(shard: Shard, node: Node): boolean {
  return shard.primary === node && !isReplica(node);
}

/** Whether a node said last that it is a replica. */
export function isReplica(node: Node): boolean {
  return node.seen?.replication.role === "replica";
}

/** Sends what belongs to no session, once; the primary has to say now and then that it still is one. */
export function sendAlone(shard: Shard, command: Command, level: Level): void {
  shard.askPrimary(performance.now(), false);
  sendOnce(shard, command, level);
}

/** Sends a write of `session` once, and tells the session where it ended up before its promise resolves. */
export function sendWrite(shard: Shard, command: Command, session: Session, level: Level, repeats = 1): void {
  // Reads that follow without waiting have to stay behind the write, also while it waits for a connection.
  session.writeStarted();
  whenPrimary(shard, command.name, (error) => {
    if (error === undefined) {
      const { primary } = shard;
      announce(command, primary, "primary", "not-a-read", level);
      primary.write(command, session.writerTo(shard), (failure) => {
        if (repeats === 0 || !mayGoOn(command, failure)) return false;
        shard.refused(primary);
        sendWrite(shard, command, session, level, repeats - 1);
        return true;
      });
    } else command.reject(error);
    session.writeEnded("not-sent");
  });
}

/** Sends a command to a shard that its key is on its way to, once; `writer` is told its position. */
export function sendAsking(shard: Shard, command: Command, writer: Session | undefined, level: Level): void {
  const ends = new Ends(command);
  writer?.writeStarted();
  whenPrimary(shard, command.name, (error) => {
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
  });
}

/** Has the next command on the connection, or the next transaction, carried out though its slot is only on its way there. */
export function ask({ connection }: Node): void {
  const asking = new Command("asking");
  asking.reject = () => {};
  connection.cork();
  connection.send(asking);
}

/** Whether a server refused to carry `command` out because it is no primary, so that another one may be asked. */
function mayGoOn({ inTransaction }: Command, error: Error): boolean {
  return !inTransaction && error.name === "ReplyError" && isReadOnly(error);
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
