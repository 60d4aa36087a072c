/** Describes one read on its way: its requirement, its deadline, and how it ends. */
import type { Command } from "ioredis";
import { CommandCallbacks } from "../commands/callbacks.js";
import { cannotShowMissingKey } from "../commands/missing-key.js";
import type { Touched } from "../commands/touched-keys.js";
import type { LevelRules } from "../consistency/level.js";
import type { ResolvedReadPolicy } from "../consistency/read-policy.js";
import type { Reason } from "../diagnostics/channels.js";
import type { ProtectedReadCounts } from "../diagnostics/counts.js";
import type { Session } from "../session/session.js";
import { noRequirement, type ReadRequirement } from "../shard/eligibility.js";
import type { Shard } from "../shard/shard.js";
import { requirementOf } from "./read-requirement.js";
import type { ScanIteration } from "./scan.js";
import { primaryOnlyReason, type ReadQuery } from "./server-selection.js";

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

export type ReadCallbacks = Pick<CommandCallbacks, "resolve" | "reject">;

/**
 * A read on its way. It keeps its own `resolve` and `reject` apart, so that it can be sent more than once. It is never copied: a
 * new policy or requirement changes the read itself.
 */
export class PendingRead implements ReadQuery {
  readonly command: Command;
  readonly shard: Shard;
  readonly session: Session;
  readonly touched: Touched;
  readonly iteration: ScanIteration | undefined;
  /** When the read was given, on the monotonic clock. All read policies in a list count from then. */
  readonly givenAt: number;
  readonly #maxStalenessMs: number;
  callbacks: ReadCallbacks;
  policy: ResolvedReadPolicy;
  rules: LevelRules;
  /** Why only the primary may answer. Undefined if a replica may answer. */
  primaryOnly: Reason | undefined = undefined;
  requirement: ReadRequirement = noRequirement;
  waitUntil = Number.NEGATIVE_INFINITY;
  /** Since when the read waits for a replica, on the monotonic clock. Undefined if it has not waited. */
  waitsSince: number | undefined = undefined;
  #isProtected = false;
  /** Whether the primary was asked for its position because no replica was known to meet the requirement. */
  isSampled = false;

  /** `touched` covers the read and all reads that are sent with it. */
  constructor(given: ReadRequest, session: Session, touched: Touched, maxStalenessMs: number, now: number) {
    this.command = given.command;
    this.shard = given.shard;
    this.session = session;
    this.touched = touched;
    this.iteration = given.iteration;
    this.givenAt = now;
    this.#maxStalenessMs = maxStalenessMs;
    this.callbacks = new CommandCallbacks(given.command);
    this.policy = given.policy;
    this.rules = given.policy.rules;
    this.usePolicy(given.policy);
  }

  /** Makes `policy` count from now on, with what the session requires by now. */
  usePolicy(policy: ResolvedReadPolicy): void {
    const { shard, session, touched, iteration, command } = this;
    const { rules, waitMs, withinMs } = policy;
    this.policy = policy;
    this.rules = rules;
    this.primaryOnly =
      primaryOnlyReason(shard, session, touched, rules, iteration?.node === undefined) ??
      (confirmsMisses(shard, policy) && cannotShowMissingKey(command) ? "missing-key" : undefined);
    this.requirement = this.primaryOnly ? noRequirement : this.requirementNow();
    this.waitUntil = this.givenAt + Math.min(waitMs, withinMs);
    this.isSampled = false;
  }

  /** What the session requires by now, which may be more than when the read was given. */
  requirementNow(): ReadRequirement {
    return requirementOf(this.shard, this.session, this.touched, this.rules, this.#maxStalenessMs);
  }

  /** Counts that a replica alone would have answered the read without data that it has to see. A read counts once. */
  protect(proof: keyof ProtectedReadCounts): void {
    if (this.#isProtected) return;
    this.#isProtected = true;
    this.shard.counts.protectedReads[proof] += 1;
  }

  /** Calls `before` when the read ends, in front of its callbacks. The error is undefined if the read was answered. */
  onEnd(before: OnReadEnd): void {
    this.callbacks = new ObservedCallbacks(this.callbacks, before);
  }
}

type OnReadEnd = (error: Error | undefined, reply: unknown) => void;

class ObservedCallbacks implements ReadCallbacks {
  readonly #callbacks: ReadCallbacks;
  readonly #before: OnReadEnd;

  constructor(callbacks: ReadCallbacks, before: OnReadEnd) {
    this.#callbacks = callbacks;
    this.#before = before;
  }

  resolve(reply: unknown): unknown {
    this.#before(undefined, reply);
    return this.#callbacks.resolve(reply);
  }

  reject(error: Error): void {
    this.#before(error, undefined);
    this.#callbacks.reject(error);
  }
}

/** Whether the primary has to be asked for data that a replica lacks. */
export function confirmsMisses(shard: Shard, { rules, confirmMisses }: ResolvedReadPolicy): boolean {
  // In a cluster, keys may be moving to another shard. A replica then returns nothing for a key that its primary would redirect.
  return confirmMisses || (rules.requiresSession && !shard.holdsAllKeys);
}
