/** What a request of one route has cost one app in one round. */
import { quantile } from "../report/quantile.js";
import type { Block } from "./running-app.js";
import type { Usage } from "./usage.js";

export interface Cost {
  readonly perSecond: number;
  readonly cpuUs: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Not a number if there was no scavenge, as for the next. */
  readonly scavengeUs: number;
  readonly promotedBytes: number;
  readonly bornOldBytes: number;
  readonly allocatedBytes: number;
  readonly benchBusy: number;
}

export function costOf(blocks: readonly Block[]): Cost {
  const sum = (value: (block: Block) => number): number =>
    blocks.reduce((total, block) => total + value(block), 0);
  const requests = sum((block) => block.requests);
  const ms = sum((block) => block.ms);
  const timesMs = blocks.flatMap((block) => block.timesMs);
  const used = (what: keyof Usage): number => sum(({ usage }) => usage[what]);
  // There are only a few scavenges, which begin and end at any place in a block. What they take for a byte is therefore known
  // better than their number.
  const scavenging = (what: keyof Usage): number =>
    (used(what) / used("scavengedBytes")) * (used("bornYoungBytes") / requests);
  return {
    perSecond: (requests * 1_000) / ms,
    cpuUs: used("cpuUs") / requests,
    p50Ms: quantile(timesMs, 0.5),
    p99Ms: quantile(timesMs, 0.99),
    scavengeUs: scavenging("scavengeUs"),
    promotedBytes: scavenging("promotedBytes"),
    bornOldBytes: used("bornOldBytes") / requests,
    allocatedBytes: (used("bornYoungBytes") + used("bornOldBytes")) / requests,
    benchBusy: sum((block) => block.benchBusy * block.ms) / ms,
  };
}
