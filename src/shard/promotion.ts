/**
 * Decides which server replaces a primary. A server that only claims to be a primary does not, because the replicas never get its
 * writes.
 */
import { absenceMs } from "../connection/connection.js";
import type { NodeReport } from "../node/incarnation.js";
import type { Node } from "../node/node.js";
import type { Lineage } from "../replication/lineage.js";
import type { OffsetTimeline } from "../replication/offset-timeline.js";
import type { Position } from "../replication/position.js";
import type { ShardMembers } from "./members.js";
import type { PrimaryAvailability } from "./primary-availability.js";

export class Promotion {
  readonly #members: ShardMembers;
  readonly #availability: PrimaryAvailability;
  /** The history of the primary. */
  readonly #history: OffsetTimeline;
  readonly #lineage: Lineage;
  /** By server: when it was last known to be a replica, on the monotonic clock, and with which history. */
  readonly #followed = new WeakMap<Node, { readonly at: number; readonly replid: string }>();
  /** Servers that claim to be the primary. A lost connection does not make one of them a replica again. */
  readonly #rivals = new Set<Node>();

  constructor(
    members: ShardMembers,
    availability: PrimaryAvailability,
    history: OffsetTimeline,
    lineage: Lineage,
  ) {
    this.#members = members;
    this.#availability = availability;
    this.#history = history;
    this.#lineage = lineage;
  }

  /** Records the report of a server that is not used as the primary. */
  saw(node: Node, { replication, at }: NodeReport): void {
    if (replication.role === "replica") {
      this.#followed.set(node, { at, replid: replication.replid });
      this.#rivals.delete(node);
      // A server that reports itself as a primary, with the history of the primary, is the primary at another address.
    } else if (replication.replid !== this.#history.replid && this.#continues(replication)) {
      this.#rivals.add(node);
    }
  }

  /**
   * The moment up to which no replica can have taken writes of its own, on the monotonic clock. Infinity if no replica claims to be
   * a primary.
   */
  get withoutRivalUntil(): number {
    let until = Number.POSITIVE_INFINITY;
    for (const node of this.#rivals) {
      const followedAt = this.#followed.get(node)?.at ?? Number.NEGATIVE_INFINITY;
      if (this.#members.replicas.includes(node)) until = Math.min(until, followedAt);
      else this.#rivals.delete(node);
    }
    return until;
  }

  /**
   * Whether `node`, which reports `other` as a primary, replaces the present primary. It does if the present primary says that it
   * is a replica, cannot be reached or is silent, and if `other` continues the history of the present primary. A former primary
   * that has not noticed its demotion, or that was restarted, also reports that it is a primary. It never replaces the present
   * primary.
   */
  mayReplacePrimary(node: Node, other: Position): boolean {
    const { primary, options } = this.#members;
    const { replid } = this.#history;
    const continues = replid === undefined ? this.#wasPromoted(node, other) : this.#continues(other);
    if (this.#availability.isDemoted)
      return continues || replid === undefined || primary.lastReport?.replication.replid === other.replid;
    return continues && primary.connection.absentMs >= absenceMs && !options.hasArbiter;
  }

  /**
   * Whether `node` was seen as a replica before, and now continues the history that it had then. Used while the primary was never
   * reached and its history is unknown.
   */
  #wasPromoted(node: Node, { replid }: Position): boolean {
    const followed = this.#followed.get(node);
    if (followed === undefined || followed.replid === replid) return false;
    return this.#lineage.presenceOf({ replid: followed.replid, offset: 0 }, replid) === "valid";
  }

  /** Whether a position is in a history that continues the primary's. */
  #continues({ replid }: Position): boolean {
    const known = this.#history.replid;
    return known !== undefined && this.#lineage.presenceOf({ replid: known, offset: 0 }, replid) === "valid";
  }
}
