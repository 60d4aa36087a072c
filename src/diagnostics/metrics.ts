/** Lists the metrics of a Tidemark: what each is called, what it measures, and where its values are. */
import type { Mode, NodeState } from "./channels.js";
import type { HistogramValues } from "./counts.js";
import type { TidemarkStats } from "./statistics.js";

/** What metrics show of a server: a part of its `NodeStatus`. */
export interface ShownNode {
  readonly address: string;
  readonly role: "primary" | "replica";
  readonly state: NodeState;
  readonly eligible: boolean;
  readonly proof: string | undefined;
  readonly lagMs: number | undefined;
  readonly lagBytes: number | undefined;
  readonly latencyMs: number;
  readonly clockSkewMs: number | undefined;
  readonly catchUpMs: HistogramValues;
}

/** The options that decide when a replica may no longer answer reads. */
export interface ShownLimits {
  readonly maxStalenessMs: number;
  readonly maxClockSkewMs: number;
}

/** Everything that metrics are read from. */
export interface Measured {
  readonly mode: Mode;
  /** The share of the users whose reads replicas may answer in the mode `"live"`, from 0 to 1. */
  readonly rollout: number;
  readonly stats: TidemarkStats;
  readonly nodes: readonly ShownNode[];
  readonly limits: ShownLimits;
}

/** No label names a key, a user or a token. */
export type Labels = Readonly<Record<string, string>>;

/** A value is undefined if it is not known. */
type Sample<Value> = readonly [labels: Labels, value: Value | undefined];

interface Described {
  /** The name, with dots between its parts and without a unit. */
  readonly name: string;
  /** Seconds or bytes. Undefined for a plain number. */
  readonly unit?: "s" | "By";
  readonly help: string;
}

/** A counter or a gauge. */
export interface NumberMetric extends Described {
  readonly kind: "counter" | "gauge";
  readonly samples: (measured: Measured) => readonly Sample<number>[];
}

/** A histogram. If its unit is seconds, its values are in milliseconds. */
export interface HistogramMetric extends Described {
  readonly kind: "histogram";
  readonly samples: (measured: Measured) => readonly Sample<HistogramValues>[];
}

export type Metric = NumberMetric | HistogramMetric;

const modes: readonly Mode[] = ["off", "shadow", "live"];

const nodeStates: readonly NodeState[] = [
  ...(["serving", "starting", "silent", "unauthorized", "loading", "refusing", "unknown-position"] as const),
  ...(["other-primary", "unknown-history", "syncing", "link-down", "behind", "skewed", "unproven"] as const),
  ...(["excluded", "demoted"] as const),
];

/** The samples of a metric that has one value for each server. */
function ofNodes<Value>(value: (node: ShownNode) => Value | undefined) {
  return ({ nodes }: Measured): Sample<Value>[] =>
    nodes.map((node) => [{ node: node.address, role: node.role }, value(node)]);
}

/** The samples of a metric with one value. */
function one<Value>(value: (stats: TidemarkStats) => Value) {
  return ({ stats }: Measured): Sample<Value>[] => [[{}, value(stats)]];
}

function inSeconds(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : ms / 1_000;
}

