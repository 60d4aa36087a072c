/** If a pipeline or transaction is not all reads, sends it to the primary as a whole. Each part is carried out once. */
import type { Command } from "ioredis";
import { CommandCallbacks } from "../commands/callbacks.js";
import { type CommandKind, isScript, kindOf, provesPrimary } from "../commands/command-kind.js";
import { sendScriptTexts } from "../commands/script-text.js";
import { isOfReplica, isReadOnlyError, isRedirection, isWordOfReplica } from "../commands/server-reply.js";
import type { ResolvedReadPolicy } from "../consistency/read-policy.js";
import { ConnectionLostError, NotPrimaryError } from "../errors/errors.js";
import type { Node } from "../node/node.js";
import { discardSend, noteRoute } from "../reads/route-record.js";
import type { WriteHandle, WriteOutcome } from "../replication/write-outcome.js";
import type { Session } from "../session/session.js";
import { maxRepeats } from "../shard/primary-availability.js";
import type { Shard } from "../shard/shard.js";
import { observeWrite } from "./write.js";

const framing = new Set(["multi", "exec", "discard", "watch", "unwatch"]);

/** The commands of a batch in order, and the kind of each. */
export interface Batch {
  readonly shard: Shard;
  readonly commands: readonly Command[];
  readonly kinds: readonly CommandKind[];
  readonly session: Session | undefined;
  readonly policy: ResolvedReadPolicy;
  /** Whether the batch is one transaction whose keys are still moving to the shard. */
  readonly isAsked?: boolean;
  /** Whether the batch was sent before and came back. It then goes ahead of all new commands. */
  readonly isReturned?: boolean;
}

/**
 * Sends the batch when there is a primary. Replies are handed out together once all have arrived. Before that, Tidemark cannot know
 * whether the server was still the primary when it answered. With `doubtful`, Tidemark asks the server for its role before the
 * batch.
 */
export function sendBatch(batch: Batch, doubtful: boolean): void {
  new Delivery(batch, doubtful).begin();
}

/** Sends a batch, and resends those of its units that a server refused or answered as a replica. */
class Delivery {
  readonly #batch: Batch;
  readonly #doubtful: boolean;
  readonly #units: readonly Unit[];
  readonly #writer: Session | undefined;
  /** How the batch counts for its session once all units are over. Units whose positions are asked for count by themselves. */
  readonly #outcome: WriteOutcome;
  #handle: WriteHandle | undefined;
  #repeats = maxRepeats;
  #unanswered = 0;
  #sentAt = 0;

