/** Defines `Tidemark`, the entry point: it turns options into connections and sessions. */
import { inspect } from "node:util";
import type { Redis, RedisOptions } from "ioredis";
import { ClusterDuplicate } from "./client/cluster-duplicate.js";
import { duplicatePrimaryClient, namesServer } from "./client/primary-client.js";
import { type ConnectionLifecycle, lifecycleEvents, RoutedRedis } from "./client/redis-client.js";
import { RuledKeys } from "./commands/touched-keys.js";
import { longestTimerMs } from "./connection/offline-queue.js";
import type { Consistency, ResolvedReadPolicy } from "./consistency/read-policy.js";
import type { WriteConcern } from "./consistency/write-concern.js";
import type { Mode } from "./diagnostics/channels.js";
import { Counts } from "./diagnostics/counts.js";
import type { ShownLimits } from "./diagnostics/metrics.js";
import { prometheusText } from "./diagnostics/prometheus.js";
import { ScopeProposal } from "./diagnostics/scope-proposal.js";
import { Statistics, type TidemarkStats } from "./diagnostics/statistics.js";
import { InvalidOptionError } from "./errors/errors.js";
import { refuseUnknown } from "./errors/option-names.js";
import { Instance } from "./instances.js";
import type { Node } from "./node/node.js";
import { checkOptions, type ResolvedOptions, type TidemarkOptions } from "./options/options.js";
import type { Servers } from "./options/server-options.js";
import { LostWrites } from "./reads/lost-writes.js";
import { Lineage } from "./replication/lineage.js";
import type { Position } from "./replication/position.js";
import { AutomaticStop } from "./rollout/automatic-stop.js";
import { Rollout } from "./rollout/rollout.js";
import { Router } from "./routing/router.js";
import { asyncLocalStorage, type Context } from "./session/context.js";
import { requestsOf } from "./session/open-requests.js";
import { Session, type SessionClient, type SessionHost, type SessionSampler } from "./session/session.js";
import { type SessionOptions, SessionSetup } from "./session/session-setup.js";
import type { ShadowReport } from "./shadow/report.js";
import { Shadow } from "./shadow/shadow.js";
import { PrimaryDependents } from "./shard/primary-dependents.js";
import type { Shard } from "./shard/shard.js";
import { ClusterTopology } from "./topology/cluster.js";
import { discoveredTopology } from "./topology/discovered.js";
import { type Health, healthOf } from "./topology/health.js";
import { PrimaryOutages } from "./topology/primary-outages.js";
import { SentinelTopology } from "./topology/sentinel.js";
import { StateChanges } from "./topology/state-changes.js";
import { type NodeStatus, statusOf } from "./topology/status.js";
import { staticTopology, type Topology, type TopologyContext } from "./topology/topology.js";

/** How long to wait for the servers. */
export interface ReadyOptions {
  /** In milliseconds. Default 10000. */
  readonly timeoutMs?: number;
}

/** How long closing may take. */
export interface CloseOptions {
  /** In milliseconds. Default 10000. With 0 everything ends at once. */
  readonly timeoutMs?: number;
}

const readyTimeoutMs = 10_000;
const closeTimeoutMs = 10_000;
/** How often closing checks whether everything is answered. */
const lookMs = 5;

/** Connections to one primary and its replicas, and the sessions that read and write through them. */
export class Tidemark implements AsyncDisposable {
  /**
   * The client that follows the session of the current request through `await`. Outside of a session it reads from the primary.
   */
  readonly redis: SessionClient;
  /** How long a token stays valid, in milliseconds. */
  readonly tokenTtlMs: number;
  readonly #topology: Topology;
  readonly #dependents = new PrimaryDependents(() => this.#topology.shards);
  /** The duplicates of this Tidemark's client in a cluster that are not closed. */
  readonly #duplicates = new Set<ClusterDuplicate>();
  readonly #outages = new PrimaryOutages();
  readonly #stateChanges: StateChanges;
  readonly #counts = new Counts(this);
  /** The limits beyond which a replica answers no reads: the options `maxStalenessMs` and `maxClockSkewMs`. */
  readonly limits: ShownLimits;
  readonly #losses: LostWrites;
  readonly #router: Router;
  readonly #context: Context;
  readonly #base: RoutedRedis;
  readonly #instance: Instance;
  readonly #rollout: Rollout;
  readonly #stop: AutomaticStop | undefined;
  readonly #shadow: Shadow;
  /** Resolves when all work that began before closing is over, or when a caller has cut the wait short. */
  #closing: Promise<void> | undefined;
  #cutShort: () => void = () => {};
  #isClosed = false;
  #timesEnded = 0;
  /** Why each shard without a primary had none at the latest close. */
  readonly #absences = new Map<Shard, Error>();
  readonly #host: TidemarkHost;

