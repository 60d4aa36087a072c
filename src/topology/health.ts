/** The health of a Tidemark, for load balancers and Kubernetes. */
import type { Shard } from "../shard/shard.js";
import { type NodeStatus, statusOf } from "./status.js";

/** A server that does not do its part. */
export type HealthProblem = Pick<NodeStatus, "address" | "role" | "state" | "reason">;

export interface Health {
  /** Always true: the process has answered. */
  readonly live: true;
  /** Whether every primary takes commands. False before the servers are known, and while a primary is gone. */
  readonly ready: boolean;
  /** Whether Tidemark works, but a replica may not answer reads. The primary then answers more of them. */
  readonly degraded: boolean;
  /** The servers that cause this. A replica with weight 0 is none of them. */
  readonly problems: readonly HealthProblem[];
}

/** Asked at most this often, because probes may call as often as they like. */
const askEveryMs = 1_000;

/** The health of the servers of `shards`, as far as it is known. Asks them, so that the next call knows more. */
export function healthOf(shards: readonly Shard[]): Health {
  const now = performance.now();
  for (const { nodes } of shards)
    for (const node of nodes)
      if (node.connection.ready && now - node.probedAt >= askEveryMs) node.probeBefore();
  return judged(shards.flatMap(statusOf));
}

function judged(nodes: readonly NodeStatus[]): Health {
  const primaries = nodes.filter(({ role }) => role === "primary");
  const problems = nodes.filter(({ eligible, state }) => !eligible && state !== "excluded");
  const ready = primaries.length > 0 && primaries.every(({ eligible }) => eligible);
  return {
    live: true,
    ready,
    degraded: ready && problems.length > 0,
    problems: problems.map(({ address, role, state, reason }) => ({ address, role, state, reason })),
  };
}
