/** A primary and its replicas: their roles, what they have reported, and what that proves about a position. */
import type { RedisOptions } from "ioredis";
import type { Counts } from "../diagnostics/counts.js";
import type { NodeReport } from "../node/incarnation.js";
import type { Node } from "../node/node.js";
import type { Lineage, Presence } from "../replication/lineage.js";
import { OffsetTimeline } from "../replication/offset-timeline.js";
import type { Position } from "../replication/position.js";
import { CatchUpQueue } from "./catch-up-queue.js";
import { ImpossibleOffsets } from "./impossible-offset.js";
import { LagWatch } from "./lag-watch.js";
import { type NamedBy, ShardMembers, type ShardServers } from "./members.js";
import { ShardMonitor } from "./monitor.js";
import { PrimaryAvailability } from "./primary-availability.js";
import { Promotion } from "./promotion.js";
import type { ShardOptions } from "./shard-options.js";
import { WaitQueue } from "./wait-queue.js";

/** The part of its topology that a shard uses. */
export interface ShardContext {
  readonly counts: Counts;
  readonly lineage: Lineage;
  /** All shards, if the data is spread over several, as in a cluster. */
  readonly siblings?: () => readonly Shard[];
  /** Called with every server that Tidemark connects to for the first time. */
  readonly joined: (node: Node) => void;
  /** Called with every report of a server, after the shard has recorded it. */
  readonly saw?: (shard: Shard, node: Node, report: NodeReport) => void;
  /** Called with a primary that was replaced, or whose connection was dropped because it was silent for too long. */
  readonly left: (node: Node) => void;
}

export class Shard {
  readonly options: ShardOptions;
  /** The offsets that the primary has reported. */
  readonly history: OffsetTimeline;
  readonly lineage: Lineage;
  readonly counts: Counts;
  readonly monitor: ShardMonitor;
  readonly availability: PrimaryAvailability;
  readonly promotion: Promotion;
  /** Reads that wait for a replica. */
  readonly catchUp: CatchUpQueue;
  /** Reads that wait until the primary has room for them, because no replica can answer them. */
  readonly fallbackQueue = new WaitQueue(() => {});
  /** Reads that wait for the next report of the primary, because it may show that a replica can answer them. */
  readonly sampling = new WaitQueue((now) => this.monitor.samplePrimary(now));
  readonly #lagWatch: LagWatch;
  readonly #members: ShardMembers;
  readonly #impossibleOffsets: ImpossibleOffsets;
  readonly #siblings: (() => readonly Shard[]) | undefined;
  #slotsGainedAt = Number.NEGATIVE_INFINITY;

