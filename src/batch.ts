/** A pipeline or transaction that is not all reads: it goes to the primary as a whole, once. */
import type { Command } from "ioredis";
import { type CommandKind, kindOf } from "./command.js";
import { Ends } from "./ends.js";
import { NotPrimaryError } from "./errors.js";
import type { Node } from "./node.js";
import { ask, isReplica, sendOnce, sendWrite, whenPrimary } from "./primary.js";
import type { Session } from "./session.js";
import type { Shard } from "./shard.js";
import type { Terms } from "./terms.js";

const framing = new Set(["multi", "exec", "discard", "watch", "unwatch"]);

/** The commands of a batch in order, and what each of them is. */
export interface Batch {
  readonly shard: Shard;
  readonly commands: readonly Command[];
  readonly kinds: readonly CommandKind[];
  readonly session: Session | undefined;
  readonly terms: Terms;
  /** Whether it is one transaction, and its keys are only on their way to the shard. */
  readonly isAsked?: boolean;
}

/**
 * Sends the batch when there is a primary. What it reads counts only while the server's latest word is that it is one;
 * `doubtful` has it say so in front of the batch.
 */
export function sendBatch(batch: Batch, doubtful: boolean): void {
  const { shard, commands, kinds, session, terms } = batch;
  const { level } = terms;
  const writer = kinds.includes("write") ? session : undefined;
  writer?.writeStarted();
  whenPrimary(shard, commands[0]?.name ?? "", (error) => {
    // Only here: an INFO between MULTI and EXEC would be carried out as part of the transaction.
    if (error === undefined) shard.askPrimary(performance.now(), doubtful);
    if (error === undefined && batch.isAsked) ask(shard.primary);
    for (const [index, command] of commands.entries()) {
      if (error !== undefined) command.reject(error);
      else if (kinds[index] === "write" && session) write(shard, command, session, level);
      else
        sendOnce(
          shard,
          command,
          level,
          (from) => objection(command, shard, from, session),
          writer !== undefined,
        );
    }
    writer?.writeEnded("not-sent");
  });
}

function write(shard: Shard, command: Command, session: Session, level: Terms["level"]): void {
  const ends = new Ends(command);
  const { primary } = shard;
  if (command.name.toLowerCase() === "exec") {
    // EXEC brings what the transaction has read.
    command.reject = (error) => ends.reject(error);
    command.resolve = (reply) => {
      const failure = objection(command, shard, primary, session);
      return failure === undefined ? ends.resolve(reply) : ends.reject(failure);
    };
  }
  sendWrite(shard, command, session, level);
}

/** Takes in that the session has read from the primary; the error when that turns out to be one no more. */
function objection(
  command: Command,
  shard: Shard,
  from: Node,
  session: Session | undefined,
): Error | undefined {
  session?.in(shard).readAhead(performance.now());
  return isReplica(from)
    ? new NotPrimaryError(command.name.toUpperCase(), from.connection.address)
    : undefined;
}

/**
 * What the commands of a batch are, each where it stands: EXEC is what it carries out, nothing waits behind MULTI, and a
 * MULTI that the batch does not end goes on after it.
 */
export function kindsOf(commands: readonly Command[]): CommandKind[] {
  let queued: CommandKind | undefined;
  let opened = 0;
  const kinds = commands.map((command, index) => {
    const kind = kindOf(command, true);
    const name = command.name.toLowerCase();
    if (name === "exec" || name === "discard") {
      const carriedOut = name === "exec" ? queued : undefined;
      queued = undefined;
      return carriedOut ?? kind;
    }
    if (name === "multi") {
      queued = "lookup";
      opened = index;
    }
    if (queued === undefined) return kind;
    if (kind === "write" || kind === "blocking") queued = "write";
    return kind === "blocking" ? "write" : kind;
  });
  if (queued !== undefined) kinds[opened] = "transactional";
  return kinds;
}

/** What of a batch can be sent again by itself: its transactions, each from MULTI to its end, and all other commands. */
export function unitsOf(batch: Batch): Batch[] {
  const units: { commands: Command[]; kinds: CommandKind[] }[] = [];
  let isOpen = false;
  for (const [index, command] of batch.commands.entries()) {
    const name = command.name.toLowerCase();
    const last = isOpen ? units.at(-1) : undefined;
    const unit = last ?? { commands: [], kinds: [] };
    if (last === undefined) units.push(unit);
    unit.commands.push(command);
    unit.kinds.push(batch.kinds[index] ?? "write");
    isOpen = name === "multi" || (isOpen && name !== "exec" && name !== "discard");
  }
  return units.map((unit) => ({ ...batch, ...unit }));
}

/** Whether a command frames a transaction, which one shard carries out as a whole. */
export function isTransactional({ name }: Command): boolean {
  return framing.has(name.toLowerCase());
}
