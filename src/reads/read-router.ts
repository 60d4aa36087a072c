/** Sends each read to a server that may answer it, and elsewhere if that fails. */
import type { Command } from "ioredis";
import { CommandCallbacks } from "../commands/callbacks.js";
import type { Touched } from "../commands/touched-keys.js";
import type { ReadDefaults } from "../consistency/read-policy.js";
import type { Reason } from "../diagnostics/channels.js";
import { ConnectionLostError } from "../errors/errors.js";
import type { Node } from "../node/node.js";
import type { Session } from "../session/session.js";
import type { Topology } from "../topology/topology.js";
import { firstAttainable } from "./attainable-policy.js";
import type { FallbackLimits } from "./fallback-limit.js";
import { countKept } from "./kept-on-primary.js";
import type { LostWrites } from "./lost-writes.js";
import { settleReads } from "./monotonic-reads.js";
import { type PrimaryRead, sendToPrimary } from "./primary-read.js";
import { openRead, type PendingRead, type ReadRequest } from "./read.js";
import { ReadFallback } from "./read-fallback.js";
import { type ReplicaReadOutcomes, sendToReplica } from "./replica-read.js";
import { discardSend } from "./route-record.js";
import { iterationLostError, type ScanIteration } from "./scan.js";
import { primaryMustProve, type Selection, selectReplica, whyNoReplica } from "./server-selection.js";
import { answerStale, withDeadlineForPrimary } from "./stale-read.js";

/** How replicas prove their answers, and how Tidemark handles reads that no replica may answer. */
export interface ReadRouterOptions extends ReadDefaults {
  readonly maxStalenessMs: number;
  readonly verify: "when-needed" | "always";
  readonly fallbackLimit: FallbackLimits | false;
}

export class ReadRouter {
  readonly #options: ReadRouterOptions;
  /** Whether every read is proven by an INFO of its own. */
  readonly #always: boolean;
  readonly #topology: Pick<Topology, "shards">;
  readonly #losses: LostWrites;
  readonly #fallbacks: ReplicaReadOutcomes;
  readonly #fallback: ReadFallback;

