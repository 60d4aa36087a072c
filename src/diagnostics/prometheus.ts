/** Writes statistics in the text format of Prometheus, version 0.0.4. */
import type { NodeState } from "./channels.js";
import type { HistogramValues } from "./counts.js";
import type { TidemarkStats } from "./statistics.js";

/** What is shown of a server: a part of its `NodeStatus`. */
interface ShownNode {
  readonly address: string;
  readonly role: "primary" | "replica";
  readonly state: NodeState;
  readonly eligible: boolean;
  readonly lagMs: number | undefined;
  readonly lagBytes: number | undefined;
  readonly latencyMs: number;
  readonly clockSkewMs: number | undefined;
}

type Labels = Readonly<Record<string, string>>;
type Sample = readonly [labels: Labels, value: number | undefined];

const nodeStates: readonly NodeState[] = [
  ...(["serving", "starting", "silent", "unauthorized", "loading", "refusing", "unknown-position"] as const),
  ...(["other-primary", "unknown-history", "syncing", "link-down", "behind", "skewed", "unproven"] as const),
  ...(["excluded", "demoted"] as const),
];

/** All statistics and the states of all servers. No label names a key, a user or a token. */
export function prometheusText(stats: TidemarkStats, nodes: readonly ShownNode[]): string {
  const { commands, waits, fallback, writes, tokens, probes } = stats;
  const text = new PrometheusText();
  text.counter(
    "tidemark_commands_total",
    "Commands sent to servers, by the role of the server, the reason for it and the level of the command.",
    ...commands.map(({ role, reason, level, count }): Sample => [{ role, reason, level }, count]),
  );
  text.counter(
    "tidemark_waits_total",
    "Reads that waited for a replica, by how the wait ended.",
    [{ outcome: "caught_up" }, waits.caughtUp],
    [{ outcome: "timed_out" }, waits.timedOut],
    [{ outcome: "aborted" }, waits.aborted],
  );
  text.histogram("tidemark_wait_seconds", "How long reads waited for a replica.", waits.ms, 1_000);
  text.counter(
    "tidemark_fallback_reads_total",
    "Reads that went to the primary, or are in line for it, because no replica could answer them in time.",
    [{}, fallback.reads],
  );
  text.counter("tidemark_refused_reads_total", "Reads that were rejected because replicas are behind.", [
    {},
    fallback.refused,
  ]);
  text.counter(
    "tidemark_writes_total",
    "Tracked writes of sessions, by whether their position is known.",
    [{ position: "known" }, writes.known],
    [{ position: "unknown" }, writes.unknown],
  );
  text.counter("tidemark_untracked_writes_total", "Writes that no later read has to see.", [
    {},
    stats.untrackedWrites,
  ]);
  text.histogram(
    "tidemark_response_hold_seconds",
    "How long response headers waited for the writes of their requests.",
    stats.heldMs,
    1_000,
  );
  text.counter(
    "tidemark_tokens_total",
    "Tokens, by what became of them.",
    [{ event: "issued" }, tokens.issued],
    [{ event: "accepted" }, tokens.accepted],
    [{ event: "expired" }, tokens.expired],
    [{ event: "unverified" }, tokens.unverified],
  );
  text.histogram("tidemark_token_bytes", "The lengths of issued tokens.", tokens.bytes);
  text.counter(
    "tidemark_probes_total",
    "Questions to servers for their position.",
    [{ role: "primary" }, probes.primary],
    [{ role: "replica" }, probes.replica],
  );
  text.histogram(
    "tidemark_failover_seconds",
    "How long a primary had not answered when another server replaced it.",
    stats.failoverMs,
    1_000,
  );
  text.counter("tidemark_lost_writes_total", "Writes that a failover has lost.", [{}, stats.lostWrites]);
  text.counter("tidemark_late_writes_total", "Writes that began after their response.", [
    {},
    stats.lateWrites,
  ]);
  text.counter("tidemark_stale_reads_total", "Reads answered without proof while the primary was gone.", [
    {},
    stats.staleReads,
  ]);
  nodesOf(text, nodes);
  return text.toString();
}

function nodesOf(text: PrometheusText, nodes: readonly ShownNode[]): void {
  const each = (value: (node: ShownNode) => number | undefined): Sample[] =>
    nodes.map((node): Sample => [{ node: node.address, role: node.role }, value(node)]);
  text.gauge(
    "tidemark_node_state",
    "1 for the state that a server is in, and 0 for the others.",
    ...nodes.flatMap(({ address, role, state }) =>
      nodeStates.map(
        (one: NodeState): Sample => [{ node: address, role, state: one }, one === state ? 1 : 0],
      ),
    ),
  );
  text.gauge(
    "tidemark_node_eligible",
    "Whether a server may answer reads of a session that requires nothing.",
    ...each(({ eligible }) => (eligible ? 1 : 0)),
  );
  text.gauge(
    "tidemark_node_lag_seconds",
    "The proven upper bound of the staleness of a server.",
    ...each(({ lagMs }) => inSeconds(lagMs)),
  );
  text.gauge(
    "tidemark_node_lag_bytes",
    "How far a server is behind the newest known position of the primary.",
    ...each(({ lagBytes }) => lagBytes),
  );
  text.gauge(
    "tidemark_node_latency_seconds",
    "How long a server takes to answer.",
    ...each(({ latencyMs }) => inSeconds(latencyMs)),
  );
  text.gauge(
    "tidemark_node_clock_skew_seconds",
    "How far the clock of a server is ahead of the primary's.",
    ...each(({ clockSkewMs }) => inSeconds(clockSkewMs)),
  );
}

function inSeconds(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : ms / 1_000;
}

class PrometheusText {
  #text = "";

  counter(name: string, help: string, ...samples: readonly Sample[]): void {
    this.#family(name, help, "counter", samples);
  }

  gauge(name: string, help: string, ...samples: readonly Sample[]): void {
    this.#family(name, help, "gauge", samples);
  }

  /** The values of `values` are divided by `scale`, because Prometheus counts in seconds. */
  histogram(name: string, help: string, { bounds, counts, sum }: HistogramValues, scale = 1): void {
    this.#head(name, help, "histogram");
    let total = 0;
    for (const [at, count] of counts.entries()) {
      total += count;
      const bound = bounds[at];
      this.#line(`${name}_bucket`, { le: bound === undefined ? "+Inf" : String(bound / scale) }, total);
    }
    this.#line(`${name}_sum`, {}, sum / scale);
    this.#line(`${name}_count`, {}, total);
  }

  toString(): string {
    return this.#text;
  }

  /** Samples without a value are left out, because they are not known. */
  #family(name: string, help: string, type: "counter" | "gauge", samples: readonly Sample[]): void {
    this.#head(name, help, type);
    for (const [labels, value] of samples) if (value !== undefined) this.#line(name, labels, value);
  }

  #head(name: string, help: string, type: string): void {
    this.#text += `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`;
  }

  #line(name: string, labels: Labels, value: number): void {
    const list = Object.entries(labels).map(([label, text]) => `${label}="${escaped(text)}"`);
    this.#text += `${name}${list.length === 0 ? "" : `{${list.join()}}`} ${value}\n`;
  }
}

function escaped(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}
