/** Counts the reads by the reason of the answer that the app got. */
import type { Reason } from "../src/diagnostics/channels.js";
import type { Sample } from "../src/http/dashboard/feed-messages.js";

export type ReadCounts = ReadonlyMap<Reason, number>;

const ofReplicas: readonly Reason[] = ["known", "checked", "primary-gone", "unproven"];
/** Each of these reads was sent to a replica first, and the answer of this replica was discarded. */
const sentAgain: readonly Reason[] = ["check-failed", "missing-key", "replica-failed"];

/**
 * A read that was sent again counts once, under the reason for which it was sent to the primary. The sums must be of the same
 * time, because the two commands of such a read may be in two samples.
 */
export function readCounts(samples: readonly Pick<Sample, "commands">[]): ReadCounts {
  const counts = new Map<Reason, number>();
  for (const { commands } of samples)
    for (const { reason, count } of commands)
      if (reason !== "not-a-read") counts.set(reason, (counts.get(reason) ?? 0) + count);
  let discarded = sum(counts, sentAgain);
  // Only reads with the reason "checked" can fail their check.
  for (const reason of ["checked", "known"] as const) {
    const count = counts.get(reason) ?? 0;
    const left = Math.max(0, count - discarded);
    discarded -= count - left;
    if (left === 0) counts.delete(reason);
    else counts.set(reason, left);
  }
  return counts;
}

/** The number of all reads. */
export function totalOf(counts: ReadCounts): number {
  return sum(counts, [...counts.keys()]);
}

/** The share of reads that replicas have answered, from 0 to 1. Undefined if there were no reads. */
export function replicaShare(counts: ReadCounts): number | undefined {
  const total = totalOf(counts);
  return total === 0 ? undefined : sum(counts, ofReplicas) / total;
}

function sum(counts: ReadCounts, reasons: readonly Reason[]): number {
  return reasons.reduce((total, reason) => total + (counts.get(reason) ?? 0), 0);
}
