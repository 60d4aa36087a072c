/** What goes to a shard's primary, and how often: again if unanswered, once, or once with its position learnt. */
import type { Command } from "ioredis";
import { type Reason, routeChannel } from "./channels.js";
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
  readonly resolve: (reply: unknown) => unknown;
  readonly reject: (error: Error) => void;
}

/**
 * Sends what changes nothing, again if the connection closes before the answer. The answer counts only while the
 * server's latest word is that it is a primary; else the read waits a second for another one to say so.
 */
export function readPrimary(read: PrimaryRead, repeats = maxRepeats, patienceMs = promotionPatienceMs): void {
  const { shard, command, reject } = read;
  if (shard.demoted) {
    awaitPromotion(read, repeats, patienceMs);
    return;
  }
  command.reject = (error) => {
    if (!ConnectionLostError.isMeantBy(error) || repeats === 0) reject(error);
    else readPrimary(read, repeats - 1, patienceMs);
  };
  shard.primary.connection.whenReady((error) => {
    if (error !== undefined) return reject(error);
    const { primary } = shard;
    const now = performance.now();
    command.resolve = (reply) => {
      if (primary.seen?.replication.role === "replica") readPrimary(read, repeats, patienceMs);
      else read.resolve(reply);
    };
    shard.askPrimary(now, read.doubtful);
    read.onSend(now);
    announce(command, primary, "primary", read.reason, read.level);
    primary.connection.send(command);
  });
}

function awaitPromotion(read: PrimaryRead, repeats: number, patienceMs: number): void {
  const { shard, command } = read;
  const now = performance.now();
  shard.askPrimary(now, false);
  shard.look(now);
  const again = (): void => readPrimary(read, repeats, patienceMs - promotionLookMs);
  if (patienceMs > 0) setTimeout(again, promotionLookMs);
  else read.reject(new NotPrimaryError(command.name.toUpperCase(), shard.primary.connection.address));
}

/** Sends what nobody needs the position of, and never again; `onReply` is called before its promise resolves. */
export function sendOnce(shard: Shard, command: Command, level: Level, onReply: () => void = () => {}): void {
  const { resolve, reject } = command;
  command.resolve = (reply) => {
    onReply();
    return resolve(reply);
  };
  const { address } = shard.primary.connection;
  command.reject = (error) => reject(ConnectionLostError.of(command.name, address, error));
  shard.primary.connection.whenReady((error) => {
    if (error !== undefined) return reject(error);
    shard.askPrimary(performance.now(), false);
    announce(command, shard.primary, "primary", "not-a-read", level);
    shard.primary.connection.send(command);
  });
}

/** Sends a write of `session` once, and tells the session where it ended up before its promise resolves. */
export function sendWrite(shard: Shard, command: Command, session: Session, level: Level): void {
  const { reject } = command;
  // Reads that follow without waiting have to stay behind the write, also while it waits for a connection.
  session.writeStarted();
  shard.primary.connection.whenReady((error) => {
    if (error === undefined) {
      const { primary } = shard;
      announce(command, primary, "primary", "not-a-read", level);
      primary.write(command, session);
    } else reject(error);
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
  routeChannel.publish({ command: command.name, node: node.connection.address, role, reason, level });
}
