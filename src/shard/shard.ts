/** A primary and its replicas, and what their own words prove about how far each has come. */
import type { RedisOptions } from "ioredis";
import { absenceMs } from "../connection/connection.js";
import type { NodeReport } from "../node/incarnation.js";
import type { Node } from "../node/node.js";
import type { Lineage, Presence } from "../replication/lineage.js";
import { OffsetTimeline } from "../replication/offset-timeline.js";
import type { Position } from "../replication/position.js";
import { CatchUpQueue } from "./catch-up-queue.js";
import { ImpossibleOffsets } from "./impossible-offset.js";
import { LagWatch } from "./lag-watch.js";
import { ShardMembers } from "./members.js";
import { Promotion } from "./promotion.js";
import { monitorReplicas } from "./replica-monitor.js";
import type { ShardLimits } from "./shard-options.js";
import { WaitQueue } from "./wait-queue.js";

/** What bounds what may be believed and waited for. */
export interface ShardOptions extends ShardLimits {
  /**
   * Whether somebody else says who the primary is, as Sentinels do: then nobody is taken for it by its own word alone, and
   * commands do not wait for long where there is none.
   */
  readonly hasArbiter: boolean;
  /** Whether the replicas are those that the servers themselves name. */
  readonly discovers: boolean;
}

/** What a shard is part of. */
export interface ShardContext {
  readonly lineage: Lineage;
  /** All shards, where data is spread over several, as in a cluster. */
  readonly siblings?: () => readonly Shard[];
  /** Told of every server that is connected to for the first time. */
  readonly joined: (node: Node) => void;
  /** Told of every answer to an INFO, after the shard has taken it in. */
  readonly saw: (shard: Shard, node: Node, sighting: NodeReport) => void;
  /** Called with a primary that was replaced, or whose connection was dropped because it was silent for too long. */
  readonly left: (node: Node) => void;
}

const looksPerInterval = 16;
const looksPerLag = 8;
/** How often each server is asked whether it is the primary, while there is none. */
const seekEveryMs = 15;
/** For how long a measured lag stands for the present one. */
const remeasureMs = 250;
/** For how long replicas are looked at because somebody has asked for a primary that is not there. */
const watchMs = 60_000;

