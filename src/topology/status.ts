/** What `tidemark.topology()` tells of each server. */
import type { Node } from "../node.js";
import {
  clockDiffers,
  nothing,
  type Objection,
  objectionTo,
  provenAsOf,
  unprovenObjectionTo,
} from "../objection.js";
import type { ProofKind } from "../proof.js";
import type { Replication } from "../replication.js";
import type { Shard } from "../shard.js";

const besideProxy = 'the primary is a proxy, so it answers only reads at level "eventual"';
/** What the fault of a server that cannot be asked does not explain. */
const resting: Objection = "refused a read just now";

/** One server as this process sees it now. */
export interface NodeStatus {
  /** `host:port`, or the path of a socket. */
  readonly address: string;
  readonly role: "primary" | "replica";
  /** History and offset the server was last seen at; undefined when nothing is known on this connection. */
  readonly position: { readonly replid: string; readonly offset: number } | undefined;
  /** Bytes behind the newest known position of the primary; undefined when the two cannot be compared. */
  readonly lagBytes: number | undefined;
  /** The upper bound of its staleness that is proven now, in milliseconds; undefined when none is. */
  readonly lagMs: number | undefined;
  /** How far its clock is ahead of the primary's, in milliseconds; undefined while it is not measured. */
  readonly clockSkewMs: number | undefined;
  /** How long it takes to answer, guessed from what it was asked, in milliseconds. */
  readonly latencyMs: number;
  /** Where it is, if that is known: `zones` says so, or with a `zone` of our own the server does. */
  readonly zone: string | undefined;
  /** How much it gets of the reads, as against others. */
  readonly weight: number;
  /** What proves how far it is; undefined while it has not been asked. */
  readonly proof: ProofKind | undefined;
  /** Whether it may answer reads of a session that requires nothing. */
  readonly eligible: boolean;
  /** Why not; undefined when it may. */
  readonly reason: string | undefined;
}

/** The primary first, then its replicas. */
export function statusOf(shard: Shard): NodeStatus[] {
  const replicas = shard.replicas.map((node) => replicaStatus(shard, node));
  const pools = shard.pools.map((node) => poolStatus(shard, node));
  const { connection, fault } = shard.primary;
  const silence = connection.ready ? connection.fault : fault;
  const known = knownOf(shard.primary);
  const primary: NodeStatus = {
    address: connection.address,
    role: "primary",
    position: known && { replid: known.replid, offset: known.offset },
    lagBytes: 0,
    lagMs: 0,
    clockSkewMs: 0,
    ...preferenceOf(shard.primary),
    proof: shard.primary.proof.kind,
    eligible: shard.hasPrimary,
    reason: shard.demoted ? "says that it is a replica" : shard.hasPrimary ? undefined : silence,
  };
  return [primary, ...replicas, ...pools];
}

/** Beside a proxy no server may answer a session that requires something, or might. */
function poolStatus(shard: Shard, node: Node): NodeStatus {
  const reason = node.connection.ready ? besideProxy : (node.fault ?? "not connected");
  return { ...replicaStatus(shard, node), eligible: false, reason };
}

function replicaStatus(shard: Shard, node: Node): NodeStatus {
  const known = knownOf(node);
  const latest = shard.history.latest?.position;
  const asOf = known && provenAsOf(shard, known);
  const comparable = known !== undefined && latest?.replid === known.replid;
  const differs = clockDiffers(shard, node) ? "clock differs" : undefined;
  const objection = objectionNow(shard, node);
  return {
    address: node.connection.address,
    role: "replica",
    position: known && { replid: known.replid, offset: known.offset },
    lagBytes: comparable ? Math.max(0, latest.offset - known.offset) : undefined,
    lagMs: asOf === undefined ? undefined : performance.now() - asOf,
    clockSkewMs: node.clock.aheadOf(shard.primary.clock),
    ...preferenceOf(node),
    proof: node.proof.kind,
    eligible: objection === undefined && differs === undefined,
    reason: objection === undefined ? differs : objection === resting ? objection : (node.fault ?? objection),
  };
}

function preferenceOf({ latency, zone, weight }: Node): Pick<NodeStatus, "latencyMs" | "zone" | "weight"> {
  return { latencyMs: latency.at(performance.now()), zone, weight };
}

function objectionNow(shard: Shard, node: Node): Objection {
  const { maxStalenessMs } = shard.options;
  if (node.proof.kind === "window") return unprovenObjectionTo(node, performance.now());
  if (!node.connection.ready) return "not connected";
  if (node.weight === 0) return "has weight 0";
  return objectionTo(shard, node.seen, node.suspect, { ...nothing, maxStalenessMs }, performance.now());
}

function knownOf(node: Node): Replication | undefined {
  return node.connection.ready ? node.seen?.replication : undefined;
}
