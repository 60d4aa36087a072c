/** The status of each server that `tidemark.topology()` returns. */
import type { NodeState } from "../diagnostics/channels.js";
import type { HistogramValues } from "../diagnostics/counts.js";
import type { Node } from "../node/node.js";
import type { ProofKind } from "../node/position-probe.js";
import type { ReplicationInfo } from "../replication/replication-info.js";
import { freshAsOf } from "../shard/eligibility.js";
import { judgedAt, reasonOf, stateOf } from "../shard/node-state.js";
import type { Shard } from "../shard/shard.js";

/** One server as this process sees it now. */
export interface NodeStatus {
  /** `host:port`, or the path of a socket. */
  readonly address: string;
  readonly role: "primary" | "replica";
  /** The replication id and offset that the server last reported; undefined if it has reported none on this connection. */
  readonly position: { readonly replid: string; readonly offset: number } | undefined;
  /** How long ago the server reported `position`, in milliseconds; undefined without a position. */
  readonly positionAgeMs: number | undefined;
  /**
   * How many bytes the server is behind the newest known position of the primary; undefined if the two positions cannot be
   * compared. 0 for a primary that takes commands.
   */
  readonly lagBytes: number | undefined;
  /**
   * The upper bound of the server's staleness that is proven, in milliseconds; undefined if none is proven. 0 for a primary that
   * takes commands. Servers are asked only while they are in use, so an idle process keeps the last bound, which is as old as
   * `positionAgeMs`. While the primary is gone, the bound grows.
   */
  readonly lagMs: number | undefined;
  /** How far the server's clock is ahead of the primary's, in milliseconds; undefined while either clock is unknown. */
  readonly clockSkewMs: number | undefined;
  /**
   * From the time when the primary reported a position until this replica reported it too, in milliseconds. All zeros for the
   * primary.
   */
  readonly catchUpMs: HistogramValues;
  /** How long the server takes to answer, estimated from its latest answers, in milliseconds; 0 before its first answer. */
  readonly latencyMs: number;
  /**
   * The zone of the server: from the option `zones`, or from the server itself if the option `zone` is set. Undefined if it is not
   * known.
   */
  readonly zone: string | undefined;
  /** The weight of the server, which decides its share of the reads beside other servers. */
  readonly weight: number;
  /** The kind of proof for the position of the server; undefined while the server has not been asked. */
  readonly proof: ProofKind | undefined;
  /** The state of the server. */
  readonly state: NodeState;
  /** Whether the server may answer reads of a session that has not read or written anything yet. */
  readonly eligible: boolean;
  /** Why the server is not eligible, for people to read; undefined if it is eligible. */
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
    ...lagOf(shard, node, state, known?.replication, now),
    catchUpMs: node.catchUp.ms.now,
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
  state: NodeState,
  known: ReplicationInfo | undefined,
  now: number,
): Pick<NodeStatus, "lagBytes" | "lagMs"> {
  if (node === shard.primary) {
    const lag = state === "serving" && shard.history.replid !== undefined ? 0 : undefined;
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
