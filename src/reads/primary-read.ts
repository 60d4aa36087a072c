/** Sends reads to a shard's primary, and again when the connection closes before the answer. */
import type { Command } from "ioredis";
import type { Ends } from "../commands/ends.js";
import { isRedirection, mayRetryElsewhere } from "../commands/server-reply.js";
import type { WhenReady } from "../connection/offline-queue.js";
import type { Level } from "../consistency/level.js";
import type { Reason } from "../diagnostics/channels.js";
import { ConnectionLostError, NotPrimaryError } from "../errors/errors.js";
import type { Node } from "../node/node.js";
import { maxRepeats } from "../shard/primary-availability.js";
import type { Shard } from "../shard/shard.js";
import { discardSend, noteAnswer, publishRoute } from "./route-record.js";

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
export function sendToPrimary(
  read: PrimaryRead,
  repeats = maxRepeats,
  isReturned = false,
  since?: number,
): void {
  const { shard, command, ends } = read;
  const start: WhenReady = (error) => {
    if (error !== undefined) {
      ends.reject(error);
      return;
    }
    const { primary } = shard;
    const { era, incarnation } = primary;
    const startedAt = performance.now();
    // The time that an unanswered attempt has taken counts, or a read could wait for several primaries in turn.
    const again = (): void => {
      discardSend(command);
      sendToPrimary(read, repeats - 1, true, since ?? startedAt);
    };
    const settle = (reply: unknown): unknown => {
      if (!shard.isStillPrimary(primary) || primary.incarnation !== incarnation) {
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
      if (primary.era === era || !shard.isStillPrimary(primary)) return settle(reply);
      // It may have been made a replica and loaded other data. If it says behind the read that it is the primary of the same
      // history as before, it has been that all the time.
      return void primary.afterProbe().then(() => settle(reply));
    };
    command.reject = (failure) => {
      if (mayRetryElsewhere(failure)) shard.availability.refusedWrite(primary);
      const isUnanswered = ConnectionLostError.isMeantBy(failure) || !shard.isStillPrimary(primary);
      // The caller follows redirections, and keeps the order with commands that were redirected earlier.
      if (repeats > 0 && isUnanswered && !isRedirection(failure)) again();
      else if (primary.isProxy)
        ends.reject(ConnectionLostError.of(command.name, primary.connection, failure));
      else ends.reject(failure);
    };
    shard.monitor.probePrimary(startedAt, read.doubtful);
    // After the INFO in front of it, which must not stand for what the read sees.
    read.onSend(performance.now());
    const sent = publishRoute(command, primary, "primary", read.reason, read.level);
    primary.read(command, read.behindWrites);
  };
  shard.availability.whenReady(command.name, start, isReturned, since);
}
