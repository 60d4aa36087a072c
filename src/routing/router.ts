/** Routes each command to the code that sends its kind. */
import type { Command, RedisOptions } from "ioredis";
import { type CommandKind, kindOf, refusalError, transactionError } from "../commands/command-kind.js";
import { ReadPolicyCache, type ResolvedReadPolicy } from "../consistency/read-policy.js";
import { ClosedError } from "../errors/errors.js";
import type { LostWrites } from "../reads/lost-writes.js";
import { ReadRequest } from "../reads/read.js";
import type { ReadObserver } from "../reads/read-observer.js";
import { ReadRouter, type ReadRouterOptions } from "../reads/read-router.js";
import { cursorOf, iterationLostError, ScanCursors, ScanIteration } from "../reads/scan.js";
import type { WriteHandle } from "../replication/write-outcome.js";
import type { CommandOutcomes } from "../rollout/timed-command.js";
import type { Session } from "../session/session.js";
import type { PrimaryDependents } from "../shard/primary-dependents.js";
import type { Shard } from "../shard/shard.js";
import type { Topology } from "../topology/topology.js";
import { ClusterRedirects, type Confirm, type Redirect } from "./cluster-redirects.js";
import { ConnectionPool } from "./connection-pool.js";
import { DedicatedConnection } from "./dedicated-connection.js";
import { type Batch, batchKinds, retryUnits, sendBatch } from "./pipeline.js";
import { ReplicaAcks } from "./replica-acks.js";
import { ShardResolver } from "./shard-resolver.js";
import { sendAsking, sendOutsideSession, sendWithoutPosition, sendWrite } from "./write.js";

/** The options that decide how commands are routed. */
export interface RouterOptions extends ReadRouterOptions {
  readonly redis: RedisOptions;
  readonly recordReads: number;
}

/** Those who look at commands and do not change them. */
export interface RouterObservers {
  readonly outcomes?: CommandOutcomes | undefined;
  readonly observer?: ReadObserver | undefined;
}

/** How long commands wait for the first report of which servers there are, in milliseconds. */
const shardsKnownMs = 1_000;

export class Router {
  readonly policies: ReadPolicyCache;
  /** Whether sessions keep records of their reads. */
  readonly keepsReads: boolean;
  /** Receives how the commands of sessions end, if a rule may stop the rollout. */
  readonly outcomes: CommandOutcomes | undefined;
  readonly #topology: Pick<Topology, "shards">;
  /** Holds the commands that are given before the servers are known. */
  readonly #shardResolver: ShardResolver;
  /** Set if data is spread over shards. */
  readonly #redirect: Redirect | undefined;
  readonly #confirm: Confirm;
  readonly #redirects: ClusterRedirects | undefined;
  readonly reads: ReadRouter;
  readonly acks: ReplicaAcks;
  readonly #always: boolean;
  /** The cursors that were given out, separate for each session. */
  readonly #cursors = new WeakMap<Session | Router, ScanCursors>();
  readonly pool: ConnectionPool;
  /** The transactions that sessions have begun by hand. */
  readonly #dedicatedConnections = new WeakMap<Session, DedicatedConnection>();