  constructor(options: ReadRouterOptions, topology: Pick<Topology, "shards">, losses: LostWrites) {
    this.#options = options;
    this.#always = options.verify === "always";
    this.#topology = topology;
    this.#losses = losses;
    this.#fallback = new ReadFallback(options.fallbackLimit, {
      maxStalenessMs: options.maxStalenessMs,
      lossOf: (session, command) => this.#lossOf(session, command),
      choose: (read, now) => this.#choose(read, now),
      sendTo: (read, choice) => this.#sendTo(read, choice),
      toPrimary: (read, reason) => this.#readPrimary(read, reason),
    });
    this.#fallbacks = {
      always: this.#always,
      isFinal: ({ policy }, proven) => policy.fallback === "error" && proven,
      fallBack: (read, reason) => {
        discardSend(read.command);
        this.#fallback.take(read, reason);
      },
      toPrimary: (read, reason) => {
        discardSend(read.command);
        this.#readPrimary(read, reason);
      },
    };
  }

  /** Sends a read of `session`. Without a session, the read goes to the primary. */
  send(given: ReadRequest, session: Session | undefined): void {
    if (session === undefined) {
      this.sendToPrimary(given, session, "no-session");
      return;
    }
    const loss = this.#lossOf(session, given.command);
    if (loss !== undefined) {
      given.command.reject(loss);
      return;
    }
    const now = performance.now();
    const read = this.#open(given, session, now);
    this.#sendTo(read, this.#choose(read, now));
  }

  /** Sends reads that belong together to a server that may answer the first of them. */
  sendAll(given: readonly ReadRequest[], session: Session | undefined): void {
    if (session === undefined) {
      for (const one of given) this.send(one, session);
      return;
    }
    const loss = given[0] && this.#lossOf(session, given[0].command);
    if (loss !== undefined) {
      for (const { command } of given) command.reject(loss);
      return;
    }
    const now = performance.now();
    const touched = session.touchedBy(given.map(({ command }) => command));
    const reads = given.map((one) => this.#open(one, session, now, touched));
    const choice = reads[0] && this.#choose(reads[0], now);
    choice?.node?.connection.beginTurn();
    for (const read of reads) this.#sendTo(read, choice);
  }

  /** Sends a command that only the primary may answer: a command that does not read data, or any command outside of a session. */
  sendToPrimary(
    given: ReadRequest,
    session: Session | undefined,
    reason: Reason,
    repeats?: number,
    isReturned = false,
  ): void {
    if (session !== undefined) {
      this.#readPrimary(this.#open(given, session, performance.now()), reason, repeats, isReturned);
      return;
    }
    const { shard, command, policy, iteration } = given;
    const onAnswer = (from: Node): undefined => {
      iteration?.answeredBy(from);
    };
    const { level } = policy;
    const read = { shard, command, level, reason, doubtful: this.#always, behindWrites: false };
    sendToPrimary(
      { ...read, callbacks: new CommandCallbacks(command), onSend: () => {}, onAnswer },
      repeats,
      isReturned,
    );
  }

  /** Makes `session` require the data that it has read so far. See {@link settleReads}. */
  anchor(session: Session): Promise<void> | undefined {
    return settleReads(session, this.#topology.shards);
  }

  /**
   * Sends a further step of an iteration to the node and connection where the iteration began. Rejects the step if that is
   * impossible.
   */
  resume(given: ReadRequest & { readonly iteration: ScanIteration }, session: Session | undefined): void {
    const { shard, command, iteration } = given;
    const { node } = iteration;
    const isPrimary = node === shard.primary;
    if (
      iteration.isLost ||
      node === undefined ||
      (isPrimary ? shard.isPrimaryDemoted : session === undefined)
    ) {
      command.reject(iterationLostError(command, iteration));
    } else if (isPrimary || session === undefined) {
      const callbacks = new CommandCallbacks(command);
      command.resolve = (reply) => callbacks.resolve(reply);
      command.reject = (error) => {
        callbacks.reject(
          ConnectionLostError.isMeantBy(error) ? iterationLostError(command, iteration, error) : error,
        );
      };
      this.sendToPrimary(given, session, "not-a-read", 0);
    } else {
      const now = performance.now();
      const waitUntil = now + this.#options.maxStalenessMs;
      const read: PendingRead = { ...this.#open(given, session, now), waitUntil };
      this.#sendTo(read, read.certain === undefined ? selectReplica(read, now) : undefined);
    }
  }

  /**
   * The error to reject a read of `session` with because its writes were found to be lost. Undefined if the read may continue.
   */
  #lossOf(session: Session, { name }: Command): Error | undefined {
    return this.#losses.check(this.#topology.shards, session, name);
  }

  #open(
    given: ReadRequest,
    session: Session,
    now: number,
    touched: Touched = session.touchedBy(given.command),
  ): PendingRead {
    const { maxStalenessMs } = this.#options;
    const read = openRead(given, session, touched, maxStalenessMs, now);
    return read.policy.next === undefined ? read : firstAttainable(read, maxStalenessMs, now);
  }

  #choose(read: PendingRead, now: number): Selection | undefined {
    return read.certain ? { node: undefined, reason: read.certain } : selectReplica(read, now);
  }

  #sendTo(read: PendingRead, choice: Selection | undefined): void {
    if (choice === undefined) this.#fallback.take(read, undefined);
    // A token can claim that a position is unknown, and users can send a token as often as they like.
    else if (choice.reason === "position-unknown") this.#fallback.relieve(read, choice.reason);
    else if (choice.node === undefined) this.#readPrimary(read, choice.reason);
    else sendToReplica(read, choice.node, choice.reason, this.#fallbacks);
  }

  /** If `reason` is undefined, the reason is why no replica may answer. */
  #readPrimary(read: PendingRead, reason: Reason | undefined, repeats?: number, isReturned = false): void {
    if (answerStale(read)) return;
    const { command, session, shard, touched, level, iteration } = read;
    const doubtful = this.#always || session.positions.some((position) => primaryMustProve(shard, position));
    const now = performance.now();
    const because = reason ?? whyNoReplica(read, now);
    // A read that comes back was counted when it was first sent.
    const kept = isReturned ? undefined : countKept(read, because, now);
    let sentAt = Number.POSITIVE_INFINITY;
    const toPrimary: PrimaryRead = {
      shard,
      command,
      level,
      reason: because,
      doubtful,
      onSend: (at) => {
        sentAt = at;
        if (shard.replicas.length > 0 && session.progressIn(shard, touched).ahead)
          shard.monitor.samplePrimary(at);
      },
      behindWrites: session.isWriting(touched),
      onAnswer: (from) => {
        iteration?.answeredBy(from);
        const progress = session.progressIn(shard, touched);
        progress.readAhead(sentAt);
        progress.kept = kept ?? progress.kept;
        // The answer to an INFO in front of the read may be the first report of another primary.
        return this.#lossOf(session, command);
      },
      callbacks: withDeadlineForPrimary(read).callbacks,
    };
    sendToPrimary(toPrimary, repeats, isReturned);
  }
}