  /** Connects at once. Throws an `InvalidOptionError` if an option cannot be used. */
  constructor(options: TidemarkOptions) {
    const checked = checkOptions(options);
    this.tokenTtlMs = checked.tokenTtlMs;
    this.#losses = new LostWrites(this.#counts, checked.onLostWrite);
    this.#stateChanges = new StateChanges(this, () => this.#topology.shards, this.#outages);
    let base: RoutedRedis | undefined;
    // A server can be there before the client is. The client learns of such a server once the client exists.
    const clients = (): RoutedRedis[] => (base === undefined ? [] : [base, ...this.#duplicates]);
    const isPrimary = (node: Node): boolean => this.#topology.shards.some(({ primary }) => primary === node);
    const outages = this.#outages;
    const joined = (node: Node): void => {
      const { connection } = node;
      const { redis } = connection;
      connection.watchAttempts((succeeded) => {
        const isHeard = base === undefined || base.listenerCount("error") > 0;
        if (succeeded) outages.reached(connection.address);
        else if (!isHeard && isPrimary(node)) outages.failed(connection.address, connection.fault);
      });
      for (const event of lifecycleEvents)
        redis.on(event, (...args) => {
          for (const client of clients()) client.heard(redis, event, args);
        });
      for (const event of ["ready", "close"]) redis.on(event, () => this.#stateChanges.notice());
    };
    this.#topology = openTopology(checked.servers, {
      options: checked,
      counts: this.#counts,
      lineage: new Lineage(),
      joined,
      outages,
      left: (node) => {
        if (!isPrimary(node)) outages.replaced(node.connection.address);
        for (const client of clients()) client.moved();
        this.#dependents.left(node);
        this.#stateChanges.notice();
      },
    });
    this.#rollout = new Rollout(this, checked.mode, checked.rollout);
    if (checked.stopWhen !== undefined)
      this.#stop = new AutomaticStop(this.#rollout, checked.stopWhen, () => this.#counts.routableReads);
    const { shadowSample: sample, maxStalenessMs, maxClockSkewMs } = checked;
    this.#shadow = new Shadow(this.#rollout, { sample, maxStalenessMs });
    const observers = { outcomes: this.#stop, observer: this.#shadow };
    this.#router = new Router(this.#topology, this.#dependents, this.#losses, checked, observers);
    this.#context = checked.context ?? asyncLocalStorage();
    const lifecycle: ConnectionLifecycle = {
      connect: () => this.#connect(),
      primary: () => this.#topology.shards[0]?.primary.connection,
      sourceOf: (shard) => ({
        dependents: this.#dependents,
        shard: () =>
          shard !== undefined && this.#topology.shards.includes(shard) ? shard : this.#topology.shards[0],
        known: () => this.#router.known(checked.primaryTimeoutMs),
      }),
      timeoutMs:
        checked.redis.maxRetriesPerRequest === null ? Number.POSITIVE_INFINITY : checked.primaryTimeoutMs,
      whenPrimary: (command, start) => this.#router.whenPrimary(command, start),
      shardOf: (command) => this.#topology.shardOf(command),
      redirect: this.#topology.redirect?.bind(this.#topology),
      reconnect: () => {
        for (const { primary } of this.#topology.shards) primary.connection.reconnect();
      },
      quit: () => this.#quit(),
      close: () => this.#end(),
      duplicate: (from, override) => this.#duplicate(from, override, checked, lifecycle),
    };
    base = new RoutedRedis(checked.redis, this.#router, this.#context, lifecycle);
    this.#base = base;
    this.redis = base;
    this.#instance = new Instance(this, checked.servers);
    this.#instance.begin();
    this.#host = new TidemarkHost(checked, this.#counts, this.#router, base, this.#rollout, this.#shadow);
    this.limits = { maxStalenessMs, maxClockSkewMs };
    this.#stateChanges.open();
    this.#stop?.open();
  }

  /**
   * Resolves when every primary, or the server that takes its place, can be reached. After `timeoutMs` (default 10000, `Infinity`
   * for no limit) the promise rejects with a `NoPrimaryError` that names the cause. If the server refuses the connection, for
   * example with WRONGPASS, the promise rejects at once with the server's own error. You do not need to call this before
   * commands, because commands wait by themselves.
   */
  async ready(options: ReadyOptions = {}): Promise<void> {
    refuseUnknown("ready", options, ["timeoutMs"]);
    const { timeoutMs = readyTimeoutMs } = options;
    if (typeof timeoutMs !== "number" || !(timeoutMs > 0))
      throw new InvalidOptionError("timeoutMs", timeoutMs, "Pass a number of milliseconds above 0");
    const until = performance.now() + timeoutMs;
    await this.#router.known(timeoutMs);
    const { shards } = this.#topology;
    await Promise.all(
      shards.map((shard) => shard.availability.whenConnectedWithin("ready()", until - performance.now())),
    );
  }

  /**
   * A new session. To make it the session of everything called inside a function, use `tidemark.run`. Throws an
   * `InvalidOptionError` if an option cannot be used.
   */
  session(options: SessionOptions = {}): Session {
    return new Session(this.#host, SessionSetup.of(options));
  }

  /**
   * What this `Tidemark` does with the commands of sessions. You may set it at any time, also for sessions that are open. No user
   * misses their own writes because of it, and no command fails. Throws an `InvalidOptionError` for an unknown mode.
   */
  get mode(): Mode {
    return this.#rollout.mode;
  }

  set mode(mode: Mode) {
    this.#rollout.setMode(mode);
  }

  /** What the mode `"shadow"` has measured: `tidemark.shadow.report()` is an object, and as a text it is a table. */
  get shadow(): { report(): ShadowReport } {
    return this.#shadow;
  }

  /**
   * The share of the users whose reads replicas may answer while the mode is `"live"`, from 0 to 1. You may set it at any time, like
   * {@link mode}. Throws an `InvalidOptionError` if it is not a number from 0 to 1.
   */
  get rollout(): number {
    return this.#rollout.share;
  }

  set rollout(share: number) {
    this.#rollout.setShare(share);
  }

  /**
   * Calls `fn` with `session` as the session of `tidemark.redis`. Everything that `fn` starts uses the same session. Throws an
   * `InvalidOptionError` if `session` is not a session or `fn` is not a function.
   */
  run<R>(session: Session, fn: () => R): R {
    if (!(session instanceof Session) || typeof fn !== "function") {
      throw new InvalidOptionError("run", session, "Call tidemark.run(tidemark.session(), () => …)");
    }
    // Hooks of a framework may run one after another in the same session, and entering it again takes time on Node 20.
    return this.#context.get() === session ? fn() : this.#context.run(session, fn);
  }

  /** The servers: role, position, state and lag of each, and whether it may answer reads or why it may not. */
  topology(): readonly NodeStatus[] {
    return this.#topology.shards.flatMap(statusOf);
  }

  /**
   * Whether this `Tidemark` works now, for load balancers and Kubernetes. The result is what is known at once. Each call also asks the
   * servers that were not asked for a second, so the next call knows more. A replica never makes the result not ready, because the
   * primary can answer every read.
   */
  health(): Health {
    return healthOf(this.#topology.shards);
  }

  /** What this `Tidemark` has counted in this process since it was made. */
  stats(): TidemarkStats {
    const { mode, rollout } = this;
    const stopped = this.#stop?.count ?? 0;
    return {
      ...this.#host.statistics.now,
      rollout: { mode, share: rollout, stopped, recent: this.#stop?.recent },
    };
  }

  /**
   * The statistics and the states of the servers in the text format of Prometheus. Answer a scrape with it, and with the content type
   * `text/plain; version=0.0.4; charset=utf-8`. The labels name servers, roles, reasons and levels, but no keys, users or tokens.
   */
  prometheus(): string {
    const { mode, rollout, limits } = this;
    return prometheusText({ mode, rollout, limits, stats: this.stats(), nodes: this.topology() });
  }

  /**
   * Ends all connections once all work that was begun is over: first the requests that have a session, then the commands that
   * were given. Requests may give further commands, and so may requests that arrive meanwhile. Once no request is open, new
   * commands are rejected with a `ClosedError`. After `timeoutMs` (default 10000, `Infinity` for no limit) everything that is
   * left ends. Waiting commands are then rejected at once, and commands in flight after one more second. With 0 it does not wait.
   *
   * All calls of `close()` and `quit()` share one close, and the shortest of their timeouts applies to all of them. Rejects with
   * an `InvalidOptionError` if `timeoutMs` is not valid.
   *
   * Call `close()` at the same time as `server.close()`. A request handler must not await `close()`, because `close()` waits for
   * the handler.
   */
  async close(options: CloseOptions = {}): Promise<void> {
    refuseUnknown("close", options, ["timeoutMs"]);
    const { timeoutMs = closeTimeoutMs } = options;
    if (typeof timeoutMs !== "number" || !(timeoutMs >= 0))
      throw new InvalidOptionError("timeoutMs", timeoutMs, "Pass a number of milliseconds, 0 or more");
    if (timeoutMs > 0) await this.#endWithin(timeoutMs);
    else this.#end();
  }

  #duplicate(
    from: RedisOptions,
    override: Partial<RedisOptions>,
    options: ResolvedOptions,
    lifecycle: ConnectionLifecycle,
  ): Redis {
    if (lifecycle.redirect === undefined || namesServer(override))
      return duplicatePrimaryClient(from, override, lifecycle.sourceOf());
    const observers = { outcomes: this.#stop, observer: this.#shadow };
    const router = new Router(this.#topology, this.#dependents, this.#losses, options, observers);
    const duplicate = new ClusterDuplicate({ ...from, ...override }, router, lifecycle, (ended) => {
      this.#duplicates.delete(ended);
    });
    this.#duplicates.add(duplicate);
    return duplicate;
  }

  async #connect(): Promise<void> {
    this.#closing = undefined;
    this.#isClosed = false;
    this.#instance.begin();
    requestsOf(this).reopen();
    this.#base.accept();
    this.#topology.open();
    this.#stateChanges.open();
    this.#stop?.open();
    this.#router.open();
    this.#base.subscriber.open();
    if (this.#topology.shards.length === 0) {
      await this.ready();
      return;
    }
    const primaries = this.#topology.shards.map(({ primary }) => primary.connection.open());
    for (const { replicas } of this.#topology.shards) {
      for (const { connection } of replicas) connection.open().catch(() => {});
    }
    await Promise.all(primaries);
  }

  /** Closes like `close()`. Rejects if commands are left for which there is no primary. */
  async #quit(): Promise<void> {
    if (this.#isClosed) return;
    const busy = this.#topology.shards.filter(({ isBusy }) => isBusy);
    await this.#endWithin(closeTimeoutMs);
    for (const shard of busy) {
      const absence = this.#absences.get(shard);
      if (absence !== undefined) throw absence;
    }
  }

  /**
   * Ends everything when all work that was begun is over, at the latest after `timeoutMs`. Also resolves if another caller ends
   * it.
   */
  async #endWithin(timeoutMs: number): Promise<void> {
    if (this.#isClosed) return;
    const times = this.#timesEnded;
    let deadline: NodeJS.Timeout | undefined;
    const late = new Promise((resolve) => {
      deadline = setTimeout(resolve, Math.min(timeoutMs, longestTimerMs));
    });
    this.#closing ??= new Promise((resolve) => {
      this.#cutShort = resolve;
      this.#finish(timeoutMs).then(resolve);
    });
    await Promise.race([this.#closing, late]);
    clearTimeout(deadline);
    if (this.#timesEnded === times) this.#end();
  }

  async #finish(timeoutMs: number): Promise<void> {
    const times = this.#timesEnded;
    const isCutShort = (): boolean => this.#timesEnded !== times;
    await requestsOf(this).over();
    if (isCutShort()) return;
    this.#base.refuse();
    this.#base.subscriber.close();
    do {
      await new Promise((resolve) => setTimeout(resolve, this.#router.isBusyFor(timeoutMs) ? lookMs : 0));
    } while (!isCutShort() && this.#router.isBusyFor(timeoutMs));
  }

  #end(): void {
    if (!this.#isClosed) this.#noteAbsences();
    this.#isClosed = true;
    this.#timesEnded += 1;
    this.#cutShort();
    requestsOf(this).close();
    this.#instance.end();
    this.#router.close();
    this.#base.subscriber.close();
    this.#stateChanges.close();
    this.#stop?.close();
    this.#topology.close();
  }

  /** Keeps facts about connections that are lost once they are closed. */
  #noteAbsences(): void {
    this.#absences.clear();
    for (const shard of this.#topology.shards)
      if (!shard.isPrimaryReady) this.#absences.set(shard, shard.primary.connection.absence("quit"));
  }

  /** How many losses of writes in a failover this process has found. `tidemark:lost-write` reports each of them. */
  get lostWrites(): number {
    return this.#counts.lostWrites;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Shows only the servers, because logs of messages must not contain passwords. */
  toJSON(): { readonly servers: readonly string[] } {
    return { servers: this.topology().map(({ role, address }) => `${role} ${address}`) };
  }

  [inspect.custom](): string {
    return `Tidemark ${inspect(this.toJSON())}`;
  }
}

/** What the sessions of one `Tidemark` share. */
class TidemarkHost implements SessionHost {
  readonly ttlMs: number;
  readonly monotonicReads: boolean;
  readonly keys: RuledKeys;
  readonly maxKeys: number;
  readonly recordReads: number;
  readonly statistics: Statistics;
  readonly rollout: Rollout;
  readonly sampler: SessionSampler;
  readonly #router: Router;
  readonly #client: RoutedRedis;

  constructor(
    options: ResolvedOptions,
    counts: Counts,
    router: Router,
    client: RoutedRedis,
    rollout: Rollout,
    sampler: SessionSampler,
  ) {
    this.rollout = rollout;
    this.sampler = sampler;
    this.ttlMs = options.tokenTtlMs;
    this.monotonicReads = options.monotonicReads;
    this.keys = new RuledKeys(options.keyRules);
    this.maxKeys = options.keysPerToken;
    this.recordReads = options.recordReads;
    this.statistics = new Statistics(counts, options.keyPrefixes, new ScopeProposal(options.keyPrefixes));
    this.#router = router;
    this.#client = client;
  }

  policyOf(level: Consistency): ResolvedReadPolicy {
    return this.#router.policies.of(level);
  }

  clientFor(session: Session): SessionClient {
    return this.#client.forSession(session);
  }

  anchor(session: Session): Promise<void> | undefined {
    return this.#router.reads.anchor(session);
  }

  replicate(
    shard: object | undefined,
    position: Position | undefined,
    wanted: WriteConcern,
  ): Promise<number> {
    return this.#router.acks.wait(shard, position, wanted);
  }
}

function openTopology(servers: Servers, ground: TopologyContext): Topology {
  if (servers.kind === "static") return staticTopology(servers, ground);
  if (servers.kind === "discovered") return discoveredTopology(servers.primary, ground);
  if (servers.kind === "sentinel") return new SentinelTopology(servers, ground);
  return new ClusterTopology(servers, ground);
}
