/** Why a replica may not answer a read: here is decided when a replica is out. */
import type { NodeReport } from "../node/incarnation.js";
import type { Node } from "../node/node.js";
import { covers, hasOffset } from "../replication/lineage.js";
import type { Position } from "../replication/position.js";
import type { Shard } from "./shard.js";

/** What a read asks of the node that answers it. */
export interface ReadRequirement {
  readonly positions: readonly Position[];
  /** A moment on the monotonic clock: whatever was finished by then has to be there too. */
  readonly since: number;
  readonly maxStalenessMs: number;
}

/** What asks for nothing, as of the primary, which has everything. */
export const noRequirement: ReadRequirement = {
  positions: [],
  since: Number.NEGATIVE_INFINITY,
  maxStalenessMs: Number.POSITIVE_INFINITY,
};

/** Why a replica may not answer a read; undefined when it may. */
export type Ineligibility =
  | "not connected"
  | "position unknown"
  | "is the primary itself"
  | "link to the primary is down"
  | "staleness not proven"
  | "behind"
  | undefined;

/** The moment whose every finished write is included at `position`, no matter which node is there; undefined when none is proven. */
export function freshAsOf(shard: Shard, position: Position): number | undefined {
  const sampledAt = shard.history.asOf(position);
  const asOf = Math.min(
    sampledAt ?? Number.NEGATIVE_INFINITY,
    shard.succession.withoutRivalUntil(shard.replicas),
  );
  return asOf === Number.NEGATIVE_INFINITY ? undefined : asOf;
}

/** Whether what a node of `shard` said of itself meets `requirement` now; the reason when it does not. */
export function ineligibility(
  shard: Shard,
  sighting: NodeReport | undefined,
  suspect: boolean,
  requirement: ReadRequirement,
  now: number,
): Ineligibility {
  if (sighting === undefined) return "position unknown";
  const { replication } = sighting;
  if (!hasOffset(replication)) return "position unknown";
  // No other server is a primary with its history: it is the primary by another name.
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

/** The same by what is remembered of `node`, as long as that is believed. */
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

/** Whether an INFO and the read are worth sending to `node` together, although it is not known to have caught up. */
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
  // Without its link, or in another history, it will not come closer by itself; asking it alone is cheaper. While there is no
  // primary every replica is without its link, and a read has nowhere else to go.
  const isLinked = known.linkUp || !shard.hasPrimary;
  if (!isLinked || known.syncing || history.asOf(known) === undefined) return false;
  const { maxStalenessMs, since } = requirement;
  // Whatever it has, nothing shows yet what the primary had then.
  if (since > history.latestAt) return false;
  const provenUntil = Math.min(history.latestAt, shard.succession.withoutRivalUntil(shard.replicas));
  if (node.lag.ms > maxStalenessMs || now - provenUntil > maxStalenessMs) return false;
  return node.lag.hasPassed(now - requiredSince(shard, requirement, issuedAt, now));
}

/** By when all that is required had been made, on the monotonic clock, as far as this process knows. */
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

/** Whether keys expire on a replica at another time than on its primary, by more than may be. */
export function hasClockSkew({ primary, options }: Shard, node: Node): boolean {
  return node !== primary && node.clock.differsFrom(primary.clock, options.maxClockSkewMs);
}
