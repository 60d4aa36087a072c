/** Sends one command to a shard's primary, and resends it if the server refused it because the server is no primary. */
import type { Command } from "ioredis";
import { CommandCallbacks } from "../commands/callbacks.js";
import { isScript } from "../commands/command-kind.js";
import { isWordOfReplica, mayRetryElsewhere } from "../commands/server-reply.js";
import type { Touched } from "../commands/touched-keys.js";
import type { Level } from "../consistency/level.js";
import { ConnectionLostError, NotPrimaryError } from "../errors/errors.js";
import type { Node } from "../node/node.js";
import { noteRoute } from "../reads/route-record.js";
import type { Session } from "../session/session.js";
import { maxRepeats } from "../shard/primary-availability.js";
import type { Shard } from "../shard/shard.js";

/**
 * The answer to a script from a server that may be a replica. The script may have returned the error itself, or may have seen old
 * data. If the server turns out to be the primary, the answer stands, and `accept` passes it on.
 */
interface UncertainReply {
  readonly server: Node;
  readonly accept: () => void;
}

/**
 * Sends a write that belongs to no session, and resends it only if the server refused it. The primary has to report from time to
 * time that it still is one.
 */
export function sendOutsideSession(
  shard: Shard,
  command: Command,
  level: Level,
  isReturned = false,
  repeats = maxRepeats,
  uncertain?: UncertainReply,
  onSent: (primary: Node) => void = () => {},
): void {
  const callbacks = new CommandCallbacks(command);
  const start = (error?: Error): void => {
    if (error !== undefined) {
      callbacks.reject(error);
      return;
    }
    const { primary } = shard;
    if (uncertain?.server === primary) {
      uncertain.accept();
      return;
    }
    const isOfScript = isScript(command.name);
    const goOn = (accept: () => void): void => {
      shard.availability.refusedWrite(primary);
      callbacks.restore();
      sendOutsideSession(
        shard,
        command,
        level,
        true,
        repeats - 1,
        isOfScript ? { server: primary, accept } : undefined,
        onSent,
      );
    };
    command.resolve = (reply) => {
      if (!isOfScript || !primary.saidReplica) return callbacks.resolve(reply);
      if (repeats > 0) return goOn(() => callbacks.resolve(reply));
      return callbacks.reject(new NotPrimaryError(command.name.toUpperCase(), primary.connection.address));
    };
    command.reject = (failure) => {
      if (isWordOfReplica(command, failure)) primary.refusedWrite();
      const fail = (): void =>
        callbacks.reject(ConnectionLostError.of(command.name, primary.connection, failure));
      if (repeats > 0 && mayRetryElsewhere(failure)) goOn(fail);
      else fail();
    };
    noteRoute(shard.counts, command, primary, "primary", "not-a-read", level);
    primary.read(command, false);
    onSent(primary);
  };
  shard.monitor.probePrimary(performance.now(), false);
  shard.availability.whenReady(command.name, start, isReturned);
}

/**
 * Sends a write of `session` like one outside of sessions, and never holds back its answer to learn its position. The session is
 * pinned to the primary instead. If the session is observed, its position is asked for beside the write.
 */
export function sendWithoutPosition(
  shard: Shard,
  command: Command,
  session: Session,
  level: Level,
  isReturned: boolean,
): void {
  const touched = session.touchedBy(command);
  const handle = session.beginWrite(command.name, touched);
  const callbacks = new CommandCallbacks(command);
  command.resolve = (reply) => {
    handle.end("not-asked");
    return callbacks.resolve(reply);
  };
  command.reject = (error) => {
    handle.end("not-asked");
    callbacks.reject(error);
  };
  const onSent = session.isObserved
    ? (primary: Node): void => observeWrite(primary, session, touched)
    : undefined;
  sendOutsideSession(shard, command, level, isReturned, maxRepeats, undefined, onSent);
}

/** Asks for a position behind a write that was just sent, for an observed session. */
export function observeWrite(primary: Node, session: Session, touched: Touched): void {
  session.expectPosition();
  primary.positionAfter((position) => session.learnPosition(position, touched));
  // The question leaves together with the write, so that the position is usually known when the write is answered.
  primary.flushWrites();
}

/**
 * Sends a write of `session`, and resends it only if the server refused it. The session learns the position of the write before
 * the promise resolves.
 */
export function sendWrite(
  shard: Shard,
  command: Command,
  session: Session,
  level: Level,
  isReturned = false,
  repeats = maxRepeats,
  uncertain?: UncertainReply,
): void {
  // Reads that follow without waiting must stay behind the write, also while the write waits for a connection.
  const handle = session.beginWrite(command.name, session.touchedBy(command), shard);
  const start = (error?: Error): void => {
    const { primary } = shard;
    if (error !== undefined) command.reject(error);
    else if (uncertain?.server === primary) uncertain.accept();
    else {
      const isOfScript = isScript(command.name);
      noteRoute(shard.counts, command, primary, "primary", "not-a-read", level);
      primary.write(command, handle, (failure) => {
        const isVoid = failure instanceof NotPrimaryError;
        if (!(isVoid ? isOfScript : repeats > 0 && mayRetryElsewhere(failure))) return false;
        if (repeats === 0) {
          command.reject(failure);
          return true;
        }
        shard.availability.refusedWrite(primary);
        const accept = (): void => command.reject(failure);
        const next = isOfScript && !isVoid ? { server: primary, accept } : undefined;
        sendWrite(shard, command, session, level, true, repeats - 1, next);
        return true;
      });
      return;
    }
    handle.end("not-sent");
  };
  shard.availability.whenReady(command.name, start, isReturned);
}

/** Sends a command once to a shard that its key is moving to. `writer` learns the position of the command. */
export function sendAsking(shard: Shard, command: Command, writer: Session | undefined, level: Level): void {
  const callbacks = new CommandCallbacks(command);
  const handle = writer?.beginWrite(command.name, writer.touchedBy(command), shard);
  const isAsked = writer?.needsPositions === true;
  const start = (error?: Error): void => {
    const { primary } = shard;
    if (error !== undefined) {
      callbacks.reject(error);
      handle?.end("not-sent");
    } else {
      const over = (): void => (isAsked ? undefined : handle?.end("not-asked"));
      command.resolve = (reply) => {
        over();
        return callbacks.resolve(reply);
      };
      command.reject = (failure) => {
        over();
        callbacks.reject(ConnectionLostError.of(command.name, primary.connection, failure));
      };
      primary.connection.allowMovingSlot();
      noteRoute(shard.counts, command, primary, "primary", "asked", level);
      if (handle === undefined || !isAsked) primary.read(command, false);
      else primary.write(command, handle);
    }
  };
  shard.availability.whenReady(command.name, start, true);
}
