/** Makes the samples of a dashboard: what a Tidemark has done since the sample before, and how its servers are. */
import type { NodeState } from "../../diagnostics/channels.js";
import type { TidemarkStats } from "../../diagnostics/statistics.js";
import type { Role, Sample, SampledNode } from "./feed-messages.js";

/** What a sample shows of a server: a part of its `NodeStatus`. */
interface ShownStatus {
  readonly address: string;
  readonly role: Role;
  readonly state: NodeState;
  readonly eligible: boolean;
  readonly reason: string | undefined;
  readonly lagMs: number | undefined;
  readonly lagBytes: number | undefined;
  readonly latencyMs: number;
  readonly zone: string | undefined;
}

/** The part of a `Tidemark` that a dashboard shows. */
export interface SampledTidemark {
  topology(): readonly ShownStatus[];
  stats(): TidemarkStats;
  /** Also asks the servers that were not asked for a second, so that the next sample knows more. */
  health(): unknown;
}

/** Takes samples of one Tidemark. Each has the difference to the one before. */
export class Samples {
  readonly #tidemark: SampledTidemark;
  #before: TidemarkStats;

  constructor(tidemark: SampledTidemark) {
    this.#tidemark = tidemark;
    this.#before = tidemark.stats();
  }

  /** Makes the next sample count from now. */
  begin(): void {
    this.#before = this.#tidemark.stats();
  }

  take(): Sample {
    const before = this.#before;
    const now = this.#tidemark.stats();
    this.#before = now;
    const { waits, fallback } = now;
    return {
      at: Date.now(),
      nodes: this.#tidemark.topology().map(nodeOf),
      commands: commandsBetween(before, now),
      waits: {
        caughtUp: waits.caughtUp - before.waits.caughtUp,
        timedOut: waits.timedOut - before.waits.timedOut,
        aborted: waits.aborted - before.waits.aborted,
      },
      fallback: {
        reads: fallback.reads - before.fallback.reads,
        refused: fallback.refused - before.fallback.refused,
        active: fallback.active,
        waiting: fallback.waiting,
      },
    };
  }
}

function nodeOf(status: ShownStatus): SampledNode {
  const { address, role, state, eligible, reason, lagMs, lagBytes, latencyMs, zone } = status;
  return {
    ...{ address, role, state, eligible, reason, lagBytes, zone },
    lagMs: lagMs === undefined ? undefined : shortened(lagMs),
    latencyMs: shortened(latencyMs),
  };
}

/** Milliseconds without the digits that nobody reads, because each digit is sent again each second. */
export function shortened(ms: number): number {
  return Math.round(ms * 100) / 100;
}

type Count = Sample["commands"][number];

function commandsBetween(before: TidemarkStats, now: TidemarkStats): Count[] {
  const earlier = byReason(before);
  return [...byReason(now)]
    .map(([reason, { role, count }]) => ({ role, reason, count: count - (earlier.get(reason)?.count ?? 0) }))
    .filter(({ count }) => count > 0);
}

/** The commands by reason, added up over the levels. A reason belongs to one role. */
function byReason({ commands }: TidemarkStats): Map<Count["reason"], Count> {
  const counts = new Map<Count["reason"], Count>();
  for (const { role, reason, count } of commands)
    counts.set(reason, { role, reason, count: count + (counts.get(reason)?.count ?? 0) });
  return counts;
}
