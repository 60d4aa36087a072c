/** Describes one read on its way: its requirement and its deadline. */
import type { Command } from "ioredis";
import { CommandCallbacks } from "../commands/callbacks.js";
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
  readonly policy: ResolvedReadPolicy;
  readonly iteration: ScanIteration | undefined;

  constructor(shard: Shard, command: Command, policy: ResolvedReadPolicy, iteration?: ScanIteration) {
    this.shard = shard;
    this.command = command;
    this.policy = policy;
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
  readonly callbacks: Pick<CommandCallbacks, "resolve" | "reject">;
  /** When the read was given, on the monotonic clock. All read policies in a list count from then. */
  readonly givenAt: number;
  readonly level: Level;
  readonly policy: ResolvedReadPolicy;
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
    callbacks: PendingRead["callbacks"],
    policy: ResolvedReadPolicy,
    maxStalenessMs: number,
    givenAt: number,
  ) {
    const { level } = policy;
    this.command = command;
    this.shard = shard;
    this.session = session;
    this.touched = touched;
    this.iteration = iteration;
    this.callbacks = callbacks;
    this.givenAt = givenAt;
    this.level = level;
    this.policy = policy;
    this.certain =
      primaryOnlyReason(shard, session, touched, level, iteration?.node === undefined) ??
      (confirmsMisses(shard, policy) && cannotShowMissingKey(command) ? "missing-key" : undefined);
    this.requirement = this.certain
      ? noRequirement
      : requirementOf(shard, session, touched, level, maxStalenessMs);
    this.waitUntil = givenAt + Math.min(policy.waitMs, policy.withinMs);
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
  return new PendingRead(
    given,
    session,
    touched,
    new CommandCallbacks(given.command),
    given.policy,
    maxStalenessMs,
    now,
  );
}

/** Returns the same read with another read policy. */
export function withPolicy(
  read: PendingRead,
  policy: ResolvedReadPolicy,
  maxStalenessMs: number,
): PendingRead {
  return new PendingRead(
    read,
    read.session,
    read.touched,
    read.callbacks,
    policy,
    maxStalenessMs,
    read.givenAt,
  );
}

/** Whether the primary has to be asked for data that a replica lacks. */
export function confirmsMisses(shard: Shard, { level, confirmMisses }: ResolvedReadPolicy): boolean {
  // In a cluster, keys may be moving to another shard. A replica then returns nothing for a key that its primary would redirect.
  return confirmMisses || (level !== "eventual" && !shard.holdsAllKeys);
}
