/**
 * Knows whether a shard has a primary that takes commands. Commands wait here while there is none, and fail if they have waited too
 * long.
 */
import type { WhenReady } from "../connection/offline-queue.js";
import type { Counts } from "../diagnostics/counts.js";
import { ClosedError, NotPrimaryError } from "../errors/errors.js";
import type { NodeReport } from "../node/incarnation.js";
import type { Node } from "../node/node.js";
import type { OffsetTimeline } from "../replication/offset-timeline.js";
import { parseUpstream } from "../replication/replication-info.js";
import type { ShardMembers } from "./members.js";
import type { ShardMonitor } from "./monitor.js";
import { WaitQueue } from "./wait-queue.js";

/** How often a command is sent again if it changes nothing, or if servers have proven that they did not execute it. */
export const maxRepeats = 3;
const promotionPatienceMs = 1_000;
/** How long commands wait for the next primary if only the servers themselves say which one it is. */
const handOverPatienceMs = 3_000;
/** A server's name from the report of another server is cut to this length. */
const longestName = 100;

export class PrimaryAvailability {
  readonly #members: ShardMembers;
  readonly #monitor: ShardMonitor;
  readonly #history: OffsetTimeline;
  readonly #counts: Counts;
  /** Commands that wait while there is no primary, in their order. */
  readonly #waiting = new WaitQueue((now) => {
    this.#monitor.probePrimary(now, true);
    this.#monitor.findPrimary(now);
  });
  /** Whether the primary has refused a write because it is a replica, and has sent no report since. */
  #hasRefused = false;
  /** Since when the primary is known to be a replica, on the monotonic clock. Undefined while it is a primary. */
  #demotedAt: number | undefined;

  constructor(members: ShardMembers, monitor: ShardMonitor, history: OffsetTimeline, counts: Counts) {
    this.#counts = counts;
    this.#members = members;
    this.#monitor = monitor;
    this.#history = history;
  }

  /** Whether the primary, by its latest answer, is a replica. */
  get isDemoted(): boolean {
    return this.#hasRefused || this.#members.primary.isReplica;
  }

  /** Whether the primary can take commands now. Earlier commands may still wait to be sent. */
  get isReady(): boolean {
    const { primary, isHandedOver } = this.#members;
    return !this.isDemoted && primary.connection.answers && isHandedOver;
  }

  /** Whether the primary would be sent a command at once: it is ready, and no earlier command waits. */
  get isImmediate(): boolean {
    return this.#waiting.isEmpty && this.isReady;
  }

  /** Whether commands wait while there is no primary. */
  get hasWaiting(): boolean {
    return !this.#waiting.isEmpty;
  }

  /** For how long there has been no primary, in milliseconds; 0 while there is one. */
  get absentMs(): number {
    if (this.isReady) return 0;
    const demotedMs = this.#demotedAt === undefined ? 0 : performance.now() - this.#demotedAt;
    return Math.max(demotedMs, this.#members.primary.connection.absentMs);
  }

  /**
   * The server that the user should give as the primary. Set only if the server that was given is a replica and this process has
   * never seen it as a primary.
   */
  get rightfulPrimary(): string | undefined {
    const { primary, options } = this.#members;
    if (!this.isDemoted || this.#history.replid !== undefined || options.hasArbiter) return undefined;
    const text = primary.lastReport?.text ?? "";
    return parseUpstream(text) && upstreamOf(text);
  }

  /** Records the role that the primary has reported. */
  reported({ replication, at }: NodeReport): void {
    this.#hasRefused = false;
    const isPrimary = replication.role === "primary";
    this.#demotedAt = isPrimary ? undefined : (this.#demotedAt ?? at);
    if (!isPrimary) this.#monitor.findPrimary(performance.now());
  }

  /** Called when another server has become the primary. */
  replaced(): void {
    this.#hasRefused = false;
  }

  /**
   * Called when `node` has refused a write because it is a replica. Ignored for a proxy, because only one of its servers has
   * refused the write.
   */
  refusedWrite(node: Node): void {
    if (node !== this.#members.primary || node.isProxy) return;
    this.#hasRefused = true;
    this.#demotedAt ??= performance.now();
    node.probeBefore();
    this.#monitor.findPrimary(performance.now());
  }

  /**
   * Asks the primary for its role, on behalf of owners of other connections to it. While the primary is absent or a replica, looks
   * for the next one.
   */
  check(now: number): void {
    this.#monitor.probePrimary(now, this.isDemoted);
    if (this.isDemoted) this.#monitor.findPrimary(now);
    else this.#monitor.searchUntilAnswered();
  }

  /**
   * Calls `start` once there is a connection to a server that answers and is not known to have become a replica. If there is none
   * in time, calls `start` with the reason. Commands start in the order in which they were given. `isReturned` is set for a command
   * that was sent before and came back, so that it goes ahead of commands that were given later. `since` is when the command began
   * to wait.
   */
  whenReady(command: string, start: WhenReady, isReturned = false, since?: number): void {
    if (this.isImmediate) {
      start();
      return;
    }
    const givenAt = since ?? performance.now();
    const counted: WhenReady = (error) => {
      if (error !== undefined && !(error instanceof ClosedError)) this.#counts.withoutPrimary += 1;
      start(error);
    };
    if (this.#waiting.isEmpty && this.#isUpToConnection) this.#whenConnected(command, counted, givenAt);
    else this.#waitForPrimary(command, counted, isReturned, givenAt);
  }

  /** Resolves once the primary, or the server that replaces it, is connected. Rejects if this takes longer than `timeoutMs`. */
  whenConnectedWithin(command: string, timeoutMs: number): Promise<void> {
    const since = performance.now();
    this.#members.primary.connection.connectIfLazy();
    return new Promise((resolve, reject) => {
      const attempt = (): boolean => {
        const { connection } = this.#members.primary;
        const error = this.#refusalSince(since) ?? connection.over;
        if (connection.answers) resolve();
        else if (error !== undefined) reject(error);
        return connection.answers || error !== undefined;
      };
      const giveUp = (): void => reject(this.#members.primary.connection.absence(command));
      if (!attempt()) this.#monitor.connectionWaiters.add({ attempt, giveUp, until: since + timeoutMs });
    });
  }

  /** Lets commands wait again after {@link close}. */
  open(): void {
    this.#waiting.open();
  }

  /** Gives up all commands that wait. */
  close(): void {
    this.#waiting.close();
  }

  /**
   * Whether a waiting command needs nothing but the connection to the primary. This is so if the connection is closed or refused,
   * or if it is down and no Sentinel or cluster node could name another primary.
   */
  get #isUpToConnection(): boolean {
    const { primary, isHandedOver, options } = this.#members;
    const { connection } = primary;
    if (connection.closed || connection.refuses) return true;
    return !connection.ready && !this.isDemoted && isHandedOver && !options.hasArbiter;
  }

  #whenConnected(command: string, start: WhenReady, since: number): void {
    const { primary } = this.#members;
    this.#monitor.searchUntilAnswered();
    const settle = (error?: Error): void => {
      if (this.#members.primary === primary) start(error);
      else this.whenReady(command, start, false, since);
    };
    primary.connection.whenReady(settle, { command, since });
  }

  #waitForPrimary(command: string, start: WhenReady, isReturned: boolean, since: number): void {
    this.#members.primary.connection.connectIfLazy();
    this.#monitor.searchUntilAnswered();
    const attempt = (): boolean => {
      const refusal = this.#refusalSince(since);
      if (this.isReady) start();
      else if (this.#isUpToConnection) this.#whenConnected(command, start, since);
      else if (refusal !== undefined) start(refusal);
      else return false;
      return true;
    };
    const until = (): number =>
      this.#members.isHandedOver ? this.#patienceOf(since) : Number.POSITIVE_INFINITY;
    this.#waiting.add({
      attempt,
      giveUp: () => start(this.#absence(command)),
      isReturned,
      // Another primary may be named during the wait. It takes commands only once the former primary has answered everything or was
      // given up.
      get until() {
        return until();
      },
    });
  }

  /** Until when a command may wait that was given at `since`. */
  #patienceOf(since: number): number {
    const { primary, primarySince, options } = this.#members;
    const { ready, server, downSince } = primary.connection;
    const { isDemoted } = this;
    if (isDemoted && !options.hasArbiter)
      return since + Math.min(handOverPatienceMs, options.primaryTimeoutMs);
    if (server.maxRetriesPerRequest === null) return Number.POSITIVE_INFINITY;
    const latest = since + options.primaryTimeoutMs;
    if (isDemoted) return Math.min(latest, since + promotionPatienceMs);
    if (ready || !options.hasArbiter) return latest;
    // After the primary was lost, the wait is short, because the loss is known then. It is also short after another primary was
    // named, because the new primary closed all its connections when it was promoted.
    return Math.min(latest, Math.max(downSince, primarySince) + promotionPatienceMs);
  }

  /** The error with which the primary has refused a handshake at `since` or later. */
  #refusalSince(since: number): Error | undefined {
    const { refusal } = this.#members.primary.connection;
    return refusal !== undefined && refusal.at >= since ? refusal.error : undefined;
  }

  #absence(command: string): Error {
    const { connection } = this.#members.primary;
    if (this.isDemoted && !connection.closed)
      return new NotPrimaryError(command.toUpperCase(), connection.address, this.rightfulPrimary);
    return connection.absence(command);
  }
}

/** The server that a server with this INFO replicates from, for people to read. */
export function upstreamOf(text = ""): string {
  const upstream = parseUpstream(text);
  return upstream === undefined
    ? "another server"
    : `${upstream.host}:${upstream.port}`.slice(0, longestName);
}