export const metrics: readonly Metric[] = [
  {
    name: "tidemark.commands",
    kind: "counter",
    help: "Commands sent to servers, by the role of the server, the reason for it and the level of the command.",
    samples: ({ stats }) =>
      stats.commands.map(({ role, reason, level, count }) => [{ role, reason, level }, count]),
  },
  {
    name: "tidemark.protected_reads",
    kind: "counter",
    help: "Reads that replicas alone would have answered without data that the user has to see.",
    samples: ({ stats: { protectedReads } }) => [
      [{ proof: "proven" }, protectedReads.proven],
      [{ proof: "estimated" }, protectedReads.estimated],
    ],
  },
  {
    name: "tidemark.waits",
    kind: "counter",
    help: "Reads that waited for a replica, by how the wait ended.",
    samples: ({ stats: { waits } }) => [
      [{ outcome: "caught_up" }, waits.caughtUp],
      [{ outcome: "timed_out" }, waits.timedOut],
      [{ outcome: "aborted" }, waits.aborted],
    ],
  },
  {
    name: "tidemark.wait",
    kind: "histogram",
    unit: "s",
    help: "How long reads waited for a replica.",
    samples: one(({ waits }) => waits.ms),
  },
  {
    name: "tidemark.fallback_reads",
    kind: "counter",
    help: "Reads that went to the primary, or are in line for it, because no replica could answer them in time.",
    samples: one(({ fallback }) => fallback.reads),
  },
  {
    name: "tidemark.refused_reads",
    kind: "counter",
    help: "Reads that were rejected because replicas are behind.",
    samples: one(({ fallback }) => fallback.refused),
  },
  {
    name: "tidemark.fallback_active",
    kind: "gauge",
    help: "Fallback reads that the primary has not answered yet.",
    samples: one(({ fallback }) => fallback.active),
  },
  {
    name: "tidemark.fallback_waiting",
    kind: "gauge",
    help: "Fallback reads in line for the primary, because of fallbackLimit.",
    samples: one(({ fallback }) => fallback.waiting),
  },
  {
    name: "tidemark.writes",
    kind: "counter",
    help: "Tracked writes of sessions, by whether their position is known.",
    samples: ({ stats: { writes } }) => [
      [{ position: "known" }, writes.known],
      [{ position: "unknown" }, writes.unknown],
      [{ position: "not_live" }, writes.notLive],
    ],
  },
  {
    name: "tidemark.request_writes",
    kind: "histogram",
    help: "Tracked writes of each request.",
    samples: one(({ writes }) => writes.perRequest),
  },
  {
    name: "tidemark.untracked_writes",
    kind: "counter",
    help: "Writes that no later read has to see.",
    samples: one(({ untrackedWrites }) => untrackedWrites),
  },
  {
    name: "tidemark.session_pins",
    kind: "counter",
    help: "Sessions that read from the primary until their token expires, by the cause.",
    samples: ({ stats: { pins } }) => [
      [{ cause: "unknown_position" }, pins.unknownPosition],
      [{ cause: "unanswered" }, pins.unanswered],
      [{ cause: "unread_tokens" }, pins.unreadTokens],
      [{ cause: "not_live" }, pins.notLive],
    ],
  },
  {
    name: "tidemark.response_hold",
    kind: "histogram",
    unit: "s",
    help: "How long response headers waited for the writes of their requests.",
    samples: one(({ heldMs }) => heldMs),
  },
  {
    name: "tidemark.tokens",
    kind: "counter",
    help: "Tokens, by what became of them.",
    samples: ({ stats: { tokens } }) => [
      [{ event: "issued" }, tokens.issued],
      [{ event: "accepted" }, tokens.accepted],
      [{ event: "expired" }, tokens.expired],
      [{ event: "unverified" }, tokens.unverified],
    ],
  },
  {
    name: "tidemark.token",
    kind: "histogram",
    unit: "By",
    help: "The lengths of issued tokens.",
    samples: one(({ tokens }) => tokens.bytes),
  },
  {
    name: "tidemark.probes",
    kind: "counter",
    help: "Questions to servers for their position.",
    samples: ({ stats: { probes } }) => [
      [{ role: "primary" }, probes.primary],
      [{ role: "replica" }, probes.replica],
    ],
  },
  {
    name: "tidemark.failed_probes",
    kind: "counter",
    help: "Questions to servers for their position that were not answered, or were answered without a position.",
    samples: ({ stats: { probes } }) => [
      [{ role: "primary" }, probes.failed.primary],
      [{ role: "replica" }, probes.failed.replica],
    ],
  },
  {
    name: "tidemark.failovers",
    kind: "counter",
    help: "Failovers, by who named the new primary.",
    samples: ({ stats: { failovers } }) => [
      [{ named_by: "itself" }, failovers.itself],
      [{ named_by: "sentinels" }, failovers.sentinels],
      [{ named_by: "cluster" }, failovers.cluster],
    ],
  },
  {
    name: "tidemark.failover",
    kind: "histogram",
    unit: "s",
    help: "How long a primary had not answered when another server replaced it.",
    samples: one(({ failovers }) => failovers.ms),
  },
  {
    name: "tidemark.no_primary_commands",
    kind: "counter",
    help: "Commands for which no primary could be reached in time.",
    samples: one(({ withoutPrimary }) => withoutPrimary),
  },
  {
    name: "tidemark.lost_writes",
    kind: "counter",
    help: "Writes that a failover has lost.",
    samples: one(({ lostWrites }) => lostWrites),
  },
  {
    name: "tidemark.late_writes",
    kind: "counter",
    help: "Writes that began after their response.",
    samples: one(({ lateWrites }) => lateWrites),
  },
  {
    name: "tidemark.stale_reads",
    kind: "counter",
    help: "Reads answered without proof while the primary was gone.",
    samples: one(({ staleReads }) => staleReads),
  },
  {
    name: "tidemark.node_state",
    kind: "gauge",
    help: "1 for the state that a server is in, and 0 for the others.",
    samples: ({ nodes }) =>
      nodes.flatMap(({ address, role, state }) =>
        nodeStates.map((other) => [{ node: address, role, state: other }, other === state ? 1 : 0] as const),
      ),
  },
  {
    name: "tidemark.node_eligible",
    kind: "gauge",
    help: "Whether a server may answer reads of a session that requires nothing.",
    samples: ofNodes(({ eligible }) => (eligible ? 1 : 0)),
  },
  {
    name: "tidemark.node_proof",
    kind: "gauge",
    help: "1 for the kind of proof for the position of a server.",
    samples: ({ nodes }) =>
      nodes.flatMap(({ address, role, proof }) =>
        proof === undefined ? [] : [[{ node: address, role, proof }, 1] as const],
      ),
  },
  {
    name: "tidemark.node_lag",
    kind: "gauge",
    unit: "s",
    help: "The proven upper bound of the staleness of a server.",
    samples: ofNodes(({ lagMs }) => inSeconds(lagMs)),
  },
  {
    name: "tidemark.node_lag_bytes",
    kind: "gauge",
    unit: "By",
    help: "How far a server is behind the newest known position of the primary.",
    samples: ofNodes(({ lagBytes }) => lagBytes),
  },
  {
    name: "tidemark.catch_up",
    kind: "histogram",
    unit: "s",
    help: "From the time when the primary reported a position until the replica reported it too.",
    samples: ({ nodes }) =>
      nodes
        .filter(({ role }) => role === "replica")
        .map(({ address, catchUpMs }) => [{ node: address }, catchUpMs]),
  },
  {
    name: "tidemark.node_latency",
    kind: "gauge",
    unit: "s",
    help: "How long a server takes to answer.",
    samples: ofNodes(({ latencyMs }) => latencyMs / 1_000),
  },
  {
    name: "tidemark.node_clock_skew",
    kind: "gauge",
    unit: "s",
    help: "How far the clock of a server is ahead of the primary's.",
    samples: ofNodes(({ clockSkewMs }) => inSeconds(clockSkewMs)),
  },
  {
    name: "tidemark.mode",
    kind: "gauge",
    help: "1 for the mode, and 0 for the others.",
    samples: (measured) => modes.map((mode) => [{ mode }, mode === measured.mode ? 1 : 0]),
  },
  {
    name: "tidemark.rollout",
    kind: "gauge",
    help: "The share of the users whose reads replicas may answer in the mode live.",
    samples: ({ rollout }) => [[{}, rollout]],
  },
  // So that alerts can compare the lag and the clock of a replica with the limits of its app.
  {
    name: "tidemark.max_staleness",
    kind: "gauge",
    unit: "s",
    help: "The option maxStalenessMs, in seconds.",
    samples: ({ limits }) => [[{}, limits.maxStalenessMs / 1_000]],
  },
  {
    name: "tidemark.max_clock_skew",
    kind: "gauge",
    unit: "s",
    help: "The option maxClockSkewMs, in seconds.",
    samples: ({ limits }) => [[{}, limits.maxClockSkewMs / 1_000]],
  },
];
