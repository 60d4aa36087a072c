/** A point in a primary's replication stream, and whether a node that reports another point includes it. */
import type { Lineage } from "./lineage.js";
import type { Replication } from "./replication.js";

/**
 * A point in the stream of one history.
 *
 * `replid` names the history by the first 16 hex digits of Redis's `master_replid` (64 random bits);
 * `offset` counts the bytes of that history, at most `Number.MAX_SAFE_INTEGER`.
 */
export interface Position {
  readonly replid: string;
  readonly offset: number;
  /** Set when something was read there, nothing written: without it nothing is proven to be lost. */
  readonly read?: true;
}

/**
 * Whether a node that answered `seen` has applied everything up to `required`. False is also the answer to every doubt.
 *
 * 1. Only the applied offset counts (`slave_repl_offset`); bytes received or fed on are not applied.
 * 2. The node's history is the required one, or descends from it past a known, later turn.
 * 3. A replica with its link down counts only above offset 1, which Redis reports for "no position".
 * 4. A primary of the required history has all of it by definition.
 */
export function covers(seen: Replication, required: Position, lineage: Lineage): boolean {
  const sameHistory = seen.replid === required.replid || lineage.outcome(required, seen.replid) === "valid";
  if (!sameHistory) return false;
  if (seen.role === "primary") return true;
  return isPlaced(seen) && seen.offset >= required.offset;
}

/** Whether the offset a node reports is one: a replica without its link reports 1 when it has no position at all. */
export function isPlaced(seen: Replication): boolean {
  return seen.role === "primary" || seen.linkUp || seen.offset > 1;
}
