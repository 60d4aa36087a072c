/** Sends reads to a shard's primary, and resends them if the connection closes before the answer. */
import type { Command } from "ioredis";
import type { CommandCallbacks } from "../commands/callbacks.js";
import { isRedirection, mayRetryElsewhere } from "../commands/server-reply.js";
import type { WhenReady } from "../connection/offline-queue.js";
import type { Level } from "../consistency/level.js";
import type { Reason } from "../diagnostics/channels.js";
import { ConnectionLostError, NotPrimaryError } from "../errors/errors.js";
import type { Node } from "../node/node.js";
import { maxRepeats } from "../shard/primary-availability.js";
import type { Shard } from "../shard/shard.js";
import { discardSend, noteAnswer, publishRoute } from "./route-record.js";

/** A read for the primary, with the callbacks that report its progress. */
export interface PrimaryRead {
  readonly shard: Shard;
  readonly command: Command;
  readonly level: Level;
  readonly reason: Reason;
  /** Whether the primary must prove directly in front of this read that it still is the primary. */
  readonly doubtful: boolean;
  /** Called when the read is sent, with the time on the monotonic clock. Called again each time the read is resent. */
  readonly onSend: (at: number) => void;
  /** Whether the read follows a write of the same session. The read must not be answered before that write. */
  readonly behindWrites: boolean;
  /**
   * Called when `from` has answered the read, before the read resolves. Returns the error that rejects the read instead, if any.
   */
  readonly onAnswer: (from: Node) => Error | undefined;
  readonly callbacks: Pick<CommandCallbacks, "resolve" | "reject">;
}

/**
 * Sends a command that changes nothing, and resends it if the connection closes before the answer. The answer counts only while
 * the server's latest report says that it is a primary. Otherwise the read waits until another server reports that it is the
 * primary.
 */
export function sendToPrimary(
  read: PrimaryRead,
  repeats = maxRepeats,
  isReturned = false,
  since?: number,
): void {
  const { shard, command, callbacks } = read;
  const start: WhenReady = (error) => {
    if (error !== undefined) {
      callbacks.reject(error);
      return;
    }
    const { primary } = shard;
    const { era, incarnation } = primary;
    const startedAt = performance.now();
    // The time that an unanswered attempt has taken counts. Otherwise a read could wait for several primaries in turn.
    const again = (): void => {
      discardSend(command);
      sendToPrimary(read, repeats - 1, true, since ?? startedAt);
    };
    const settle = (reply: unknown): unknown => {
      if (!shard.isStillPrimary(primary) || primary.incarnation !== incarnation) {
        if (repeats > 0) return again();
        return callbacks.reject(new NotPrimaryError(command.name.toUpperCase(), primary.connection.address));
      }
      const failure = read.onAnswer(primary);
      if (failure !== undefined) return callbacks.reject(failure);
      // Tidemark may have asked a replica meanwhile, because the primary seemed to be gone.
      noteAnswer(command, sent);
      return callbacks.resolve(reply);
    };
    command.resolve = (reply) => {
      // Tidemark must leave a server at once if it is known to be a replica. Otherwise later commands are sent elsewhere first.
      if (primary.era === era || !shard.isStillPrimary(primary)) return settle(reply);
      // The server may have become a replica and loaded other data. If it reports behind the read that it is the primary of the
      // same history as before, it was the primary all the time.
      return void primary.afterProbe().then(() => settle(reply));
    };
    command.reject = (failure) => {
      if (mayRetryElsewhere(failure)) shard.availability.refusedWrite(primary);
      const isUnanswered = ConnectionLostError.isMeantBy(failure) || !shard.isStillPrimary(primary);
      // The caller follows redirections, and keeps the order with commands that were redirected earlier.
      if (repeats > 0 && isUnanswered && !isRedirection(failure)) again();
      else if (primary.isProxy)
        callbacks.reject(ConnectionLostError.of(command.name, primary.connection, failure));
      else callbacks.reject(failure);
    };
    shard.monitor.probePrimary(startedAt, read.doubtful);
    // The INFO in front of the read must not stand for the data that the read sees, so `onSend` is called after that INFO.
    read.onSend(performance.now());
    const sent = publishRoute(command, primary, "primary", read.reason, read.level);
    primary.read(command, read.behindWrites);
  };
  shard.availability.whenReady(command.name, start, isReturned, since);
}
