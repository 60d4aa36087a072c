/** What goes to a shard's primary, in which order, and when it is sent again. */
import { Command } from "ioredis";
import { type Reason, routeChannel } from "./channels.js";
import { isScript, provesPrimary } from "./command.js";
import { rightfulPrimary } from "./condition.js";
import type { Connection } from "./connection.js";
import { Ends } from "./ends.js";
import { ConnectionLostError, NotPrimaryError } from "./errors.js";
import type { Level } from "./level.js";
import type { Node } from "./node.js";
import type { Start } from "./offline-queue.js";
import { discardSend, noteAnswer, noteSend, type Send } from "./read-record.js";
import { isOfReplica, isReadOnly, isRedirection } from "./refusal.js";
import type { Session } from "./session.js";
import type { Shard } from "./shard.js";

/** How often a command is sent again that servers have proven not to have carried out, or that changes nothing. */
export const maxRepeats = 3;
const promotionPatienceMs = 1_000;
/** How long commands wait for the next primary where nobody but the servers themselves says which one it is. */
const handOverPatienceMs = 3_000;

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
export function readPrimary(
  read: PrimaryRead,
  repeats = maxRepeats,
  isReturned = false,
  since?: number,
): void {
  const { shard, command, ends } = read;
  const start: Start = (error) => {
    if (error !== undefined) {
      ends.reject(error);
      return;
    }
    const { primary } = shard;
    const { era, link } = primary;
    const startedAt = performance.now();
    // The time that an unanswered attempt has taken counts, or a read could wait for several primaries in turn.
    const again = (): void => {
      discardSend(command);
      readPrimary(read, repeats - 1, true, since ?? startedAt);
    };
    const settle = (reply: unknown): unknown => {
      if (!isStill(shard, primary) || primary.link !== link) {
        if (repeats > 0) return again();
        return ends.reject(new NotPrimaryError(command.name.toUpperCase(), primary.connection.address));
      }
      const failure = read.onAnswer(primary);
      if (failure !== undefined) return ends.reject(failure);
      // A replica may have been asked meanwhile, because the primary seemed to be gone.
      noteAnswer(command, sent);
      return ends.resolve(reply);
    };
    command.resolve = (reply) => {
      // Known to be a replica, it has to be left at once, or what was given later is sent elsewhere first.
      if (primary.era === era || !isStill(shard, primary)) return settle(reply);
      // It may have been made a replica and loaded other data. If it says behind the read that it is the primary of the same
      // history as before, it has been that all the time.
      return void primary.askedBehind().then(() => settle(reply));
    };
    command.reject = (failure) => {
      if (mayGoOn(failure)) shard.refused(primary);
      const isUnanswered = ConnectionLostError.isMeantBy(failure) || !isStill(shard, primary);
      // The caller follows redirections, and keeps the order with commands that were redirected earlier.
      if (repeats > 0 && isUnanswered && !isRedirection(failure)) again();
      else if (primary.isProxy)
        ends.reject(ConnectionLostError.of(command.name, primary.connection, failure));
      else ends.reject(failure);
    };
    shard.askPrimary(startedAt, read.doubtful);
    // After the INFO in front of it, which must not stand for what the read sees.
    read.onSend(performance.now());
    const sent = announce(command, primary, "primary", read.reason, read.level);
    primary.read(command, read.behindWrites);
  };
  whenPrimary(shard, command.name, start, isReturned, since);
}

/**
 * Calls `start` when there is a connection to a server that is not known to have become a replica, and answers; or with
 * the reason when there is none in time. Commands start in the order in which they were given: `isReturned` is for one
 * that was sent before and came back, so that it goes ahead of commands that were given later. `since` is when the
 * command began to wait.
 */
export function whenPrimary(
  shard: Shard,
  command: string,
  start: Start,
  isReturned = false,
  since?: number,
): void {
  if (shard.vacancy.isEmpty && shard.hasPrimary) {
    start();
    return;
  }
  const givenAt = since ?? performance.now();
  if (shard.vacancy.isEmpty && isUpToConnection(shard)) whenConnected(shard, command, start, givenAt);
  else waitInVacancy(shard, command, start, isReturned, givenAt);
}

