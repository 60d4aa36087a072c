/** Selects the node that a read goes to, and gives the reason. This file decides which reads a replica may answer. */
import type { Command } from "ioredis";
import type { Touched } from "../commands/touched-keys.js";
import type { LevelRules } from "../consistency/level.js";
import type { Reason } from "../diagnostics/channels.js";
import type { Node } from "../node/node.js";
import type { Session } from "../session/session.js";
import {
  hasClockSkew,
  ineligibilityByLastReport,
  isLikelyEligible,
  type ReadRequirement,
} from "../shard/eligibility.js";
import { stateOf } from "../shard/node-state.js";
import type { Shard } from "../shard/shard.js";
import { TwoChoices } from "./load-balancing.js";
import type { ScanIteration } from "./scan.js";

/** The parts of a read that decide which servers may answer it. */
export interface ReadQuery {
  readonly command: Command;
  readonly shard: Shard;
  readonly session: Session;
  readonly rules: LevelRules;
  readonly requirement: ReadRequirement;
  /** The data that the read touches. */
  readonly touched: Touched;
  /**
   * The iteration that the read is a step of. Once the iteration has begun, only its node may answer, because one node keeps the
   * order of its own answers.
   */
  readonly iteration: ScanIteration | undefined;
}

/** Why a replica may answer. */
export type ReplicaReason = "known" | "checked" | "unproven";

/** The node that a read goes to, and the reason. The node is undefined for the primary. */
export type Selection =
  | { readonly node: Node; readonly reason: ReplicaReason }
  | { readonly node: undefined; readonly reason: Reason };

/**
 * The reason why no replica may answer, whatever the replica has applied. Undefined if a replica may answer. While a write is not
 * settled, a read that cannot move may stay on its replica, because the read does not have to show that write yet.
 */
export function primaryOnlyReason(
  shard: Shard,
  session: Session,
  touched: Touched,
  rules: LevelRules,
  mayMove: boolean,
): Reason | undefined {
  if (!rules.mayUseReplicas) return "strong";
  if (mayMove && !session.isLive) return "not-live";
  if (shard.replicas.length === 0) {
    if (rules.acceptsUnproven && hasUnprovenServers(shard)) return undefined;
    return shard.mayFindReplicas ? "starting" : "no-replica";
  }
  if (!rules.requiresSession) return undefined;
  if (mayMove && session.isWriting(touched)) return "write-in-flight";
  if (session.pinned) return "position-unknown";
  return undefined;
}

function hasUnprovenServers({ unprovenServers, options }: Shard): boolean {
  return options.verify !== "always" && unprovenServers.length > 0;
}

/** Selects the replica for a read: one that is known to meet the requirement, or else one that will probably prove it. */
export function selectReplica(query: ReadQuery, now: number): Selection | undefined {
  if (query.shard.replicas.length === 0) return selectPool(query, now);
  query.shard.monitor.keepFresh(query.requirement.maxStalenessMs, now);
  const known = selectKnownReplica(query, now);
  if (known !== undefined) return { node: known, reason: "known" };
  const { shard, requirement, session } = query;
  const likely = leastLagging(query, now, (node) =>
    isLikelyEligible(shard, node, requirement, session.requirement.issuedAt, now),
  );
  return likely && { node: likely, reason: "checked" };
}

/** Why no replica may answer, most promising reason first. A replica that is behind only has to catch up. */
const noReplicaReasons = ["behind", "read-ahead", "starting", "unusable", "no-replica"] as const;

type NoReplicaReason = (typeof noReplicaReasons)[number];

/** Why no replica may answer a read for which none could be selected. */
export function whyNoReplica(query: ReadQuery, now: number): NoReplicaReason {
  // A step of an iteration cannot go anywhere else.
  if (query.iteration?.node !== undefined) return "behind";
  let least = noReplicaReasons.length - 1;
  for (const node of query.shard.replicas)
    least = Math.min(least, noReplicaReasons.indexOf(whyNotFrom(query, node, now)));
  return noReplicaReasons[least] ?? "no-replica";
}

