/** Who takes the place of a primary; and who only claims it: what such a server is sent, the primary's replicas never get. */
import { absenceMs } from "../connection/connection.js";
import type { NodeReport } from "../node/incarnation.js";
import type { Node } from "../node/node.js";
import type { Lineage } from "../replication/lineage.js";
import type { OffsetTimeline } from "../replication/offset-timeline.js";
import type { Position } from "../replication/position.js";

/** A shard, as far as it decides who its primary is. */
interface Reign {
  readonly primary: Node;
  /** Whether the primary says that it is a replica. */
  readonly demoted: boolean;
  /** That of the primary. */
  readonly history: OffsetTimeline;
  readonly lineage: Lineage;
  readonly options: { readonly hasArbiter: boolean };
}

export class Promotion {
  readonly #reign: Reign;
  /** When each server was last known to be a replica, on the monotonic clock, and of which history. */
  readonly #followed = new WeakMap<Node, { readonly at: number; readonly replid: string }>();
  /** A lost connection makes none of them a replica again. */
  readonly #claimants = new Set<Node>();

  constructor(reign: Reign) {
    this.#reign = reign;
  }

  /** Takes in what a server has said that is not taken for the primary. */
  saw(node: Node, { replication, at }: NodeReport): void {
    if (replication.role === "replica") {
      this.#followed.set(node, { at, replid: replication.replid });
      this.#claimants.delete(node);
      // Of the primary's own history is only the primary, by another name.
    } else if (replication.replid !== this.#reign.history.replid && this.#goesOn(replication)) {
      this.#claimants.add(node);
    }
  }

  /** The moment up to which none of `nodes` can have taken writes of its own, on the monotonic clock. */
  withoutRivalUntil(nodes: readonly Node[]): number {
    let until = Number.POSITIVE_INFINITY;
    for (const node of this.#claimants) {
      const followedAt = this.#followed.get(node)?.at ?? Number.NEGATIVE_INFINITY;
      if (nodes.includes(node)) until = Math.min(until, followedAt);
      else this.#claimants.delete(node);
    }
    return until;
  }

  /**
   * Whether `node`, which says at `other` that it is the primary, takes the place of the present one: when that says it is a
   * replica, or cannot be reached or is silent, and the other's history goes on from its own. An earlier primary that has
   * not noticed its demotion says so too, and so does one that was restarted: those never take the place.
   */
  mayReplacePrimary(node: Node, other: Position): boolean {
    const { primary, demoted, history, options } = this.#reign;
    const goesOn = history.replid === undefined ? this.#wasPromoted(node, other) : this.#goesOn(other);
    if (demoted)
      return (
        goesOn || history.replid === undefined || primary.lastReport?.replication.replid === other.replid
      );
    const { connection } = primary;
    return goesOn && connection.absentMs >= absenceMs && !options.hasArbiter;
  }

  /** Where the primary was never reached, its history is the one in which its replica was seen before. */
  #wasPromoted(node: Node, { replid }: Position): boolean {
    const followed = this.#followed.get(node);
    if (followed === undefined || followed.replid === replid) return false;
    return this.#reign.lineage.presenceOf({ replid: followed.replid, offset: 0 }, replid) === "valid";
  }

  #goesOn({ replid }: Position): boolean {
    const { history, lineage } = this.#reign;
    const known = history.replid;
    return known !== undefined && lineage.presenceOf({ replid: known, offset: 0 }, replid) === "valid";
  }
}
