/** One read on its way: what it asks for, and by when. */
import type { Command } from "ioredis";
import type { Reason } from "./channels.js";
import { primaryOnly, type Question, requirementOf } from "./choice.js";
import { Ends } from "./ends.js";
import type { Iteration } from "./iteration.js";
import { isUnjudgeable } from "./miss.js";
import { nothing } from "./objection.js";
import type { Session } from "./session.js";
import type { Shard } from "./shard.js";
import type { Terms } from "./terms.js";

/** One read, as it was given. */
export interface GivenRead {
  readonly shard: Shard;
  readonly command: Command;
  readonly terms: Terms;
  readonly iteration?: Iteration;
}

/** A read with its own ends kept apart, so that it can be sent more than once. */
export interface Read extends Question {
  readonly terms: Terms;
  readonly ends: Pick<Ends, "resolve" | "reject">;
  /** Why only the primary may answer; undefined when a replica may. */
  readonly certain: Reason | undefined;
  /** When it was given, on the monotonic clock; of a list of wishes all count from then. */
  readonly givenAt: number;
  readonly waitUntil: number;
}

/** A read of `session`, given at `now`. */
export function openRead(given: GivenRead, session: Session, maxStalenessMs: number, now: number): Read {
  const { command, shard, terms, iteration } = given;
  return readOf(
    { command, shard, session, iteration, ends: new Ends(command), givenAt: now },
    terms,
    maxStalenessMs,
  );
}

/** The same read on other terms. */
export function onTerms(read: Read, terms: Terms, maxStalenessMs: number): Read {
  return readOf(read, terms, maxStalenessMs);
}

type Constant = Pick<Read, "command" | "shard" | "session" | "iteration" | "ends" | "givenAt">;

function readOf(read: Constant, terms: Terms, maxStalenessMs: number): Read {
  const { command, shard, session, iteration, ends, givenAt } = read;
  const { level } = terms;
  const certain =
    primaryOnly(shard, session, level, iteration?.node === undefined) ??
    (confirmsMisses(shard, terms) && isUnjudgeable(command) ? "missing-key" : undefined);
  const requirement = certain ? nothing : requirementOf(shard, session, level, maxStalenessMs);
  const waitUntil = givenAt + Math.min(terms.waitMs, terms.withinMs);
  return { command, shard, session, iteration, ends, givenAt, level, terms, certain, requirement, waitUntil };
}

/** Whether the primary has to be asked for what a replica lacks. */
export function confirmsMisses(shard: Shard, { level, confirmMisses }: Terms): boolean {
  // In a cluster keys may be on their way to another shard; then a replica answers nothing where its primary would say where.
  return confirmMisses || (level !== "eventual" && !shard.alone);
}
