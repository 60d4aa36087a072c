/** What goes to a shard's primary, and how often: again if unanswered, once, or once with its position learnt. */
import type { Command } from "ioredis";
import { type Reason, routeChannel } from "./channels.js";
import { Ends } from "./ends.js";
import { ConnectionLostError, NotPrimaryError } from "./errors.js";
import type { Level } from "./level.js";
import type { Node } from "./node.js";
import type { Session } from "./session.js";
import type { Shard } from "./shard.js";

const maxRepeats = 3;
const promotionPatienceMs = 1_000;
const promotionLookMs = 50;

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
  /** Called when `from` has answered it, before it is resolved. */
  readonly onAnswer: (from: Node) => void;
  readonly ends: Ends;
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
    const again = (): void => readPrimary(read, repeats - 1);
    command.resolve = (reply) => {
      if (!isReplica(primary)) {
        read.onAnswer(primary);
        ends.resolve(reply);
      } else if (repeats > 0) again();
      else ends.reject(new NotPrimaryError(command.name.toUpperCase(), primary.connection.address));
    };
    command.reject = (failure) => {
      if (repeats > 0 && (ConnectionLostError.isMeantBy(failure) || isReplica(primary))) again();
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
export function whenPrimary(
  shard: Shard,
  command: string,
  start: (error?: Error) => void,
  patienceMs = promotionPatienceMs,
): void {
  const { connection } = shard.primary;
  if (!shard.demoted) {
    connection.whenReady(start);
    return;
  }
  const now = performance.now();
  shard.askPrimary(now, false);
  shard.look(now);
  const again = (): void => whenPrimary(shard, command, start, patienceMs - promotionLookMs);
  if (patienceMs > 0) setTimeout(again, promotionLookMs);
  else start(new NotPrimaryError(command.toUpperCase(), connection.address));
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
): void {
  const ends = new Ends(command);
  shard.primary.connection.whenReady((error) => {
    if (error !== undefined) return ends.reject(error);
    const { primary } = shard;
    command.resolve = (reply) => {
      const failure = onReply(primary);
      return failure === undefined ? ends.resolve(reply) : ends.reject(failure);
    };
    command.reject = (failure) => {
      ends.reject(ConnectionLostError.of(command.name, primary.connection.address, failure));
    };
    announce(command, primary, "primary", "not-a-read", level);
    primary.read(command, behindWrites);
  });
}

/** Whether a node said last that it is a replica. */
export function isReplica(node: Node): boolean {
  return node.seen?.replication.role === "replica";
}

/** Sends a write of `session` once, and tells the session where it ended up before its promise resolves. */
export function sendWrite(shard: Shard, command: Command, session: Session, level: Level): void {
  // Reads that follow without waiting have to stay behind the write, also while it waits for a connection.
  session.writeStarted();
  shard.primary.connection.whenReady((error) => {
    if (error === undefined) {
      const { primary } = shard;
      announce(command, primary, "primary", "not-a-read", level);
      primary.write(command, session);
    } else command.reject(error);
    session.writeEnded("not-sent");
  });
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