export class Shard {
  readonly history: OffsetTimeline;
  /** Commands that wait while there is no primary, in their order. */
  readonly primaryWaiters = new WaitQueue((now) => {
    this.askPrimary(now, true);
    this.#seek(now);
  });
  /** Those that wait for a connection to the primary, or to the replica that takes its place. */
  readonly absence = new WaitQueue((now) => {
    if (this.primary.connection.absentMs > absenceMs) this.#seek(now);
  });
  #isWatching = false;
  /** Reads that wait for a replica. */
  readonly catchUp = new CatchUpQueue(monitorReplicas(this));
  readonly #lagWatch = new LagWatch(monitorReplicas(this), (offset) =>
    this.replicas.every(
      ({ connection, lastReport }) => !connection.ready || (lastReport?.replication.offset ?? 0) >= offset,
    ),
  );
  /** ReadRouter that wait until the primary has room for them, because no replica can answer them. */
  readonly queue = new WaitQueue(() => {});
  /** ReadRouter that wait for the primary's next word, because that may show that a replica can answer them. */
  readonly sampling = new WaitQueue((now) => this.sampleBehind(now));
  readonly options: ShardOptions;
  /** When it was last known to have taken over data of another shard, on the monotonic clock. */
  slotsGainedAt = Number.NEGATIVE_INFINITY;
  /** Since when the primary is known to be none, on the monotonic clock; undefined while it is one. */
  demotedAt: number | undefined;
  readonly lineage: Lineage;
  readonly succession = new Promotion(this);
  readonly #excess: ImpossibleOffsets;
  readonly #siblings: (() => readonly Shard[]) | undefined;
  readonly #members: ShardMembers;
  #sampledAt = Number.NEGATIVE_INFINITY;
  #refreshedAt = Number.NEGATIVE_INFINITY;
  /** Whether the primary has refused a write because it is none, and has not been heard of since. */
  #refused = false;

  constructor(
    options: ShardOptions,
    servers: { primary: RedisOptions; replicas: readonly RedisOptions[] },
    { lineage, joined, saw, left, siblings }: ShardContext,
  ) {
    this.options = options;
    this.#siblings = siblings;
    this.lineage = lineage;
    this.history = new OffsetTimeline(options.maxStalenessMs);
    this.#excess = new ImpossibleOffsets(this.history);
    this.#members = new ShardMembers(servers.primary, servers.replicas, {
      joined,
      inCluster: siblings !== undefined,
      discovers: options.discovers,
      limits: options,
      saw: (node, sighting) => {
        const { replid } = this.history;
        this.#saw(node, sighting);
        saw(this, node, sighting);
        if (this.history.replid !== replid) this.catchUp.reconsider();
        else if (node !== this.primary) this.catchUp.reached(sighting.replication.offset);
      },
      waits: (node) => {
        if (node === this.primary && !node.connection.answers) this.watch();
      },
      dropped: (node) => {
        if (node === this.primary) left(node);
      },
      left,
    });
  }

  get primary(): Node {
    return this.#members.primary;
  }

  /** Since when the primary is taken for it, on the monotonic clock. */
  get primarySince(): number {
    return this.#members.primarySince;
  }

  get replicas(): readonly Node[] {
    return this.#members.replicas;
  }

  /** Of a primary that is a proxy, the servers named as replicas: they answer only reads at level `"eventual"`. */
  get pools(): readonly Node[] {
    return this.#members.pools;
  }

  /** The primary first. */
  get nodes(): readonly Node[] {
    return this.#members.all;
  }

  /** Whether the primary has yet to name its replicas. */
  get mayFindReplicas(): boolean {
    return this.options.discovers && this.history.replid === undefined && !this.primary.isUnprovable;
  }

  /** Whether the primary, when last asked, said that it is a replica. */
  get demoted(): boolean {
    return this.#refused || this.primary.lastReport?.replication.role === "replica";
  }

  /** Whether the primary before this one has answered all commands; until then this one is sent none. */
  get isHandedOver(): boolean {
    return this.#members.isHandedOver;
  }

  /** Whether there is a primary that would be sent a command at once. */
  get hasPrimary(): boolean {
    return !this.demoted && this.primary.connection.answers && this.isHandedOver;
  }

  /** For how long nobody has been the primary, in milliseconds; 0 while somebody is. */
  get vacantMs(): number {
    if (this.hasPrimary) return 0;
    const demotedMs = this.demotedAt === undefined ? 0 : performance.now() - this.demotedAt;
    return Math.max(demotedMs, this.primary.connection.absentMs);
  }

  /** Whether commands are unanswered, or reads wait for a replica or for room at the primary. */
  get isBusy(): boolean {
    if (!this.primaryWaiters.isEmpty || !this.catchUp.isEmpty || !this.queue.isEmpty) return true;
    return this.nodes.some(({ connection }) => connection.isBusyFor(Number.POSITIVE_INFINITY));
  }

  /** Goes on with these servers, in these roles. */
  assign(primary: RedisOptions, replicas: readonly RedisOptions[]): void {
    const before = this.primary;
    this.#members.assign(primary, replicas);
    if (this.primary !== before) this.#refused = false;
  }

  /** Looks at the replicas until the primary answers: one of them may have been promoted. */
  watch(): void {
    const { primary } = this;
    if (primary.connection.answers || this.#isWatching || this.options.hasArbiter) return;
    this.#isWatching = true;
    const end = (): void => {
      this.#isWatching = false;
    };
    const attempt = (): boolean => {
      const isOver = this.primary !== primary || primary.connection.answers;
      if (isOver) end();
      return isOver;
    };
    this.absence.add({ attempt, giveUp: end, until: performance.now() + watchMs });
  }

  /** Looks at the primary for those who use connections of their own, and for the next one while it is not there. */
  keepLooking(now: number): void {
    this.askPrimary(now, this.demoted);
    if (this.demoted) this.#seek(now);
    else this.watch();
  }

  /** The server at an address, if it is of this shard. */
  find(server: RedisOptions): Node | undefined {
    return this.#members.find(server);
  }

  /** Told that the primary has refused a write because it is none. Behind a proxy that is true of one server of many. */
  primaryRefusedWrite(node: Node): void {
    if (node !== this.primary || node.isProxy) return;
    this.#refused = true;
    this.demotedAt ??= performance.now();
    node.probeBefore();
    this.#seek(performance.now());
  }

  /** Lets commands wait again, after it was closed. */
  open(): void {
    this.primaryWaiters.open();
    this.absence.open();
    this.catchUp.open();
    this.queue.open();
    this.sampling.open();
  }

  /** Ends all connections, and what waits. */
  close(): void {
    // First, so that waiting commands are rejected with a ClosedError.
    for (const node of this.nodes) node.connection.close();
    this.primaryWaiters.close();
    this.catchUp.close();
    this.#lagWatch.close();
    this.queue.close();
    this.sampling.close();
    this.absence.close();
  }

  /** Whether all data is in this shard. */
  get holdsAllKeys(): boolean {
    return this.#siblings === undefined;
  }

  /** Whether `position` is known to be of another shard's history. */
  belongsToOtherShard(position: Position): boolean {
    if (this.#siblings === undefined || this.outcome(position) !== "unknown") return false;
    return this.#siblings().some((shard) => shard.outcome(position) !== "unknown");
  }

  /** What became of a write at `position` in the history that the primary has now. */
  outcome(position: Position): Presence {
    const { replid } = this.history;
    return replid === undefined ? "unknown" : this.lineage.presenceOf(position, replid);
  }

  /** Of a position that is lost: the last one before it that is not. */
  survivor(position: Position): Position {
    const { replid } = this.history;
    return replid === undefined ? position : this.lineage.lastShared(position, replid);
  }

  /**
   * Asks again whom nobody has asked for a while: the replicas, so that what is remembered of them does not run out
   * while they are in use, and the primary, so that samples of its offset are young enough for `maxStalenessMs`.
   */
  refresh(maxStalenessMs: number, now: number): void {
    const { probeIntervalMs } = this.options;
    const leastMs = probeIntervalMs / looksPerInterval;
    this.askPrimary(now, now - this.primary.probedAt > Math.max(maxStalenessMs / 4, leastMs));
    if (now - this.#refreshedAt < leastMs) return;
    this.#refreshedAt = now;
    this.#ask(probeIntervalMs / 2, now);
  }

  /** Asks the primary in front of what is sent to it in this turn: when nobody has for a while, or in any case. */
  askPrimary(now: number, always: boolean): void {
    const { probedAt, connection } = this.primary;
    if (!connection.answers || !(always || now - probedAt > this.options.probeIntervalMs)) return;
    this.primary.probeBefore();
  }

  /** Samples the primary behind what is sent to it in this turn, unless that was done a moment ago. */
  sampleBehind(now: number): void {
    const every = this.options.probeIntervalMs / looksPerInterval;
    if (now - this.#sampledAt <= every || !this.primary.connection.ready) return;
    this.#sampledAt = now;
    this.primary.probeAfter();
  }

  /** Looks at the replicas that reads wait for or pass by, rather more often: how far are they now? */
  look(now: number): void {
    const { probeIntervalMs } = this.options;
    this.#ask(probeIntervalMs / looksPerInterval, now);
  }

  /** Finds out how long the replicas take to come to `offset`, unless that was seen a moment ago. */
  measureLag(offset: number, now: number): void {
    if (this.replicas.every(({ applyRate }) => now - applyRate.measuredAt <= remeasureMs)) return;
    // A lag counts from when the primary was seen to have more.
    this.sampleBehind(now);
    this.#lagWatch.begin(Math.max(offset, this.history.latestOffset), now);
  }

  /** Looks for a promoted replica, however seldom they are asked else. */
  #seek(now: number): void {
    this.#ask(seekEveryMs, now, seekEveryMs);
  }

  /**
   * Asks the replicas that nobody has asked for `everyMs`. One that lags is asked less often, but at least every `atMostMs`,
   * and in time to be believed without a break.
   */
  #ask(everyMs: number, now: number, atMostMs = Number.POSITIVE_INFINITY): void {
    for (const node of this.replicas) {
      node.connection.connectIfLazy();
      const inTimeMs = node.trustMs(this.options.probeIntervalMs) / 2;
      const dueMs = Math.min(Math.max(everyMs, node.lag.ms / looksPerLag), inTimeMs, atMostMs);
      if (now - node.probedAt > dueMs && node.connection.ready) node.probeBefore();
    }
  }

  #saw(node: Node, sighting: NodeReport): void {
    const { replication, at } = sighting;
    this.lineage.learn(replication);
    if (node === this.primary) {
      this.#refused = false;
      this.demotedAt = replication.role === "primary" ? undefined : (this.demotedAt ?? at);
      if (replication.role === "primary") {
        this.history.record(at, replication);
        this.#excess.sampled(at, replication);
      } else this.#seek(performance.now());
    } else if (replication.role === "primary" && this.succession.mayReplacePrimary(node, replication)) {
      this.#members.promote(node);
      this.#refused = false;
      this.history.record(at, replication);
    } else {
      this.succession.saw(node, sighting);
      if (replication.role === "replica") this.#excess.saw(node, replication);
      const [atLeastMs, atMostMs] = this.history.lagOf(replication, at);
      node.lag.observe(atLeastMs, atMostMs);
      // Where the samples do not reach back to what it has, its lag may be any.
      const lagMs = atMostMs === Number.POSITIVE_INFINITY ? undefined : atLeastMs;
      node.applyRate.observe({ at, offset: replication.offset, lagMs, newestMs: atMostMs }, node.lag.ms);
    }
  }
}
