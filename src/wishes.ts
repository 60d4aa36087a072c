/** Which of several wishes is granted: the first that can be met now, by what was seen of lag and latency. */
import { chooseReplica } from "./choice.js";
import { madeAt } from "./objection.js";
import { onTerms, type Read } from "./read.js";

/** `read` on the first of its terms that can be met now, else on the last. */
export function granted(read: Read, maxStalenessMs: number, now: number): Read {
  let wished = read;
  while (wished.terms.next !== undefined && !canBeMet(wished, now))
    wished = onTerms(wished, wished.terms.next, maxStalenessMs);
  return wished;
}

/** What is left to wish for when the present terms could not be met after all. */
export function nextOf(read: Read, maxStalenessMs: number, now: number): Read | undefined {
  const { next } = read.terms;
  return next && granted(onTerms(read, next, maxStalenessMs), maxStalenessMs, now);
}

/** Whether somebody can probably answer in time. The primary can whatever is asked. */
function canBeMet(read: Read, now: number): boolean {
  const { terms, shard, certain, givenAt, waitUntil } = read;
  const left = terms.withinMs - (now - givenAt);
  const mayAskPrimary = certain !== undefined || terms.fallback === "primary";
  if (mayAskPrimary && shard.hasPrimary && shard.primary.latency.at(now) <= left) return true;
  if (certain !== undefined) return false;
  const choice = chooseReplica(read, now);
  if (choice?.node !== undefined) return choice.node.latency.at(now) <= left;
  const soonest = madeAt(shard, read.requirement, read.session.demand.issuedAt, now) + shard.late.leastLagMs;
  return Math.max(now, soonest) < waitUntil;
}
