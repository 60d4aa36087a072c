/** Describes one read on its way: its requirement and its deadline. */
import type { Command } from "ioredis";
import { Ends } from "../commands/ends.js";
import { cannotShowMissingKey } from "../commands/server-reply.js";
import type { Touched } from "../commands/touched-keys.js";
import type { Level } from "../consistency/level.js";
import type { ResolvedReadPolicy } from "../consistency/read-policy.js";
import type { Reason } from "../diagnostics/channels.js";
import type { Session } from "../session/session.js";
import { noRequirement, type ReadRequirement } from "../shard/eligibility.js";
import type { Shard } from "../shard/shard.js";
import type { ScanIteration } from "./scan.js";
import { primaryOnlyReason, type ReadQuery, requirementOf } from "./server-selection.js";

/**
 * One read as it was given. This type and the next are classes, because V8 may place the objects of a literal among its old
 * objects from the start. Dead objects there would keep alive everything that came after them.
 */
export class ReadRequest {
  readonly shard: Shard;
  readonly command: Command;
  readonly terms: ResolvedReadPolicy;
  readonly iteration: ScanIteration | undefined;

  constructor(shard: Shard, command: Command, terms: ResolvedReadPolicy, iteration?: ScanIteration) {
    this.shard = shard;
    this.command = command;
    this.terms = terms;
    this.iteration = iteration;
  }
}

/** A read that keeps its own `resolve` and `reject` apart, so that it can be sent more than once. */
export class PendingRead implements ReadQuery {
  readonly command: Command;
  readonly shard: Shard;
  readonly session: Session;
  readonly touched: Touched;
  readonly iteration: ScanIteration | undefined;
  readonly ends: Pick<Ends, "resolve" | "reject">;
  /** When the read was given, on the monotonic clock. All read policies in a list count from then. */
  readonly givenAt: number;
  readonly level: Level;
  readonly terms: ResolvedReadPolicy;
  /** Why only the primary may answer. Undefined if a replica may answer. */
  readonly certain: Reason | undefined;
  readonly requirement: ReadRequirement;
  readonly waitUntil: number;
  /** Whether the primary was asked for its position because no replica was known to meet the requirement. */
  readonly isSampled: boolean = false;

  constructor(
    { command, shard, iteration }: Pick<PendingRead, "command" | "shard" | "iteration">,
    session: Session,
    touched: Touched,
    ends: PendingRead["ends"],
    terms: ResolvedReadPolicy,
    maxStalenessMs: number,
    givenAt: number,
  ) {
    const { level } = terms;
    this.command = command;
    this.shard = shard;
    this.session = session;
    this.touched = touched;
    this.iteration = iteration;
    this.ends = ends;
    this.givenAt = givenAt;
    this.level = level;
    this.terms = terms;
    this.certain =
      primaryOnlyReason(shard, session, touched, level, iteration?.node === undefined) ??
      (confirmsMisses(shard, terms) && cannotShowMissingKey(command) ? "missing-key" : undefined);
    this.requirement = this.certain
      ? noRequirement
      : requirementOf(shard, session, touched, level, maxStalenessMs);
    this.waitUntil = givenAt + Math.min(terms.waitMs, terms.withinMs);
  }
}

/** Creates a read of `session`, given at `now`. `touched` covers the read and all reads that are sent with it. */
export function openRead(
  given: ReadRequest,
  session: Session,
  touched: Touched,
  maxStalenessMs: number,
  now: number,
): PendingRead {
  return new PendingRead(given, session, touched, new Ends(given.command), given.terms, maxStalenessMs, now);
}

/** Returns the same read with another read policy. */
export function withPolicy(
  read: PendingRead,
  terms: ResolvedReadPolicy,
  maxStalenessMs: number,
): PendingRead {
  return new PendingRead(read, read.session, read.touched, read.ends, terms, maxStalenessMs, read.givenAt);
}

/** Whether the primary has to be asked for data that a replica lacks. */
export function confirmsMisses(shard: Shard, { level, confirmMisses }: ResolvedReadPolicy): boolean {
  // In a cluster, keys may be moving to another shard. A replica then returns nothing for a key that its primary would redirect.
  return confirmMisses || (level !== "eventual" && !shard.holdsAllKeys);
}