  constructor(
    topology: Topology,
    dependents: PrimaryDependents,
    losses: LostWrites,
    options: RouterOptions,
    { outcomes, observer }: RouterObservers = {},
  ) {
    this.outcomes = outcomes;
    this.#topology = topology;
    this.pool = new ConnectionPool(dependents);
    this.policies = new ReadPolicyCache(options);
    this.keepsReads = options.recordReads > 0;
    const isEndless = options.redis.maxRetriesPerRequest === null;
    this.#shardResolver = new ShardResolver(topology, isEndless ? Number.POSITIVE_INFINITY : shardsKnownMs);
    this.#redirect = topology.redirect?.bind(topology);
    this.#confirm = async (...script) => topology.confirm?.(...script);
    this.#redirects =
      this.#redirect &&
      new ClusterRedirects(this.#redirect, this.#confirm, (command) => topology.settled?.(command));
    this.#always = options.verify === "always";
    this.reads = new ReadRouter(options, topology, losses, observer);
    this.acks = new ReplicaAcks(this.pool, topology);
  }

  /** Resolves when the servers are known. */
  readonly known = (timeoutMs: number): Promise<void> => this.#shardResolver.known(timeoutMs);

  /** Calls `start` when there is a primary for `command`. Rejects `command` if there is none in time. */
  whenPrimary(command: Command, start: () => void): void {
    const shard = this.#shardResolver.shardOf(command);
    if (shard === undefined)
      this.#shardResolver.add([command], ["lookup"], undefined, () => this.whenPrimary(command, start));
    else shard.availability.whenReady(command.name, (error) => (error ? command.reject(error) : start()));
  }

  /** Makes the router accept commands again after it was closed. */
  open(): void {
    this.#shardResolver.open();
    this.pool.open();
  }

  /** Whether commands are in flight or waiting. Commands that block for longer than `ms` milliseconds do not count. */
  isBusyFor(ms: number): boolean {
    if (!this.#shardResolver.isEmpty || this.#redirects?.isEmpty === false) return true;
    return this.#topology.shards.some(({ isBusy }) => isBusy) || this.pool.isBusyFor(ms);
  }

  /** Resolves when all commands on lent connections are answered. */
  drained(): Promise<void> {
    return this.pool.drained();
  }

  /** Ends the commands that still wait, and the lent connections. */
  close(): void {
    this.#shardResolver.close();
    this.pool.close();
  }

  /**
   * Sends `command` to a server that its session and read policy allow. `iteration` is set for a step of a stream's iteration.
   * `isReleased` is true for a command that has waited for others on its keys.
   */
  route(
    command: Command,
    session: Session | undefined,
    policy: ResolvedReadPolicy,
    iteration?: ScanIteration,
    isReleased = false,
  ): void {
    const kind = kindOf(command, false);
    const again = (released?: true): void => this.route(command, session, policy, iteration, released);
    if (!isReleased && this.#holds([command], session, again)) return;
    const shard = iteration?.shard ?? this.#shardResolver.shardOf(command);
    if (shard === undefined) {
      this.#shardResolver.add([command], [kind], session, again);
      return;
    }
    this.#attend(command, kind, session, policy);
    this.#send(shard, command, kind, session, policy, iteration);
  }

  /**
   * Sends a pipeline or transaction as a whole, or sends each shard its part of a pipeline. The whole, or each part, goes to one
   * replica if it consists of reads only, and otherwise to the primary. If one command is refused, all are rejected and none is
   * sent.
   */
  routeBatch(
    commands: readonly Command[],
    session: Session | undefined,
    policy: ResolvedReadPolicy,
    isReleased = false,
  ): void {
    const again = (released?: true): void => this.routeBatch(commands, session, policy, released);
    if (!isReleased && this.#holds(commands, session, again)) return;
    const parts = this.#shardResolver.partsOf(commands);
    if (parts === undefined) {
      this.#shardResolver.add(commands, batchKinds(commands), session, again);
      return;
    }
    const batches = parts.map(([shard, part]): Batch => {
      return { shard, commands: part, kinds: batchKinds(part), session, policy };
    });
    const error = this.#objection(batches);
    if (error) for (const command of commands) command.reject(error);
    else for (const batch of batches) this.#sendPart(batch);
  }

  /**
   * Whether commands have to wait because the cluster has redirected others on the same keys. If so, `again` routes the commands
   * later.
   */
  #holds(
    commands: readonly Command[],
    session: Session | undefined,
    again: (isReleased: true) => void,
  ): boolean {
    if (this.#redirects === undefined) return false;
    let handle: WriteHandle | undefined;
    // Later commands on the same keys are still in the queue, so these commands must not be checked against the queue again.
    const go = (): void => {
      again(true);
      handle?.end("not-sent");
    };
    if (!this.#redirects.holds(commands, session ?? this, go)) return false;
    const kinds = batchKinds(commands);
    // The commands count as in flight until they are sent, so that later commands of their session stay behind them.
    handle = session?.writerOf(commands, kinds)?.beginWrite();
    return true;
  }

  #sendPart(batch: Batch): void {
    const redirects = this.#redirects;
    if (redirects !== undefined && !batch.kinds.includes("transactional"))
      for (const unit of retryUnits(batch)) this.#attendUnit(redirects, unit);
    this.#sendBatch(batch);
  }

  #attendUnit(redirects: ClusterRedirects, unit: Batch): void {
    const { commands, kinds, session, policy } = unit;
    // Keys that are watched for a transaction are watched on one connection only.
    if (commands.length === 1 || (session !== undefined && this.#dedicatedConnections.has(session))) {
      for (const [index, command] of commands.entries())
        this.#attend(command, kinds[index] ?? "write", session, policy);
      return;
    }
    const writer = session?.writerOf(commands, kinds);
    // Replicas may still have the keys of the unit as they were when the keys left. Later reads must not see such old data, so
    // `sendBatch` treats the answer of the transaction as a read by the session.
    const send = (asked?: Shard): void => {
      const [[shard] = [unit.shard]] = this.#shardResolver.partsOf(commands) ?? [];
      const isAsked = asked !== undefined;
      sendBatch({ ...unit, shard: asked ?? shard, isAsked, isReturned: true }, this.#always);
    };
    redirects.attendTransaction({ commands, owner: session ?? this, writer, send });
  }

  #sendBatch(batch: Batch): void {
    const { shard, commands, kinds, session, policy } = batch;
    const open = session && this.#dedicatedConnections.get(session);
    const goesOn = open?.takes(commands[0]?.name ?? "") === true;
    if (goesOn || kinds.includes("blocking") || kinds.includes("transactional")) this.#sendDedicated(batch);
    else if (!kinds.every((kind) => kind === "read")) sendBatch(batch, this.#always);
    else {
      const given = commands.map((command) => new ReadRequest(shard, command, policy));
      this.reads.sendAll(given, session);
    }
  }

  #send(
    shard: Shard,
    command: Command,
    kind: CommandKind,
    session: Session | undefined,
    policy: ResolvedReadPolicy,
    iteration?: ScanIteration,
    isReturned = false,
  ): void {
    if (kind === "refused") command.reject(refusalError(command));
    else if (kind === "scan" && iteration !== undefined)
      this.#scan(shard, command, session, policy, iteration);
    // A command that comes back was given before the transaction began.
    else if (
      !isReturned &&
      session &&
      this.#dedicatedConnections.get(session)?.send(command, kind, policy.level)
    )
      return;
    else if (kind === "write" && session?.tracks(command)) {
      const send = session.needsPositions ? sendWrite : sendWithoutPosition;
      send(shard, command, session, policy.level, isReturned);
    } else if (kind === "write") {
      if (!isReturned) session?.statistics.countUntracked(1);
      sendOutsideSession(shard, command, policy.level, isReturned);
    } else if (kind === "read" && isReturned && (session === undefined || session.writing)) {
      const reason = session === undefined ? "no-session" : "write-in-flight";
      this.reads.sendToPrimary(new ReadRequest(shard, command, policy), session, reason, undefined, true);
    } else if (kind === "read") this.reads.send(new ReadRequest(shard, command, policy), session);
    else if (kind === "scan") this.#scan(shard, command, session, policy);
    else if (kind === "lookup")
      this.reads.sendToPrimary(
        new ReadRequest(shard, command, policy),
        session,
        "not-a-read",
        undefined,
        isReturned,
      );
    else {
      const isSpread = this.#redirects !== undefined;
      const error = kind === "transactional" && transactionError(command, session !== undefined, isSpread);
      if (error) command.reject(error);
      else this.#sendDedicated({ shard, commands: [command], kinds: [kind], session, policy });
    }
  }

  /**
   * Makes `command` follow the redirections of a cluster, unless it depends on one connection, such as a command of a transaction.
   */
  #attend(
    command: Command,
    kind: CommandKind,
    session: Session | undefined,
    policy: ResolvedReadPolicy,
  ): void {
    const redirects = this.#redirects;
    if (redirects === undefined || kind === "refused") return;
    const isBound = session !== undefined && this.#dedicatedConnections.has(session);
    if (isBound || kind === "transactional" || kind === "scan") {
      redirects.learnFrom(command);
      return;
    }
    const writer = session?.writerOf([command], [kind]);
    const isRead = kind === "read" || kind === "lookup";
    const send = (asked?: Shard): void => {
      const shard = this.#shardResolver.shardOf(command);
      // Replicas may still have a key as it was when the key left, and later reads must not see such old data.
      if (asked !== undefined && shard !== undefined && session !== undefined)
        session.progressIn(shard, session.touchedBy(command)).readAhead(performance.now());
      if (asked !== undefined) sendAsking(asked, command, writer, policy.level);
      else if (shard !== undefined) this.#send(shard, command, kind, session, policy, undefined, true);
      else command.reject(new ClosedError());
    };
    redirects.attend({ command, commands: [command], isRead, owner: session ?? this, writer, send });
  }

  /** Why a batch cannot be sent. Undefined if it can. */
  #objection(batches: readonly Batch[]): Error | undefined {
    for (const { shard, commands, kinds, session } of batches) {
      for (const [index, command] of commands.entries()) {
        const kind = kinds[index];
        if (kind === "refused") return refusalError(command);
        if (kind === "transactional" && session === undefined) return transactionError(command, false, false);
        if (kind !== "scan") continue;
        const iteration = this.#follow(shard, command, session);
        const { node } = iteration;
        if (node !== undefined && (iteration.isLost || node !== shard.primary || shard.isPrimaryDemoted))
          return iterationLostError(command, iteration);
      }
    }
    return undefined;
  }

  #scan(
    shard: Shard,
    command: Command,
    session: Session | undefined,
    policy: ResolvedReadPolicy,
    streamed?: ScanIteration,
  ): void {
    const iteration = streamed ?? this.#follow(shard, command, session);
    iteration.shard ??= shard;
    const given = new ReadRequest(iteration.shard, command, policy, iteration);
    if (iteration.node !== undefined) this.reads.resume(given, iteration, session);
    else if (streamed !== undefined && session !== undefined) this.reads.send(given, session);
    else this.reads.sendToPrimary(given, session, "not-a-read", cursorOf(command) === "0" ? undefined : 0);
  }

  /** The iteration that a plain SCAN is a step of. The app may use its cursors anywhere, so they are cursors of the primary. */
  #follow(shard: Shard, command: Command, session: Session | undefined): ScanIteration {
    const owner = session ?? this;
    const cursors = this.#cursors.get(owner) ?? new ScanCursors();
    this.#cursors.set(owner, cursors);
    const iteration = cursors.find(command) ?? new ScanIteration();
    cursors.track(command, shard, iteration);
    return iteration;
  }

