/** Records the outcome of each read of a session. Tidemark records reads only while somebody uses the records. */
import type { Command } from "ioredis";
import { type CommandKind, kindOf } from "../commands/command-kind.js";
import type { Level } from "../consistency/level.js";
import { type ReadRecord, type Reason, readChannel, routeChannel } from "../diagnostics/channels.js";
import type { Counts } from "../diagnostics/counts.js";
import type { Node } from "../node/node.js";
import type { Session } from "../session/session.js";

const readKinds: ReadonlySet<CommandKind> = new Set(["read", "scan", "lookup"]);

/** A read that is first sent within this time counts as sent at once. */
const atOnceMs = 1;

/**
 * The recorded reads that are not over yet. This is not a Map, because V8 leaves an old table behind each time a Map grows or
 * shrinks. That table keeps its commands, and everything that they refer to, alive for a long time.
 */
const openRecords = new WeakMap<Command, OpenRecord>();
/** The number of open records. If it is 0, nothing is looked up. */
let openCount = 0;

/** One send of a read to a server. */
export class SentRead {
  readonly node: string;
  readonly role: "primary" | "replica";
  readonly reason: Reason;
  readonly level: Level;
  readonly waitedMs: number;
  readonly lagMs: number | undefined;
  readonly zone: string | undefined;

  constructor(
    { connection, lag, zone }: Node,
    role: "primary" | "replica",
    reason: Reason,
    level: Level,
    waitedMs: number,
  ) {
    this.node = connection.address;
    this.role = role;
    this.reason = reason;
    this.level = level;
    this.waitedMs = waitedMs;
    this.lagMs = reason === "known" || reason === "checked" ? lag.ms : undefined;
    this.zone = zone;
  }
}

/** The record of a read that is not over yet. */
class OpenRecord {
  readonly #command: Command;
  /** Kept here, because a script changes its name while it is sent. */
  readonly #name: string;
  readonly #session: Session;
  readonly #level: Level;
  readonly #givenAt = performance.now();
  #sends = 0;
  /** The send whose answer counts. Undefined if there is none. */
  send: SentRead | undefined;

  constructor(command: Command, session: Session, level: Level) {
    this.#command = command;
    this.#name = command.name.toLowerCase();
    this.#session = session;
    this.#level = level;
    openRecords.set(command, this);
    openCount += 1;
    const { resolve, reject } = command;
    command.resolve = (reply) => {
      const result: unknown = resolve(reply);
      // This does nothing if a transformer of the user has thrown, because ioredis has then called `reject`.
      this.#end(undefined);
      return result;
    };
    command.reject = (error) => {
      this.#end(error);
      reject(error);
    };
  }

  sent(node: Node, role: "primary" | "replica", reason: Reason, level: Level): SentRead {
    const waitedMs = performance.now() - this.#givenAt;
    this.#sends += 1;
    const isAtOnce = this.#sends === 1 && waitedMs < atOnceMs;
    this.send = new SentRead(node, role, reason, level, isAtOnce ? 0 : waitedMs);
    return this.send;
  }

  #end(error: Error | undefined): void {
    // A command that has timed out may still be answered.
    if (openRecords.get(this.#command) !== this) return;
    openRecords.delete(this.#command);
    openCount -= 1;
    const { send } = this;
    const record: ReadRecord = {
      command: this.#name,
      node: send?.node,
      role: send?.role,
      reason: send?.reason,
      level: send?.level ?? this.#level,
      waitedMs: send?.waitedMs ?? performance.now() - this.#givenAt,
      lagMs: send?.lagMs,
      zone: send?.zone,
      error,
    };
    this.#session.keepRead(record);
    if (readChannel.hasSubscribers) readChannel.publish({ session: this.#session, ...record });
  }
}

/** Records the outcome of `command`, which `session` gave at `level`, if `command` is a read. */
export function recordRead(command: Command, session: Session, level: Level): void {
  if (readKinds.has(kindOf(command, false))) new OpenRecord(command, session, level);
}

/**
 * Counts that `command` is sent to a server, and publishes where it goes if there are subscribers. Records the send if `command` is a
 * read with an open record.
 */
export function noteRoute(
  counts: Counts,
  command: Command,
  node: Node,
  role: "primary" | "replica",
  reason: Reason,
  level: Level,
): SentRead | undefined {
  counts.sent(reason, level);
  if (routeChannel.hasSubscribers)
    routeChannel.publish({
      command: command.name.toLowerCase(),
      node: node.connection.address,
      role,
      reason,
      level,
    });
  return openRecordOf(command)?.sent(node, role, reason, level);
}

/** Makes the answer to `send` count, although `command` may have been sent elsewhere since. */
export function noteAnswer(command: Command, send: SentRead | undefined): void {
  const record = send && openRecordOf(command);
  if (record !== undefined) record.send = send;
}

/** Records that no answer to an earlier send counts. */
export function discardSend(command: Command): void {
  const record = openRecordOf(command);
  if (record !== undefined) record.send = undefined;
}

function openRecordOf(command: Command): OpenRecord | undefined {
  return openCount > 0 ? openRecords.get(command) : undefined;
}