/** Whether the wait is the connection's affair: nobody else says who the primary is. */
function isUpToConnection({ primary: { connection }, demoted, isHandedOver, options }: Shard): boolean {
  if (connection.closed || connection.refuses) return true;
  return !connection.ready && !demoted && isHandedOver && !options.governed;
}

function whenConnected(shard: Shard, command: string, start: Start, since: number): void {
  const { primary } = shard;
  shard.watch();
  const settle = (error?: Error): void => {
    if (shard.primary === primary) start(error);
    else whenPrimary(shard, command, start, false, since);
  };
  primary.connection.whenReady(settle, { command, since });
}

function waitInVacancy(
  shard: Shard,
  command: string,
  start: Start,
  isReturned: boolean,
  since: number,
): void {
  shard.primary.connection.begin();
  shard.watch();
  const attempt = (): boolean => {
    const refusal = refusalSince(shard, since);
    if (shard.hasPrimary) start();
    else if (isUpToConnection(shard)) whenConnected(shard, command, start, since);
    else if (refusal !== undefined) start(refusal);
    else return false;
    return true;
  };
  shard.vacancy.add({
    attempt,
    giveUp: () => start(absence(shard, command)),
    isReturned,
    // Another primary may be named meanwhile; it is there only when the one before it has answered or was given up.
    get until() {
      return shard.isHandedOver ? patienceOf(shard, since) : Number.POSITIVE_INFINITY;
    },
  });
}

/** Until when a command may wait that was given at `since`. */
function patienceOf(shard: Shard, since: number): number {
  const { demoted, primary, primarySince, options } = shard;
  const { ready, server, downSince } = primary.connection;
  if (demoted && !options.governed) return since + Math.min(handOverPatienceMs, options.primaryTimeoutMs);
  if (server.maxRetriesPerRequest === null) return Number.POSITIVE_INFINITY;
  const latest = since + options.primaryTimeoutMs;
  if (demoted) return Math.min(latest, since + promotionPatienceMs);
  if (ready || !options.governed) return latest;
  // Not for long after the primary was lost, since then everybody knows; and after another one was named, which has
  // closed all connections when it was promoted.
  return Math.min(latest, Math.max(downSince, primarySince) + promotionPatienceMs);
}

/** What the primary has refused a handshake with since then. */
function refusalSince({ primary: { connection } }: Shard, since: number): Error | undefined {
  const { refusal } = connection;
  return refusal !== undefined && refusal.at >= since ? refusal.error : undefined;
}

function absence(shard: Shard, command: string): Error {
  const { connection } = shard.primary;
  if (shard.demoted && !connection.closed)
    return new NotPrimaryError(command.toUpperCase(), connection.address, rightfulPrimary(shard));
  return connection.absence(command);
}