  /** Sends commands over a dedicated connection. A session keeps that connection while it is in a transaction. */
  #sendDedicated(batch: Batch): void {
    const { shard, commands, kinds, session, policy } = batch;
    let current = session && this.#dedicatedConnections.get(session);
    shard.monitor.probePrimary(performance.now(), false);
    for (const [index, command] of commands.entries()) {
      const kind = kinds[index] ?? "write";
      if (current?.send(command, kind, policy.level)) continue;
      current = this.#begin(shard, kinds.includes("transactional") ? session : undefined, session);
      current.send(command, kind, policy.level);
    }
  }

  #begin(shard: Shard, keeper: Session | undefined, session: Session | undefined): DedicatedConnection {
    const redirect = this.#redirect;
    const follow =
      redirect &&
      ((error: Error, command: Command, again: (shard?: Shard) => void): boolean =>
        redirect(error, () => again(this.#shardResolver.shardOf(command))));
    // A command on a dedicated connection could overtake earlier writes on the shared one.
    const isBehindWrites = session?.writing === true;
    const redirects = this.#redirects;
    const holds =
      redirects &&
      ((commands: readonly Command[], isReleased: boolean, go: () => void): boolean =>
        isReleased
          ? redirects.holdsBack(commands, session ?? this, go)
          : redirects.holds(commands, session ?? this, go));
    const confirm =
      redirect && ((script: Command, server: RedisOptions) => this.#confirm(script, server, false));
    const owner = { session, isKept: keeper !== undefined, isBehindWrites, holds, follow, confirm };
    const dedicated = new DedicatedConnection(this.pool, shard, owner, () => {
      if (keeper !== undefined && this.#dedicatedConnections.get(keeper) === dedicated)
        this.#dedicatedConnections.delete(keeper);
    });
    if (keeper !== undefined) this.#dedicatedConnections.set(keeper, dedicated);
    return dedicated;
  }
}