  constructor(
    options: ShardOptions,
    servers: ShardServers,
    { counts, lineage, joined, saw, left, siblings }: ShardContext,
  ) {
    this.options = options;
    this.#siblings = siblings;
    this.lineage = lineage;
    this.counts = counts;
    this.history = new OffsetTimeline(options.maxStalenessMs);
    this.#impossibleOffsets = new ImpossibleOffsets(this.history);
    this.#members = new ShardMembers(servers, options, siblings !== undefined, {
      joined,
      saw: (node, report) => {
        const { replid } = this.history;
        this.#saw(node, report);
        saw?.(this, node, report);
        if (this.history.replid !== replid) this.catchUp.historyChanged();
        else if (node !== this.primary) this.catchUp.reached(report.replication.offset);
      },
      asks: (node) => {
        if (node === this.primary) counts.primaryProbes += 1;
        else counts.replicaProbes += 1;
      },
      learntNothing: (node) => {
        counts.failedProbes[node === this.primary ? "primary" : "replica"] += 1;
      },
      waits: (node) => {
        if (node === this.primary && !node.connection.answers) this.monitor.searchUntilAnswered();
      },
      dropped: (node) => {
        if (node === this.primary) left(node);
      },
      left: (node) => {
        counts.failedOver(this.primaryNamedBy, node.connection.absentMs);
        left(node);
      },
    });
    this.monitor = new ShardMonitor(this.#members);
    this.availability = new PrimaryAvailability(this.#members, this.monitor, this.history, counts);
    this.promotion = new Promotion(this.#members, this.availability, this.history, lineage);
    this.catchUp = new CatchUpQueue(this.monitor);
    this.#lagWatch = new LagWatch(this.#members, this.monitor);
  }

  get primary(): Node {
    return this.#members.primary;
  }

  get primaryAddress(): string {
    return this.primary.connection.address;
  }

  /** Whether the primary can take commands now. Earlier commands may still wait to be sent. */
  get isPrimaryReady(): boolean {
    return this.availability.isReady;
  }

  /** Whether the primary, by its latest answer, is a replica. */
  get isPrimaryDemoted(): boolean {
    return this.availability.isDemoted;
  }

  /**
   * Whether `node` is the primary by everything that is known: it has neither reported that it is a replica nor refused a write as
   * a replica.
   */
  isStillPrimary(node: Node): boolean {
    return this.primary === node && !this.isPrimaryDemoted;
  }

  get replicas(): readonly Node[] {
    return this.#members.replicas;
  }

  /** The servers named as replicas of a primary that is a proxy. They answer only reads at level `"eventual"`. */
  get unprovenServers(): readonly Node[] {
    return this.#members.unprovenServers;
  }

  /** All servers, the primary first. */
  get nodes(): readonly Node[] {
    return this.#members.all;
  }

  /** The server at an address, if it belongs to this shard. */
  find(server: RedisOptions): Node | undefined {
    return this.#members.find(server);
  }

  /** Whether the primary has yet to name its replicas. */
  get mayFindReplicas(): boolean {
    return this.options.discovers && this.history.replid === undefined && !this.primary.isUnprovable;
  }

  /** Whether commands are unanswered, or reads wait for a replica or for room at the primary. */
  get isBusy(): boolean {
    if (this.availability.hasWaiting || !this.catchUp.isEmpty || !this.fallbackQueue.isEmpty) return true;
    return this.nodes.some(({ connection }) => connection.isBusyFor(Number.POSITIVE_INFINITY));
  }

  /** Whether all data is in this shard. */
  get holdsAllKeys(): boolean {
    return this.#siblings === undefined;
  }

  /** When the shard was last known to have taken over slots of another shard, on the monotonic clock. */
  get slotsGainedAt(): number {
    return this.#slotsGainedAt;
  }

  /** Records that the shard has taken over slots of another shard. */
  gainedSlots(at: number): void {
    this.#slotsGainedAt = at;
  }

  /** Who says that the primary is one. */
  get primaryNamedBy(): NamedBy {
    return this.#members.primaryNamedBy;
  }

  /** Makes these the servers of the shard, in these roles, because `source` says so. */
  assign(primary: RedisOptions, replicas: readonly RedisOptions[], source: NamedBy): void {
    const before = this.primary;
    this.#members.assign(primary, replicas, source);
    if (this.primary !== before) this.availability.replaced();
  }

  /** Lets commands and reads wait again after {@link close}. */
  open(): void {
    this.availability.open();
    this.monitor.connectionWaiters.open();
    this.catchUp.open();
    this.fallbackQueue.open();
    this.sampling.open();
  }

  /** Ends all connections, and rejects the commands and reads that wait. */
  close(): void {
    // The connections are closed first, so that waiting commands are rejected with a ClosedError.
    for (const node of this.nodes) node.connection.close();
    this.availability.close();
    this.catchUp.close();
    this.fallbackQueue.close();
    this.sampling.close();
    this.#lagWatch.close();
    this.monitor.connectionWaiters.close();
  }

  /**
   * Measures how long the replicas take to reach `offset` and the newest known offset of the primary. Estimates of later waits use
   * the result.
   */
  measureLag(offset: number, now: number): void {
    this.#lagWatch.begin(Math.max(offset, this.history.latestOffset), now);
  }

  /** Whether `position` is known to be of another shard's history. */
  belongsToOtherShard(position: Position): boolean {
    if (this.#siblings === undefined || this.outcome(position) !== "unknown") return false;
    return this.#siblings().some((shard) => shard.outcome(position) !== "unknown");
  }

  /** Whether a write at `position` is in the history that the primary has now, as far as is known. */
  outcome(position: Position): Presence {
    const { replid } = this.history;
    return replid === undefined ? "unknown" : this.lineage.presenceOf(position, replid);
  }

  /** For a lost `position`: the last position before it that is not lost. */
  survivor(position: Position): Position {
    const { replid } = this.history;
    return replid === undefined ? position : this.lineage.lastShared(position, replid);
  }

  #saw(node: Node, report: NodeReport): void {
    const { replication, at } = report;
    this.lineage.learn(replication);
    if (node === this.primary) {
      this.availability.reported(report);
      if (replication.role === "primary") {
        this.history.record(at, replication);
        this.#impossibleOffsets.sampled(at, replication);
      }
    } else if (replication.role === "primary" && this.promotion.mayReplacePrimary(node, replication)) {
      this.#members.promote(node, "itself");
      this.availability.replaced();
      this.history.record(at, replication);
    } else {
      this.promotion.saw(node, report);
      if (replication.role === "replica") this.#impossibleOffsets.saw(node, replication);
      const [atLeastMs, atMostMs] = this.history.lagOf(replication, at);
      node.lag.observe(atLeastMs, atMostMs);
      node.catchUp.observe(at, this.history.newestWriteAt(replication));
      // If the samples do not reach back to the replica's offset, nothing limits how long its lag may be.
      const lagMs = atMostMs === Number.POSITIVE_INFINITY ? undefined : atLeastMs;
      node.applyRate.observe({ at, offset: replication.offset, lagMs, newestMs: atMostMs }, node.lag.ms);
    }
  }
}
