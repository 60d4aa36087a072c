/** Which history of replication descends from which, and whether a node that reports one point includes another. */
import type { Position } from "./position.js";
import type { ReplicationInfo } from "./replication-info.js";

interface Edge {
  /** Offsets below this one are common to both histories (`second_repl_offset`). */
  divergesAt: number;
  /** Read from the new history's own primary, which alone knows the true turning point. */
  saidByPrimary: boolean;
}

/** What is known of a write in a given history: there, provably not there, or nothing. */
export type Presence = "valid" | "lost" | "unknown";

/** An outcome, and up to which offset the two histories are known to agree when it is "lost". */
interface Fate {
  readonly outcome: Presence;
  readonly shared: number;
}

const maxEdges = 1024;

/**
 * The family tree of replication ids, learnt from INFO. Redis itself remembers one ancestor; the map chains them.
 *
 * Invariant: an edge holds the largest `second_repl_offset` seen. The promoted primary reports the true one,
 * its replicas a smaller one, so that a smaller one can only make an answer more careful.
 */
export class Lineage {
  readonly #parents = new Map<string, Map<string, Edge>>();
  #edges = 0;

  /**
   * Learns the edge a node reports, if any. Without an active backlog the report proves nothing: a replica
   * emptied by a failed synchronisation and then promoted still names its old history.
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

  /** What became of a write at `position` in the history `replid`. */
  presenceOf(position: Position, replid: string): Presence {
    return position.replid === replid ? "valid" : this.#climb(position, replid, new Set()).outcome;
  }

  /** Of a position that is lost in the history `replid`: the last one before it that is not. */
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
 * Whether a node that answered `seen` has applied everything up to `required`. False is also the answer to every doubt.
 *
 * 1. Only the applied offset counts (`slave_repl_offset`); bytes received or fed on are not applied.
 * 2. The node's history is the required one, or descends from it past a known, later turn.
 * 3. A replica with its link down counts only above offset 1, which Redis reports for "no position".
 * 4. A primary of the required history has all of it by definition.
 */
export function covers(seen: ReplicationInfo, required: Position, lineage: Lineage): boolean {
  if (!isOfHistory(seen, required, lineage)) return false;
  if (seen.role === "primary") return true;
  return hasOffset(seen) && seen.offset >= required.offset;
}

/** Whether what was written at `required` is in the history of a node that answered `seen`, whether or not it has it yet. */
export function isOfHistory(seen: ReplicationInfo, required: Position, lineage: Lineage): boolean {
  return seen.replid === required.replid || lineage.presenceOf(required, seen.replid) === "valid";
}

/** Whether the offset a node reports is one: a replica without its link reports 1 when it has no position at all. */
export function hasOffset(seen: ReplicationInfo): boolean {
  return seen.role === "primary" || seen.linkUp || seen.offset > 1;
}