/** Resolves when the primary is connected, or the one that takes its place; rejects when none is after `timeoutMs`. */
export function connected(shard: Shard, command: string, timeoutMs: number): Promise<void> {
  const since = performance.now();
  shard.primary.connection.begin();
  return new Promise((resolve, reject) => {
    const attempt = (): boolean => {
      const { connection } = shard.primary;
      const error = refusalSince(shard, since) ?? connection.over;
      if (connection.answers) resolve();
      else if (error !== undefined) reject(error);
      return connection.answers || error !== undefined;
    };
    const giveUp = (): void => reject(shard.primary.connection.absence(command));
    if (!attempt()) shard.absence.add({ attempt, giveUp, until: since + timeoutMs });
  });
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
 * What a script was answered with, if only a replica's answer is void: an error that a script may have returned itself
 * or old data that it has seen. If the server turns out to be the primary, the answer stands.
 */
interface Doubt {
  readonly server: Node;
  readonly stand: () => void;
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
  doubt?: Doubt,
): void {
  const ends = new Ends(command);
  const start = (error?: Error): void => {
    if (error !== undefined) {
      ends.reject(error);
      return;
    }
    const { primary } = shard;
    if (doubt?.server === primary) {
      doubt.stand();
      return;
    }
    const isOfScript = isScript(command.name);
    const goOn = (stand: () => void): void => {
      shard.refused(primary);
      ends.giveBack();
      sendAlone(
        shard,
        command,
        level,
        true,
        repeats - 1,
        isOfScript ? { server: primary, stand } : undefined,
      );
    };
    command.resolve = (reply) => {
      if (!isOfScript || !primary.saidReplica) return ends.resolve(reply);
      if (repeats > 0) return goOn(() => ends.resolve(reply));
      return ends.reject(new NotPrimaryError(command.name.toUpperCase(), primary.connection.address));
    };
    command.reject = (failure) => {
      if (isWordOfReplica(command, failure)) primary.refusedWrite();
      const fail = (): void => ends.reject(ConnectionLostError.of(command.name, primary.connection, failure));
      if (repeats > 0 && mayGoOn(failure)) goOn(fail);
      else fail();
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
  doubt?: Doubt,
): void {
  const writer = session.writerTo(shard, command);
  const isThere = shard.vacancy.isEmpty && shard.hasPrimary;
  const start = (error?: Error): void => {
    const { primary } = shard;
    if (error !== undefined) command.reject(error);
    else if (doubt?.server === primary) doubt.stand();
    else {
      const isOfScript = isScript(command.name);
      announce(command, primary, "primary", "not-a-read", level);
      primary.write(command, writer, (failure) => {
        const isVoid = failure instanceof NotPrimaryError;
        if (!(isVoid ? isOfScript : repeats > 0 && mayGoOn(failure))) return false;
        if (repeats === 0) {
          command.reject(failure);
          return true;
        }
        shard.refused(primary);
        const stand = (): void => command.reject(failure);
        const next = isOfScript && !isVoid ? { server: primary, stand } : undefined;
        sendWrite(shard, command, session, level, true, repeats - 1, next);
        return true;
      });
    }
    if (!isThere) writer.writeEnded("not-sent");
  };
  if (isThere) {
    start();
    return;
  }
  // Reads that follow without waiting have to stay behind the write, also while it waits for a connection.
  writer.writeStarted(command.name);
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
        ends.reject(ConnectionLostError.of(command.name, primary.connection, failure));
      };
      ask(primary.connection);
      announce(command, primary, "primary", "asked", level);
      if (writer === undefined) primary.read(command, false);
      else primary.write(command, writer.writerTo(shard, command));
    }
    writer?.writeEnded("not-sent");
  };
  writer?.writeStarted(command.name);
  whenPrimary(shard, command.name, start, true);
}

/** Has the next command on the connection, or the next transaction, carried out though its slot is only on its way there. */
export function ask(connection: Connection): void {
  const asking = new Command("asking");
  asking.reject = () => {};
  connection.cork();
  connection.send(asking);
}

/** Whether a server, not a script, says with `error` that it is a replica. */
export function isWordOfReplica({ name }: Command, error: Error): boolean {
  return provesPrimary(name) && isReadOnly(error);
}

/** Whether a server refused to carry a command out because it is no primary, so that another one may be asked. */
function mayGoOn(error: Error): boolean {
  return error.name === "ReplyError" && isOfReplica(error);
}

/** Publishes where `command` goes, if anybody listens, and notes it if `command` is a read that is recorded. */
export function announce(
  command: Command,
  node: Node,
  role: "primary" | "replica",
  reason: Reason,
  level: Level,
): Send | undefined {
  if (routeChannel.hasSubscribers)
    routeChannel.publish({
      command: command.name.toLowerCase(),
      node: node.connection.address,
      role,
      reason,
      level,
    });
  return noteSend(command, node, role, reason, level);
}
