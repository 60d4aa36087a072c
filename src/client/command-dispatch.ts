/**
 * Passes the commands of all clients to the router. ioredis hands over the commands of a pipeline or transaction one by one, and
 * the router gets them together.
 */
import type { Command } from "ioredis";
import { type CommandKind, kindOf } from "../commands/command-kind.js";
import type { CommandStream } from "../connection/auto-pipeline.js";
import type { Consistency, ReadPolicyCache, ResolvedReadPolicy } from "../consistency/read-policy.js";
import { readChannel, routeChannel } from "../diagnostics/channels.js";
import { recordCommand } from "../reads/route-record.js";
import type { ScanIteration } from "../reads/scan.js";
import type { WriteHandle } from "../replication/write-outcome.js";
import { type CommandOutcomes, timeCommand } from "../rollout/timed-command.js";
import type { Session } from "../session/session.js";

/** Routes the commands of a client. */
export interface CommandRouter {
  readonly policies: ReadPolicyCache;
  readonly keepsReads: boolean;
  /** Receives how the commands of sessions end, if a rule may stop the rollout. */
  readonly outcomes: CommandOutcomes | undefined;
  /** Sends one command. `iteration` is set if the command is a step of a scan stream. */
  route(
    command: Command,
    session: Session | undefined,
    policy: ResolvedReadPolicy,
    iteration?: ScanIteration,
  ): void;
  /** Sends a pipeline or transaction as a whole. */
  routeBatch(commands: readonly Command[], session: Session | undefined, policy: ResolvedReadPolicy): void;
}

/** The batch whose commands ioredis is handing over in this turn of the event loop. */
interface OpenBatch {
  readonly stream: CommandStream;
  readonly commands: Command[];
  readonly session: Session | undefined;
  readonly policy: ResolvedReadPolicy;
  /** Marks the batch as a write in flight. Undefined while the batch contains no write. */
  handle: WriteHandle | undefined;
}

/** The client that a command was given to. */
export interface CommandOrigin {
  /** Undefined for the session of the current request. Null for no session. */
  readonly boundSession: Session | null | undefined;
  readonly boundPolicy: ResolvedReadPolicy | undefined;
  readonly iteration: ScanIteration | undefined;
}

const timedKinds: ReadonlySet<CommandKind> = new Set(["read", "write", "lookup", "scan"]);
const writing: ReadonlySet<CommandKind> = new Set(["write", "blocking"]);

/** Passes commands to the router, and the commands of a batch as a whole. All clients of a `Tidemark` share one object. */
export class CommandDispatch {
  readonly #routing: CommandRouter;
  readonly #findSession: () => Session | undefined;
  #open: OpenBatch | undefined;
  #given = 0;

  constructor(routing: CommandRouter, findSession: () => Session | undefined) {
    this.#routing = routing;
    this.#findSession = findSession;
  }

  /**
   * Starts a record of what becomes of a command, if a channel for records has subscribers or sessions keep records, or if a rule
   * may stop the rollout.
   */
  record(command: Command, sender: CommandOrigin): void {
    const { outcomes } = this.#routing;
    if (outcomes !== undefined) this.#time(command, this.sessionOf(sender), outcomes);
    if (!routeChannel.hasSubscribers && !readChannel.hasSubscribers && !this.#routing.keepsReads) return;
    const session = this.sessionOf(sender);
    const { level } = sender.boundPolicy ?? session?.policy ?? this.#routing.policies.usual;
    recordCommand(command, session, level);
  }

  /** Routes one command, or adds it to the batch that it is part of. Batches keep their place in the order of commands. */
  send(command: Command, stream: CommandStream | undefined, sender: CommandOrigin): void {
    if (this.#open !== undefined && this.#open.stream !== stream) this.#close();
    if (this.#open !== undefined) {
      this.#join(this.#open, command);
      return;
    }
    const session = this.sessionOf(sender);
    const policy = sender.boundPolicy ?? session?.policy ?? this.#routing.policies.usual;
    if (stream === undefined) {
      this.#routing.route(command, session, policy, sender.iteration);
      return;
    }
    this.#open = { stream, commands: [], session, policy, handle: undefined };
    this.#join(this.#open, command);
    queueMicrotask(() => this.#close());
  }

  /** How many commands {@link count} has counted in this turn of the event loop. */
  get given(): number {
    return this.#given;
  }

  count(): void {
    if (this.#given === 0) {
      setImmediate(() => {
        this.#given = 0;
      });
    }
    this.#given += 1;
  }

  /** The session of the client, or of the current request. */
  sessionOf({ boundSession }: Pick<CommandOrigin, "boundSession">): Session | undefined {
    return boundSession === undefined ? this.#findSession() : (boundSession ?? undefined);
  }

  resolved(consistency: Consistency): ResolvedReadPolicy {
    return this.#routing.policies.of(consistency);
  }

  #time(command: Command, session: Session | undefined, outcomes: CommandOutcomes): void {
    // Blocking commands take as long as they are asked to.
    if (session !== undefined && timedKinds.has(kindOf(command, false)))
      timeCommand(command, session.isLive, outcomes);
  }

  /** Adds a command to the batch. A write counts as in flight from now on, because a response could be sent before the batch is. */
  #join(batch: OpenBatch, command: Command): void {
    batch.commands.push(command);
    if (batch.handle !== undefined || !writing.has(kindOf(command, true)) || !batch.session?.tracks(command))
      return;
    batch.handle = batch.session.beginWrite(command.name);
  }

  #close(): void {
    const batch = this.#open;
    this.#open = undefined;
    if (batch === undefined) return;
    this.#routing.routeBatch(batch.commands, batch.session, batch.policy);
    batch.handle?.end("not-sent");
  }
}
