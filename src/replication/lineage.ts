/** Tracks which replication history descends from which, and decides whether a node's position includes another position. */
import type { Position } from "./position.js";
import type { ReplicationInfo } from "./replication-info.js";

interface Edge {
  /** Offsets below this one belong to both histories (`second_repl_offset`). */
  divergesAt: number;
  /** Whether the new history's own primary reported the edge. Only that primary knows where the histories really diverge. */
  saidByPrimary: boolean;
}

/** Whether a history has a write: it has the write, it provably lacks the write, or nothing is known. */
export type Presence = "valid" | "lost" | "unknown";

/**
 * Whether a history has a position. If it is lost, `shared` is the offset up to which the position's history and the other one
 * agree.
 */
interface Fate {
  readonly outcome: Presence;
  readonly shared: number;
}

const maxEdges = 1024;

/**
 * The family tree of replication ids, learnt from INFO. A server remembers only one ancestor of its history. This class chains
 * the ancestors that all servers report.
 *
 * Invariant: an edge holds the largest `second_repl_offset` seen. The promoted primary reports the true value, and its replicas
 * report a smaller one. A smaller value can only make an answer more careful.
 */
export class Lineage {
  readonly #parents = new Map<string, Map<string, Edge>>();
  #edges = 0;

  /**
   * Learns the edge that a node reports, if any. A report without an active backlog proves nothing, because a replica that a
   * failed synchronisation has emptied still names its old history when it is promoted.
   */
  learn(seen: ReplicationInfo): void {
    const { ancestor } = seen;
    if (ancestor === undefined || !seen.backlogActive) return;
    const saidByPrimary = seen.role === "primary";
    const parents = this.#parents.get(seen.replid);
    const known = parents?.get(ancestor.replid);
    if (known !== undefined) {
      known.divergesAt = Math.max(known.divergesAt, ancestor.divergesAt);
      known.saidByPrimary ||= saidByPrimary;
      return;
    }
    if (this.#edges >= maxEdges) this.#forgetOldest();
    this.#edges += 1;
    const edge = { divergesAt: ancestor.divergesAt, saidByPrimary };
    if (parents === undefined) this.#parents.set(seen.replid, new Map([[ancestor.replid, edge]]));
    else parents.set(ancestor.replid, edge);
  }

  /** Whether the history `replid` has the write at `position`. */
  presenceOf(position: Position, replid: string): Presence {
    return position.replid === replid ? "valid" : this.#climb(position, replid, new Set()).outcome;
  }

  /** For a position that is lost in the history `replid`: the last position before it that is not lost. */
  lastShared(position: Position, replid: string): Position {
    const { shared } = this.#climb(position, replid, new Set());
    return { replid: position.replid, offset: Math.min(position.offset, shared) };
  }

  #climb(position: Position, replid: string, visited: Set<string>): Fate {
    visited.add(replid);
    let fate: Fate = { outcome: "unknown", shared: position.offset };
    for (const [parent, { divergesAt, saidByPrimary }] of this.#parents.get(replid) ?? []) {
      if (visited.has(parent)) continue;
      const above = parent === position.replid ? valid(position) : this.#climb(position, parent, visited);
      const reaches = position.offset < divergesAt;
      if (above.outcome === "valid" && reaches) return above;
      const broken = above.outcome !== "unknown" && saidByPrimary && !reaches;
      if (broken) fate = { outcome: "lost", shared: Math.min(above.shared, divergesAt - 1) };
      else if (above.outcome === "lost") fate = above;
    }
    return fate;
  }

  #forgetOldest(): void {
    for (const [replid, parents] of this.#parents) {
      this.#edges -= parents.size;
      this.#parents.delete(replid);
      return;
    }
  }
}

function valid({ offset }: Position): Fate {
  return { outcome: "valid", shared: offset };
}

/**
 * Whether a node that reported `seen` has applied everything up to `required`. In case of doubt the answer is false.
 *
 * 1. Only the applied offset (`slave_repl_offset`) is compared. Bytes that were only received or forwarded are not applied.
 * 2. The node's history must be the required one, or must descend from it and diverge only after `required`.
 * 3. The offset of a replica whose link is down is believed only if it is above 1, because Redis reports 1 for "no position".
 * 4. A primary of the required history has all of it by definition.
 */
export function covers(seen: ReplicationInfo, required: Position, lineage: Lineage): boolean {
  if (!isOfHistory(seen, required, lineage)) return false;
  if (seen.role === "primary") return true;
  return hasOffset(seen) && seen.offset >= required.offset;
}

/** Whether the history of a node that reported `seen` includes `required`, even if the node has not applied it yet. */
export function isOfHistory(seen: ReplicationInfo, required: Position, lineage: Lineage): boolean {
  return seen.replid === required.replid || lineage.presenceOf(required, seen.replid) === "valid";
}

/** Whether the reported offset is a real one. A replica without a link reports 1 if it has no position at all. */
export function hasOffset(seen: ReplicationInfo): boolean {
  return seen.role === "primary" || seen.linkUp || seen.offset > 1;
}
