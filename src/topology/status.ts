/** The status of each server that `tidemark.topology()` returns. */
import type { NodeState } from "../diagnostics/channels.js";
import type { Node } from "../node/node.js";
import type { ProofKind } from "../node/position-probe.js";
import type { ReplicationInfo } from "../replication/replication-info.js";
import { freshAsOf } from "../shard/eligibility.js";
import { judgedAt, reasonOf, stateOf } from "../shard/node-health.js";
import type { Shard } from "../shard/shard.js";

/** One server as this process sees it now. */
export interface NodeStatus {
  /** `host:port`, or the path of a socket. */
  readonly address: string;
  readonly role: "primary" | "replica";
  /** History and offset the server was last seen at; undefined when nothing is known on this connection. */
  readonly position: { readonly replid: string; readonly offset: number } | undefined;
  /** How long ago the server reported `position`, in milliseconds; undefined without a position. */
  readonly positionAgeMs: number | undefined;
  /**
   * Bytes behind the newest known position of the primary; undefined when the two cannot be compared. 0 for a
   * primary that was reached.
   */
  readonly lagBytes: number | undefined;
  /**
   * The upper bound of its staleness that is proven, in milliseconds; undefined when none is. 0 for a primary that was
   * reached. Servers are asked only while they are in use, so this is as old as `positionAgeMs`: an idle process keeps the last bound. While the
   * primary is gone, the bound grows.
   */
  readonly lagMs: number | undefined;
  /** How far its clock is ahead of the primary's, in milliseconds; undefined while it is not measured. */
  readonly clockSkewMs: number | undefined;
  /** How long it takes to answer, estimated from its latest answers, in milliseconds; 0 while it has given none. */
  readonly latencyMs: number;
  /** Where it is, if that is known: `zones` says so, or with a `zone` of our own the server does. */
  readonly zone: string | undefined;
  /** How much it gets of the reads, as against others. */
  readonly weight: number;
  /** What proves how far it is; undefined while it has not been asked. */
  readonly proof: ProofKind | undefined;
  /** The state it is in. */
  readonly state: NodeState;
  /** Whether it may answer reads of a session that requires nothing. */
  readonly eligible: boolean;
  /** Why not, for people to read; undefined when it may. */
  readonly reason: string | undefined;
}

/** The primary first, then its replicas. */
export function statusOf(shard: Shard): NodeStatus[] {
  const now = performance.now();
  return shard.nodes.map((node) => nodeStatus(shard, node, now));
}

function nodeStatus(shard: Shard, node: Node, now: number): NodeStatus {
  const { connection, latency, clock, probe, lastReport, zone, weight } = node;
  const known = connection.ready ? lastReport : undefined;
  const state = stateOf(shard, node, now);
  return {
    address: connection.address,
    role: node === shard.primary ? "primary" : "replica",
    position: known && { replid: known.replication.replid, offset: known.replication.offset },
    positionAgeMs: known && now - known.at,
    ...lagOf(shard, node, known?.replication, now),
    clockSkewMs: clock.aheadOf(shard.primary.clock),
    ...{ latencyMs: latency.at(now), zone, weight },
    proof: probe.kind,
    state,
    eligible: state === "serving",
    reason: reasonOf(shard, node, state),
  };
}

function lagOf(
  shard: Shard,
  node: Node,
  known: ReplicationInfo | undefined,
  now: number,
): Pick<NodeStatus, "lagBytes" | "lagMs"> {
  if (node === shard.primary) {
    const lag = shard.isPrimaryDemoted || shard.history.replid === undefined ? undefined : 0;
    return { lagBytes: lag, lagMs: lag };
  }
  if (known === undefined) return { lagBytes: undefined, lagMs: undefined };
  const latest = shard.history.latest?.position;
  const asOf = freshAsOf(shard, known);
  return {
    lagBytes: latest?.replid === known.replid ? Math.max(0, latest.offset - known.offset) : undefined,
    lagMs: asOf === undefined ? undefined : Math.max(0, judgedAt(shard, node, now) - asOf),
  };
}