/** Why `node` may not answer. */
function whyNotFrom(
  { shard, session, touched, rules, requirement }: ReadQuery,
  node: Node,
  now: number,
): NoReplicaReason {
  const state = stateOf(shard, node, now);
  if (state === "excluded") return "no-replica";
  if (state === "starting") return "starting";
  if (state !== "serving" && state !== "behind") return "unusable";
  if (rules.requiresSession && !session.progressIn(shard, touched).mayReadFrom(node.incarnation))
    return "read-ahead";
  return now - shard.history.latestAt > requirement.maxStalenessMs ? "starting" : "behind";
}

/** The preferred one of the replicas that are known to meet the requirement. */
export function selectKnownReplica(
  query: ReadQuery,
  now: number,
  requirement = query.requirement,
): Node | undefined {
  return preferred(query, requirement, query.shard.replicas, now, isKnown);
}

/** Selects one of the servers named beside a proxy, if it answers and the level requires no more. */
function selectPool(query: ReadQuery, now: number): Selection | undefined {
  const { rules, iteration, shard } = query;
  if (!rules.acceptsUnproven || iteration !== undefined || !hasUnprovenServers(shard)) return undefined;
  const node = preferred(query, query.requirement, shard.unprovenServers, now, mayAnswerUnproven);
  return node && { node, reason: "unproven" };
}

/** Whether `node` is connected and, as far as Tidemark can know, is no primary and has data. */
function mayAnswerUnproven(_shard: Shard, node: Node, _requirement: ReadRequirement, now: number): boolean {
  node.connection.connectIfLazy();
  if (!node.connection.ready || now < node.avoidUntil) return false;
  const known = node.lastReport?.replication;
  return node.isProxy || (known?.role === "replica" && !known.syncing);
}

type MayAnswer = (shard: Shard, node: Node, requirement: ReadRequirement, now: number) => boolean;

function isKnown(shard: Shard, node: Node, requirement: ReadRequirement, now: number): boolean {
  return ineligibilityByLastReport(shard, node, requirement, now) === undefined;
}

function preferred(
  query: ReadQuery,
  requirement: ReadRequirement,
  nodes: readonly Node[],
  now: number,
  mayAnswer: MayAnswer,
): Node | undefined {
  const { zone } = query.shard.options;
  let only: Node | undefined;
  let preference: TwoChoices | undefined;
  for (const node of nodes) {
    if (!mayGo(query, node, now) || !mayAnswer(query.shard, node, requirement, now)) continue;
    if (only === undefined) only = node;
    else {
      preference ??= new TwoChoices(zone, nodes, now, only);
      preference.add(node);
    }
  }
  return preference === undefined ? only : preference.chosen;
}

function leastLagging(query: ReadQuery, now: number, mayAnswer: (node: Node) => boolean): Node | undefined {
  let least: Node | undefined;
  for (const node of query.shard.replicas)
    if ((least === undefined || node.lag.ms < least.lag.ms) && mayGo(query, node, now) && mayAnswer(node))
      least = node;
  return least;
}

/** Whether a read may go to `node` if `node` meets the requirement. The read must not take the session back in time. */
function mayGo({ shard, session, touched, rules, iteration }: ReadQuery, node: Node, now: number): boolean {
  const only = iteration?.node;
  if (only !== undefined ? node !== only : node.weight === 0 || !node.aclDenials.mayTry(now)) return false;
  if (
    only === undefined &&
    rules.requiresSession &&
    !session.progressIn(shard, touched).mayReadFrom(node.incarnation)
  )
    return false;
  return !hasClockSkew(shard, node);
}

/** Whether the one node that may answer a read will never answer it, however long the read waits. */
export function isStranded({
  iteration,
  shard,
  session,
  touched,
  rules,
}: Omit<ReadQuery, "requirement">): boolean {
  if (iteration?.node === undefined) return false;
  return iteration.isLost || primaryOnlyReason(shard, session, touched, rules, false) !== undefined;
}