  constructor(batch: Batch, doubtful: boolean) {
    this.#batch = batch;
    this.#doubtful = doubtful;
    this.#units = retryUnits(batch).map((unit) => new Unit(unit));
    this.#writer = batch.session?.writerOf(batch.commands, batch.kinds);
    this.#outcome = this.#writer?.needsPositions === false ? "not-asked" : "not-sent";
    if (batch.isReturned !== true)
      batch.session?.statistics.countUntracked(this.#units.reduce((sum, unit) => sum + unit.untracked, 0));
  }

  begin(): void {
    // Reads that follow without waiting must stay behind the batch, also while parts of the batch are resent.
    this.#handle = this.#writer?.beginWrite();
    this.#send(this.#units, this.#batch.isReturned === true);
  }

  /** `isDue` decides which of the returned units are sent to a primary. The other units keep their answers. */
  #send(
    given: readonly Unit[],
    isReturned: boolean,
    isDue: (unit: Unit, primary: Node) => boolean = () => true,
    since?: number,
  ): void {
    const { shard, isAsked } = this.#batch;
    const start = (error?: Error): void => {
      const { primary } = shard;
      if (error !== undefined) for (const unit of given) unit.giveUp(error);
      const units = error === undefined ? given.filter((unit) => isDue(unit, primary)) : [];
      if (units.length === 0) {
        this.#end();
        return;
      }
      // The primary is probed only here, because an INFO between MULTI and EXEC would be carried out as part of the transaction.
      this.#sentAt = performance.now();
      shard.monitor.probePrimary(this.#sentAt, this.#doubtful);
      if (isAsked) primary.connection.allowMovingSlot();
      this.#unanswered = units.reduce((sum, { size }) => sum + size, 0);
      // Scripts are sent by their text. If the server had lost a script that is called by its hash, the script would be carried out
      // after the rest of the batch, or not at all in a transaction.
      const known = {};
      for (const { commands } of units) sendScriptTexts(commands, known);
      const onReply = (): void => {
        this.#unanswered -= 1;
        if (this.#unanswered === 0) this.#answered(units, primary);
      };
      for (const unit of units) unit.transmit(primary, this.#writer, onReply);
      const writer = this.#writer;
      if (writer?.needsPositions === false && writer.isObserved)
        observeWrite(primary, writer, writer.touchedBy(this.#batch.commands));
    };
    shard.availability.whenReady(given[0]?.name ?? "", start, isReturned, since);
  }

  #answered(units: readonly Unit[], from: Node): void {
    const { shard } = this.#batch;
    if (units.some((unit) => unit.isRefused || unit.isDoubtful)) shard.availability.refusedWrite(from);
    const isSaid = units.some((unit) => unit.isRefused && !unit.isDoubtful);
    const isReplica = !shard.isStillPrimary(from);
    // A write that was carried out proves that the server was the primary until then. A read before the write is not resent,
    // because it would see the write.
    const proven = units.findLastIndex((unit) => unit.isCarriedOut);
    const again = units.filter(
      (unit, index) =>
        unit.isRefused ||
        unit.isDoubtful ||
        unit.isUnread ||
        (unit.isAnsweredRead && isReplica && index > proven),
    );
    if (again.length === 0) this.#end();
    else if (this.#repeats > 0) {
      this.#repeats -= 1;
      // The time that an unanswered attempt has taken is part of the wait.
      const since = again.some(({ isUnread }) => isUnread) ? this.#sentAt : undefined;
      // If the server turns out to be the primary still, the answers of scripts stand. Reads also stand if only answers of scripts
      // had raised the doubt.
      const isDue = (unit: Unit, primary: Node): boolean =>
        primary !== from || unit.isUnread || (isSaid && !unit.isDoubtful);
      this.#send(again, true, isDue, since);
    } else {
      for (const unit of again) unit.exhaust(from);
      this.#end();
    }
  }

  #end(): void {
    const { session, shard } = this.#batch;
    const shown = session && this.#units.flatMap((unit) => (unit.shows ? unit.commands : []));
    if (session !== undefined && shown !== undefined && shown.length > 0)
      session.progressIn(shard, session.touchedBy(shown)).readAhead(performance.now());
    this.#handle?.end(this.#outcome);
    for (const unit of this.#units) unit.handOut();
  }
}

/** A command of a batch, or a transaction from MULTI to its end. A unit is resent as a whole or not at all. */
class Unit {
  readonly #batch: Batch;
  readonly #callbacks: readonly CommandCallbacks[];
  readonly #replies: unknown[] = [];
  readonly #errors: (Error | undefined)[] = [];
  /** The session of the unit, if the session has to see one of the unit's writes later. */
  readonly #session: Session | undefined;
  /** Whether the positions of the unit's writes are asked for. */
  readonly #needsPositions: boolean;
  /** Whether the server had already shown that it is a replica when it answered. */
  #isBehindReplica = false;

  constructor(batch: Batch) {
    this.#batch = batch;
    this.#callbacks = batch.commands.map((command) => new CommandCallbacks(command));
    this.#session = batch.session?.writerOf(batch.commands, batch.kinds);
    this.#needsPositions = this.#session?.needsPositions === true;
  }

  get size(): number {
    return this.#callbacks.length;
  }

  get commands(): readonly Command[] {
    return this.#batch.commands;
  }

  get name(): string {
    return this.#batch.commands[0]?.name ?? "";
  }

  get #isRead(): boolean {
    return !this.#batch.kinds.includes("write");
  }

  /** How many of the unit's writes no later read has to see. */
  get untracked(): number {
    const { commands, kinds } = this.#batch;
    if (this.#session !== undefined) return 0;
    return commands.filter(({ name }, i) => kinds[i] === "write" && !framing.has(name.toLowerCase())).length;
  }

  /** Whether the unit only reads and was not redirected. */
  get isAnsweredRead(): boolean {
    return this.#isRead && !this.#errors.some((error) => error !== undefined && isRedirection(error));
  }

  /** Whether the unit shows the session any data of the primary. */
  get shows(): boolean {
    return this.#isRead || this.size > 1;
  }

  /** Whether the server carried out none of the unit's writes because it is a replica. */
  get isRefused(): boolean {
    const { commands, kinds } = this.#batch;
    if (this.size === 1) return this.#errors[0] !== undefined && isDenial(this.#errors[0]);
    const exec = commands.length - 1;
    const carriedOut = this.#replies[exec];
    // EXEC returns the errors of scripts. A replica starts scripts and refuses only their writes.
    if (commands[exec]?.name.toLowerCase() === "exec" && Array.isArray(carriedOut)) {
      const written = carriedOut.filter((_reply, index) => kinds[index + 1] === "write");
      return written.length > 0 && written.every((reply) => reply instanceof Error && isReadOnlyError(reply));
    }
    return this.#errors.some((error) => error !== undefined && isDenial(error));
  }

  /**
   * Whether the answer of the unit is valid only if the server is a primary. This is so if a script has returned an error that it
   * may have made itself, or if a script was carried out on a server that had already shown that it is a replica.
   */
  get isDoubtful(): boolean {
    const { length } = this.#batch.commands;
    if (!this.#isOfScripts) return false;
    const error = this.#errors[length - 1];
    if (this.isRefused) return error === undefined || (this.size === 1 && error.name === "ReplyError");
    return error === undefined && this.#isBehindReplica;
  }

  /** Whether the unit may write only with scripts. */
  get #isOfScripts(): boolean {
    const { commands, kinds } = this.#batch;
    const isScripted = (name: string): boolean => isScript(name) || name.toLowerCase() === "exec";
    return !this.#isRead && commands.every(({ name }, index) => kinds[index] !== "write" || isScripted(name));
  }

  /** Whether the unit only reads and the connection closed before the answer. */
  get isUnread(): boolean {
    const isLost = this.#errors.some((error) => error !== undefined && ConnectionLostError.isMeantBy(error));
    return this.#isRead && isLost;
  }

  /** Whether the unit's reply proves that the server was the primary. */
  get isCarriedOut(): boolean {
    const { commands } = this.#batch;
    if (this.#isRead || this.isRefused || this.#errors[commands.length - 1] !== undefined) return false;
    return commands.some(({ name }) => provesPrimary(name));
  }

  /** Sends the unit to `primary`, and calls `onReply` for each of its commands. */
  transmit(primary: Node, writer: Session | undefined, onReply: () => void): void {
    const { shard, commands, kinds, policy } = this.#batch;
    const { connection } = primary;
    // The position after EXEC is the position of each command of the transaction.
    const session = this.#needsPositions ? this.#session : undefined;
    const touched = session?.touchedBy(commands);
    this.#isBehindReplica = false;
    for (const [index, command] of commands.entries()) {
      command.resolve = (reply) => {
        // For a write of a session, the write batch has already checked this by the INFO after the write.
        if (session === undefined) this.#isBehindReplica = primary.saidReplica;
        this.#replies[index] = reply;
        this.#errors[index] = undefined;
        onReply();
      };
      command.reject = (error) => {
        if (session === undefined && isWordOfReplica(command, error)) primary.refusedWrite();
        this.#replies[index] = undefined;
        // The error of a session's write already says what the failure means for the session.
        this.#errors[index] = ConnectionLostError.of(command.name, connection, error);
        onReply();
      };
      noteRoute(shard.counts, command, primary, "primary", "not-a-read", policy.level);
      const isVoid = (error: Error): boolean => {
        if (!(error instanceof NotPrimaryError) || !this.#isOfScripts) return false;
        this.#errors[index] = error;
        onReply();
        return true;
      };
      if (kinds[index] === "write" && session)
        primary.write(command, session.beginWrite(command.name, touched, shard), isVoid);
      else primary.read(command, writer?.needsPositions === true);
    }
  }

  /** Makes every command of the unit reject with `error`, without sending or resending the unit. */
  giveUp(error: Error): void {
    for (const command of this.commands) discardSend(command);
    this.fail(error);
  }

  /** Makes every command of the unit reject with `error`. */
  fail(error: Error): void {
    for (const index of this.#callbacks.keys()) this.#errors[index] = error;
  }

  /** Makes the unit reject if `from` answered it as a replica, because no attempt has found another primary. */
  exhaust({ connection: { address } }: Node): void {
    if (!this.isRefused) this.fail(new NotPrimaryError(this.name.toUpperCase(), address));
  }

  /** Settles each command with its own reply or error. */
  handOut(): void {
    for (const [index, callbacks] of this.#callbacks.entries()) {
      const error = this.#errors[index];
      if (error === undefined) callbacks.resolve(this.#replies[index]);
      else callbacks.reject(error);
    }
  }
}

/**
 * Whether `error` shows that a server is a replica. Either the server answered with `error`, or it reported before and after the
 * command that it is a replica.
 */
function isDenial(error: Error): boolean {
  return isOfReplica(error) || error instanceof NotPrimaryError;
}

/**
 * The kinds of the commands of a batch, each in its place. EXEC has the kind of the commands that it carries out. Commands behind
 * MULTI do not block. A MULTI that the batch does not end stays open after the batch.
 */
export function batchKinds(commands: readonly Command[]): CommandKind[] {
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

/** The parts of a batch that can be resent by themselves: each transaction from MULTI to its end, and every other command. */
export function retryUnits(batch: Batch): Batch[] {
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
export function isTransaction({ name }: Command): boolean {
  return framing.has(name.toLowerCase());
}
