/** Which server replaces a primary, and which one only claims to be a primary, so that the replicas never get its writes. */
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
  /** When each server was last known to be a replica, on the monotonic clock, and of which history. */
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

  /** Records what a server has reported that is not taken for the primary. */
  saw(node: Node, { replication, at }: NodeReport): void {
    if (replication.role === "replica") {
      this.#followed.set(node, { at, replid: replication.replid });
      this.#rivals.delete(node);
      // A primary with the primary's own history is the primary by another name.
    } else if (replication.replid !== this.#history.replid && this.#continues(replication)) {
      this.#rivals.add(node);
    }
  }

  /** The moment up to which no replica can have taken writes of its own, on the monotonic clock. */
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
   * Whether `node`, which reports `other` as a primary, replaces the present primary. It does if the present primary says that
   * it is a replica, cannot be reached or is silent, and if `other` continues the history of the present primary. An earlier
   * primary that has not noticed its demotion also says that it is a primary, and so does one that was restarted. Those never
   * replace the present primary.
   */
  mayReplacePrimary(node: Node, other: Position): boolean {
    const { primary, options } = this.#members;
    const { replid } = this.#history;
    const continues = replid === undefined ? this.#wasPromoted(node, other) : this.#continues(other);
    if (this.#availability.isDemoted)
      return continues || replid === undefined || primary.lastReport?.replication.replid === other.replid;
    return continues && primary.connection.absentMs >= absenceMs && !options.hasArbiter;
  }

  /** If the primary was never reached, its history is the one in which the replica was seen before. */
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
