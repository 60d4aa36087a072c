/** A primary and its replicas, and what their own words prove about how far each has come. */
import { History } from "./history.js";
import type { Lineage } from "./lineage.js";
import type { Node, Sighting } from "./node.js";
import { covers, isPlaced, type Position } from "./position.js";

/** The two times that bound what may be believed, in milliseconds. */
export interface ShardOptions {
  /** How long a replica's position is remembered before it is asked again. */
  readonly probeIntervalMs: number;
  /** A replica not proven to be fresher than this answers nothing. */
  readonly maxStalenessMs: number;
}

/** What a read asks of the node that answers it. */
export interface Requirement {
  readonly positions: readonly Position[];
  readonly maxStalenessMs: number;
}

/** Why a replica may not answer, for people; undefined when it may. */
export type Objection =
  | "not connected"
  | "position unknown"
  | "link to the primary is down"
  | "staleness not proven"
  | "behind"
  | undefined;

const looksPerInterval = 16;

export class Shard {
  readonly history: History;
  readonly #options: ShardOptions;
  readonly #lineage: Lineage;
  #primary: Node;
  #replicas: readonly Node[];
  #sampledAt = Number.NEGATIVE_INFINITY;
  #refreshedAt = Number.NEGATIVE_INFINITY;

  constructor(options: ShardOptions, lineage: Lineage, nodes: { primary: Node; replicas: readonly Node[] }) {
    this.#options = options;
    this.#lineage = lineage;
    this.history = new History(options.maxStalenessMs);
    this.#primary = nodes.primary;
    this.#replicas = nodes.replicas;
  }

  get primary(): Node {
    return this.#primary;
  }

  get replicas(): readonly Node[] {
    return this.#replicas;
  }

  /** Whether the primary, when last asked, said that it is a replica. */
  get demoted(): boolean {
    return this.#primary.seen?.replication.role === "replica";
  }

  /** Takes in what a node of this shard said of itself. */
  saw(node: Node, { replication, at }: Sighting): void {
    this.#lineage.learn(replication);
    if (node === this.#primary) {
      if (replication.role === "primary") this.history.record(at, replication);
      else this.look(performance.now());
    } else if (replication.role === "primary" && this.demoted) {
      this.#promote(node);
    } else {
      const missingSince = this.history.passedAt(replication) ?? at;
      const newestWriteAt = this.history.newestWriteAt(replication) ?? Number.NEGATIVE_INFINITY;
      node.lag.observe(at - missingSince, at - newestWriteAt);
    }
  }

  /** Whether what `node` said of itself meets `requirement` now; the reason when it does not. */
  objection(sighting: Sighting | undefined, suspect: boolean, requirement: Requirement): Objection {
    if (sighting === undefined) return "position unknown";
    const { replication } = sighting;
    if (!isPlaced(replication)) return "position unknown";
    if (suspect) return "link to the primary is down";
    const asOf = this.history.asOf(replication);
    if (asOf === undefined || performance.now() - asOf > requirement.maxStalenessMs)
      return "staleness not proven";
    for (const position of requirement.positions) {
      if (!covers(replication, position, this.#lineage)) return "behind";
    }
    return undefined;
  }

  /** The same by what is remembered of `node`, which holds for `probeIntervalMs`. */
  knownObjection(node: Node, requirement: Requirement, now: number): Objection {
    if (!node.connection.ready) return "not connected";
    if (node.seen === undefined || now - node.seen.at > this.#options.probeIntervalMs)
      return "position unknown";
    return this.objection(node.seen, node.suspect, requirement);
  }

  /** Whether an INFO and the read are worth sending to `node` together, although it is not known to have caught up. */
  isWorthATry(node: Node, requirement: Requirement, issuedAt: number, now: number): boolean {
    const known = node.seen?.replication;
    if (!node.connection.ready || known?.role !== "replica" || node.suspect || now < node.restsUntil)
      return false;
    // Without its link, or in another history, it will not come closer by itself; asking it alone is cheaper.
    if (!known.linkUp || known.syncing || this.history.asOf(known) === undefined) return false;
    const { maxStalenessMs } = requirement;
    if (node.lag.ms > maxStalenessMs || now - this.history.latestAt > maxStalenessMs) return false;
    return requirement.positions.every((position) => {
      const reachedAt = this.history.reachedAt(position);
      return node.lag.hasPassed(reachedAt === undefined ? Date.now() - issuedAt : now - reachedAt);
    });
  }

  /**
   * Asks again whom nobody has asked for a while: the replicas, so that what is remembered of them does not run out
   * while they are in use, and the primary, so that samples of its offset are young enough for `maxStalenessMs`.
   */
  refresh(maxStalenessMs: number, now: number): void {
    const { probeIntervalMs } = this.#options;
    if (now - this.#primary.askedAt > maxStalenessMs / 4) this.askPrimary(now, true);
    else this.askPrimary(now, false);
    if (now - this.#refreshedAt < probeIntervalMs / looksPerInterval) return;
    this.#refreshedAt = now;
    this.#ask(probeIntervalMs / 2, now);
  }

  /** Asks the primary in front of what is sent to it in this turn: when nobody has for a while, or in any case. */
  askPrimary(now: number, always: boolean): void {
    const { askedAt, connection } = this.#primary;
    if (!connection.ready || !(always || now - askedAt > this.#options.probeIntervalMs)) return;
    this.#primary.probe();
  }

  /** Samples the primary behind what is sent to it in this turn, unless that was done a moment ago. */
  sampleBehind(now: number): void {
    const every = this.#options.probeIntervalMs / looksPerInterval;
    if (now - this.#sampledAt <= every || !this.primary.connection.ready) return;
    this.#sampledAt = now;
    this.primary.askBehind();
  }

  /** Looks at the replicas that reads wait for or pass by, rather more often: how far are they now? */
  look(now: number): void {
    this.#ask(this.#options.probeIntervalMs / looksPerInterval, now);
  }

  #ask(everyMs: number, now: number): void {
    const atLeastMs = this.#options.probeIntervalMs / 2;
    for (const node of this.#replicas) {
      node.connection.begin();
      const dueMs = Math.min(Math.max(everyMs, node.lag.ms / 4), atLeastMs);
      if (now - node.askedAt > dueMs && node.connection.ready) node.probe();
    }
  }

  #promote(node: Node): void {
    this.#replicas = [...this.#replicas.filter((one) => one !== node), this.#primary];
    this.#primary.connection.patient = false;
    node.connection.patient = true;
    this.#primary = node;
  }
}
