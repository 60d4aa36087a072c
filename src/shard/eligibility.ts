/** Decides whether a replica may answer a read, and why not. */
import type { NodeReport } from "../node/incarnation.js";
import type { Node } from "../node/node.js";
import { covers, hasOffset } from "../replication/lineage.js";
import type { Position } from "../replication/position.js";
import type { Shard } from "./shard.js";

/** What a read requires of the node that answers it. A class, because V8 may place the objects of a literal among its old objects. */
export class ReadRequirement {
  readonly positions: readonly Position[];
  /** A moment on the monotonic clock. The node also has to have every write that was finished by then. */
  readonly since: number;
  readonly maxStalenessMs: number;

  constructor(positions: readonly Position[], since: number, maxStalenessMs: number) {
    this.positions = positions;
    this.since = since;
    this.maxStalenessMs = maxStalenessMs;
  }
}

/** Requires nothing. This is what the primary has to meet, because it has every write. */
export const noRequirement = new ReadRequirement([], Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY);

/** Why a replica may not answer a read; undefined when it may. */
export type Ineligibility =
  | "not connected"
  | "position unknown"
  | "is the primary itself"
  | "link to the primary is down"
  | "staleness not proven"
  | "behind"
  | undefined;

/**
 * The latest moment for which there is a proof that a node at `position` has every write that was finished by then. Undefined
 * without a proof.
 */
export function freshAsOf(shard: Shard, position: Position): number | undefined {
  const sampledAt = shard.history.asOf(position);
  const asOf = Math.min(sampledAt ?? Number.NEGATIVE_INFINITY, shard.promotion.withoutRivalUntil);
  return asOf === Number.NEGATIVE_INFINITY ? undefined : asOf;
}

/** Why a node of `shard` with this report does not meet `requirement` now. Undefined if it does. */
export function ineligibility(
  shard: Shard,
  report: NodeReport | undefined,
  suspect: boolean,
  requirement: ReadRequirement,
  now: number,
): Ineligibility {
  if (report === undefined) return "position unknown";
  const { replication } = report;
  if (!hasOffset(replication)) return "position unknown";
  // Only the primary itself is a primary with this history, so this node is the primary at another address.
  if (replication.role === "primary" && replication.replid === shard.history.replid)
    return "is the primary itself";
  if (suspect) return "link to the primary is down";
  const asOf = freshAsOf(shard, replication);
  if (asOf === undefined || now - asOf > requirement.maxStalenessMs) return "staleness not proven";
  if (asOf < requirement.since) return "behind";
  for (const position of requirement.positions) {
    if (!covers(replication, position, shard.lineage)) return "behind";
  }
  return undefined;
}

/**
 * Why `node` does not meet `requirement` now, by its last report and only as long as the report is believed. Undefined if it does.
 */
export function ineligibilityByLastReport(
  shard: Shard,
  node: Node,
  requirement: ReadRequirement,
  now: number,
): Ineligibility {
  if (!node.connection.ready) return "not connected";
  const trustMs = node.trustMs(shard.options.probeIntervalMs);
  if (node.lastReport === undefined || now - node.lastReport.at > trustMs) return "position unknown";
  return ineligibility(shard, node.lastReport, node.suspect, requirement, now);
}

/** Whether it is worthwhile to send INFO and the read together to `node`, although the node is not known to have caught up. */
export function isLikelyEligible(
  shard: Shard,
  node: Node,
  requirement: ReadRequirement,
  issuedAt: number,
  now: number,
): boolean {
  const { history } = shard;
  const known = node.lastReport?.replication;
  if (!node.connection.ready || known?.role !== "replica" || node.suspect || now < node.avoidUntil)
    return false;
  // A replica whose link is down, or that has another history, does not catch up by itself, so it is cheaper to send it only INFO.
  // While there is no primary, the link of every replica is down, and a read has nowhere else to go.
  const isLinked = known.linkUp || !shard.isPrimaryReady;
  if (!isLinked || known.syncing || history.asOf(known) === undefined) return false;
  const { maxStalenessMs, since } = requirement;
  // No sample of the primary is as new as `since`. Without one, no replica can prove that it has the required writes.
  if (since > history.latestAt) return false;
  const provenUntil = Math.min(history.latestAt, shard.promotion.withoutRivalUntil);
  if (node.lag.ms > maxStalenessMs || now - provenUntil > maxStalenessMs) return false;
  return node.lag.hasPassed(now - requiredSince(shard, requirement, issuedAt, now));
}

/** When the latest of the required writes was made, on the monotonic clock, as far as this process knows. */
export function requiredSince(
  { history }: Shard,
  { since, positions }: ReadRequirement,
  issuedAt: number,
  now: number,
): number {
  let latest = history.madeAsOf(since);
  for (const position of positions)
    latest = Math.max(latest, history.reachedAt(position) ?? now - (Date.now() - issuedAt));
  return latest;
}

/** Whether keys certainly expire on a replica earlier or later than on its primary, by more than `maxClockSkewMs`. */
export function hasClockSkew({ primary, options }: Shard, node: Node): boolean {
  return node !== primary && node.clock.differsFrom(primary.clock, options.maxClockSkewMs);
}
