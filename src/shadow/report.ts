/** The report of the mode `"shadow"`, as an object and as a table. */
import type { PolicyForecast, ShadowPolicy } from "./policies.js";
import type { Estimate } from "./share-tally.js";

/** What the reads of sessions were looked at for. */
export interface ObservedCounts {
  /** All reads of sessions since `since`. */
  readonly reads: number;
  /** The reads of sampled sessions, without those at level `"strong"`. The forecasts are about these. */
  readonly observed: number;
  /** Of these, the reads that are over, and in the forecasts. */
  readonly ended: number;
  /** Of these, the reads for which a replica was asked whether it had the session's write. For all others it was known. */
  readonly asked: number;
  /** Of these, the reads whose answer was compared with the replica's. */
  readonly compared: number;
  /** Of these, the comparisons that say nothing, because the primary itself gave two different answers within the same time. */
  readonly noise: number;
  /** The reads of sampled sessions at level `"strong"`, which only the primary may answer. */
  readonly strong: number;
  /**
   * The sessions that left the sample, because a response was sent before the position of its write was known. Tidemark does not
   * make a response wait in the mode `"shadow"`. The later reads of these users are not observed.
   */
  readonly left: number;
}

const titles: Readonly<Record<ShadowPolicy, string>> = {
  "random-replica": "a random replica",
  "replica-first": "replica, then primary if missing",
  "sticky-2s": "primary for 2 s after a write",
  "sticky-5s": "primary for 5 s after a write",
  tidemark: "Tidemark",
};

export class ShadowReport {
  /** When the observation began. It begins again whenever the mode becomes `"shadow"`. */
  readonly since: Date;
  /** The share of the sessions that the option `shadowSample` asks for. */
  readonly sample: number;
  readonly counts: ObservedCounts;
  readonly policies: readonly PolicyForecast[];

  constructor(since: Date, sample: number, counts: ObservedCounts, policies: readonly PolicyForecast[]) {
    this.since = since;
    this.sample = sample;
    this.counts = counts;
    this.policies = policies;
  }

  /** The report as a table for people. Each share is followed by its interval of 95 %. */
  toString(): string {
    const { reads, observed, asked, compared, noise, strong } = this.counts;
    const rows = this.policies.map(rowOf);
    const titlesOfColumns = [
      "if you read from",
      "misses own writes",
      "primary keeps",
      "unknown",
      "p50 / p99",
    ];
    const widths = titlesOfColumns.map((title, at) =>
      Math.max(title.length, ...rows.map((row) => row[at]?.length ?? 0)),
    );
    const lineOf = (cells: readonly string[]): string =>
      cells
        .map((cell, at) => cell.padEnd(widths[at] ?? 0))
        .join("  ")
        .trimEnd();
    const percent = reads === 0 ? "" : ` (${shareText(observed / reads)} of all)`;
    return [
      `Since ${this.since.toISOString()}: ${observed} of ${reads} reads observed${percent}, ${asked} by asking a replica, ` +
        `${compared} by comparing answers (${noise} of them without result), ${strong} "strong" reads left out`,
      lineOf(titlesOfColumns),
      ...rows.map(lineOf),
    ].join("\n");
  }
}

function rowOf({ policy, missedOwnWrite, primaryShare, unknown, p50Ms, p99Ms }: PolicyForecast): string[] {
  const { atLeast, atMost } = missedOwnWrite;
  return [
    titles[policy],
    policy === "tidemark"
      ? "none"
      : `${shareText(atLeast.value)} to ${shareText(atMost.value)} (${shareText(atLeast.low)} to ${shareText(atMost.high)})`,
    estimateText(primaryShare),
    shareText(unknown),
    `${msText(p50Ms)} / ${msText(p99Ms)}`,
  ];
}

function estimateText({ value, low, high }: Estimate): string {
  return `${shareText(value)} (${shareText(low)} to ${shareText(high)})`;
}

function shareText(share: number): string {
  if (Number.isNaN(share)) return "?";
  const percent = share * 100;
  return `${percent >= 10 ? percent.toFixed(0) : percent >= 1 ? percent.toFixed(1) : percent.toFixed(2)} %`;
}

function msText(ms: number): string {
  return Number.isNaN(ms) ? "?" : `${ms >= 10 ? ms.toFixed(0) : ms.toFixed(1)} ms`;
}
