/** Records what becomes of commands. Tidemark records commands only while somebody uses the records. */
import type { Command } from "ioredis";
import { type CommandKind, kindOf } from "../commands/command-kind.js";
import { traceOf } from "../commands/command-tracing.js";
import { type Level, levelNameOf } from "../consistency/level.js";
import { type ReadRecord, type Reason, readChannel, routeChannel } from "../diagnostics/channels.js";
import type { Counts } from "../diagnostics/counts.js";
import type { LagEstimate } from "../node/lag-estimate.js";
import type { Node } from "../node/node.js";
import type { Session } from "../session/session.js";

const readKinds: ReadonlySet<CommandKind> = new Set(["read", "scan", "lookup"]);

/** A read that is first sent within this time counts as sent at once. */
const atOnceMs = 1;

/**
 * The recorded commands that are not over yet. This is not a Map, because V8 leaves an old table behind each time a Map grows or
 * shrinks. That table keeps its commands, and everything that they refer to, alive for a long time.
 */
const openRecords = new WeakMap<Command, OpenRecord>();
/** The number of open records. If it is 0, nothing is looked up. */
let openCount = 0;

/** One send of a command to a server. */
export class Send {
  readonly tidemark: object;
  readonly node: string;
  readonly role: "primary" | "replica";
  readonly reason: Reason;
  readonly level: Level;
  readonly at: number;
  readonly waitedMs: number;
  readonly lagMs: number | undefined;
  readonly zone: string | undefined;
  /** When the server's answer stopped to matter. Undefined if it matters, or if the command is over. */
  discardedAt: number | undefined = undefined;

  constructor(
    tidemark: object,
    { connection, lag, zone }: Node,
    role: "primary" | "replica",
    reason: Reason,
    level: Level,
    at: number,
    waitedMs: number,
  ) {
    this.tidemark = tidemark;
    this.node = connection.address;
    this.role = role;
    this.reason = reason;
    this.level = level;
    this.at = at;
    this.waitedMs = waitedMs;
    this.lagMs = lagFor(reason, lag);
    this.zone = zone;
  }
}

/** The estimated lag for a read that is sent for `reason`. Undefined if nothing is proven. */
function lagFor(reason: Reason, lag: LagEstimate): number | undefined {
  return reason === "known" || reason === "checked" ? lag.ms : undefined;
}

/** The record of a command that is not over yet. */
class OpenRecord {
  readonly #command: Command;
  /** Kept here, because a script changes its name while it is sent. */
  readonly #name: string;
  readonly #session: Session | undefined;
  readonly #level: Level;
  readonly #isRead: boolean;
  readonly #givenAt = performance.now();
  readonly #sends: Send[] = [];
  /** The send whose answer counts. Undefined if there is none. */
  #counting: Send | undefined;

  constructor(command: Command, session: Session | undefined, level: Level, isRead: boolean) {
    this.#command = command;
    this.#name = command.name.toLowerCase();
    this.#session = session;
    this.#level = level;
    this.#isRead = isRead;
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

  sent(tidemark: object, node: Node, role: "primary" | "replica", reason: Reason, level: Level): Send {
    const now = performance.now();
    const waitedMs = now - this.#givenAt;
    const isAtOnce = this.#sends.length === 0 && waitedMs < atOnceMs;
    const send = new Send(tidemark, node, role, reason, level, now, isAtOnce ? 0 : waitedMs);
    this.#sends.push(send);
    this.#counting = send;
    return send;
  }

  /** Makes the answer to `send` count, or no answer if `send` is undefined. */
  count(send: Send | undefined): void {
    const before = this.#counting;
    if (before !== undefined && before !== send) before.discardedAt ??= performance.now();
    this.#counting = send;
  }

  #end(error: Error | undefined): void {
    // A command that has timed out may still be answered.
    if (openRecords.get(this.#command) !== this) return;
    openRecords.delete(this.#command);
    openCount -= 1;
    const now = performance.now();
    this.#publishRoutes(error, now);
    if (this.#isRead && this.#session !== undefined) this.#recordRead(this.#session, error, now);
  }

  #publishRoutes(error: Error | undefined, now: number): void {
    if (!routeChannel.hasSubscribers) return;
    const outcome = error === undefined || error.name === "ReplyError" ? "answered" : "failed";
    for (const send of this.#sends) {
      const { tidemark, node, role, reason, level, at, discardedAt } = send;
      routeChannel.publish({
        tidemark,
        session: this.#session,
        command: this.#name,
        node,
        role,
        reason,
        level,
        outcome: send === this.#counting ? outcome : "discarded",
        durationMs: (discardedAt ?? now) - at,
      });
    }
  }

  #recordRead(session: Session, error: Error | undefined, now: number): void {
    const send = this.#counting;
    const record: ReadRecord = {
      command: this.#name,
      node: send?.node,
      role: send?.role,
      reason: send?.reason,
      level: send?.level ?? this.#level,
      waitedMs: send?.waitedMs ?? now - this.#givenAt,
      lagMs: send?.lagMs,
      zone: send?.zone,
      error,
    };
    session.keepRead(record);
    const { tidemark } = session.statistics.counts;
    if (readChannel.hasSubscribers) readChannel.publish({ tidemark, session, ...record });
  }
}

/** Records the outcome of `command`, which was given at `level`, if anybody uses the record. */
export function recordCommand(command: Command, session: Session | undefined, level: Level): void {
  const isRead = session !== undefined && readKinds.has(kindOf(command, false));
  if (isRead || routeChannel.hasSubscribers) new OpenRecord(command, session, level, isRead);
}

/** Counts that `command` is sent to a server. Records the send if `command` has an open record. */
export function noteRoute(
  counts: Counts,
  command: Command,
  node: Node,
  role: "primary" | "replica",
  reason: Reason,
  level: Level,
): Send | undefined {
  counts.sent(reason, level);
  traceOf(command)?.sent({ role, reason, level: levelNameOf(level), lagMs: lagFor(reason, node.lag) });
  return openRecordOf(command)?.sent(counts.tidemark, node, role, reason, level);
}

/** Makes the answer to `send` count, although `command` may have been sent elsewhere since. */
export function noteAnswer(command: Command, send: Send | undefined): void {
  if (send !== undefined) openRecordOf(command)?.count(send);
}

/** Records that no answer to an earlier send counts. */
export function discardSend(command: Command): void {
  openRecordOf(command)?.count(undefined);
}

function openRecordOf(command: Command): OpenRecord | undefined {
  return openCount > 0 ? openRecords.get(command) : undefined;
}
