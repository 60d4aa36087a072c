/** What goes to a shard's primary, and how often: again if unanswered, once, or once with its position learnt. */
import type { Command } from "ioredis";
import { type Reason, routeChannel } from "./channels.js";
import { ConnectionLostError, NotPrimaryError } from "./errors.js";
import type { Level } from "./level.js";
import type { Node } from "./node.js";
import type { Session } from "./session.js";
import type { Shard } from "./shard.js";

const maxRepeats = 3;

/** Sends what changes nothing, again if the connection closes before the answer; `onSend` is called each time. */
export function sendRepeatable(
  shard: Shard,
  command: Command,
  level: Level,
  reason: Reason,
  onSend: () => void = () => {},
  repeats = maxRepeats,
): void {
  const { reject } = command;
  if (shard.demoted && reason !== "not-a-read") {
    reject(new NotPrimaryError(command.name.toUpperCase(), shard.primary.connection.address));
    return;
  }
  command.reject = (error) => {
    command.reject = reject;
    if (!ConnectionLostError.isMeantBy(error) || repeats === 0) reject(error);
    else sendRepeatable(shard, command, level, reason, onSend, repeats - 1);
  };
  shard.primary.connection.whenReady((error) => {
    if (error !== undefined) return reject(error);
    onSend();
    announce(command, shard.primary, "primary", reason, level);
    shard.primary.connection.send(command);
  });
}

/** Sends what nobody needs the position of, and never again. */
export function sendOnce(shard: Shard, command: Command, level: Level): void {
  const { reject } = command;
  const { address } = shard.primary.connection;
  command.reject = (error) => reject(ConnectionLostError.of(command.name, address, error));
  shard.primary.connection.whenReady((error) => {
    if (error !== undefined) return reject(error);
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
