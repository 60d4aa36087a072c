/** Which node a read goes to, and why: here is decided what a replica may answer. */
import type { Command } from "ioredis";
import type { Touched } from "../commands/touched-keys.js";
import type { Level } from "../consistency/level.js";
import type { Reason } from "../diagnostics/channels.js";
import type { Node } from "../node/node.js";
import type { Position } from "../replication/position.js";
import type { ReadProgress } from "../session/read-progress.js";
import type { Session } from "../session/session.js";
import type { SessionRequirement } from "../session/session-requirement.js";
import {
  hasClockSkew,
  ineligibilityByLastReport,
  isLikelyEligible,
  noRequirement,
  type ReadRequirement,
} from "../shard/eligibility.js";
import { stateOf } from "../shard/node-health.js";
import type { Shard } from "../shard/shard.js";
import { TwoChoices } from "./load-balancing.js";
import { isOverstated } from "./overstated-position.js";
import type { ScanIteration } from "./scan.js";

/** A read, as far as it decides who may answer. */
export interface ReadQuery {
  readonly command: Command;
  readonly shard: Shard;
  readonly session: Session;
  readonly level: Level;
  readonly requirement: ReadRequirement;
  /** What it reads. */
  readonly touched: Touched;
  /** The iteration it is a step of: once begun, only its node may answer, which is in order with itself. */
  readonly iteration: ScanIteration | undefined;
}

/** Why a replica may answer. */
export type ReplicaReason = "known" | "checked" | "unproven";

/** The node a read goes to, undefined for the primary, and the reason. */
export type Selection =
  | { readonly node: Node; readonly reason: ReplicaReason }
  | { readonly node: undefined; readonly reason: Reason };

/**
 * The reason why no replica may answer, whatever it has applied; undefined when one may. Beside a write that is not
 * settled a read may still keep to its replica when it can go nowhere else: it owes that write nothing yet.
 */
export function primaryOnlyReason(
  shard: Shard,
  session: Session,
  touched: Touched,
  level: Level,
  mayMove: boolean,
): Reason | undefined {
  if (level === "strong") return "strong";
  if (shard.replicas.length === 0) {
    if (level === "eventual" && hasPools(shard)) return undefined;
    return shard.mayFindReplicas ? "starting" : "no-replica";
  }
  if (level === "eventual") return undefined;
  if (mayMove && session.isWriting(touched)) return "write-in-flight";
  if (session.pinned) return "position-unknown";
  return undefined;
}

function hasPools({ pools, options }: Shard): boolean {
  return options.verify !== "always" && pools.length > 0;
}

/** What a replica has to prove; at level eventual only its health, else also all that the session requires. */
export function requirementOf(
  shard: Shard,
  session: Session,
  touched: Touched,
  level: Level,
  maxStalenessMs: number,
): ReadRequirement {
  if (level === "eventual") return { ...noRequirement, maxStalenessMs };
  const progress = session.progressIn(shard, touched);
  if (progress.ahead) anchorTo(shard, session, touched, progress);
  const { demand } = session;
  const all = progress.requirement(demand.requiredIn(touched.scope), touched);
  const knownAt = knownAtOf(session, shard, touched);
  const isOver = (position: Position): boolean => isOverstated(shard, knownAt, position);
  const required = all.some(isOver) ? all.filter((position) => !isOver(position)) : all;
  const bound = typeof level === "object" ? level.maxStalenessMs : Number.POSITIVE_INFINITY;
  const least = Math.min(bound, maxStalenessMs);
  const asOf = required === all ? freshAsOf(demand) : knownAt;
  if (shard.holdsAllKeys) return { positions: required, since: asOf, maxStalenessMs: least };
  const positions = required.filter((position) => !shard.belongsToOtherShard(position));
  // What was written in another shard may have been moved to this one since; and a replica that has missed how a slot
  // went and came back has keys of it as they were before.
  const isSpread = positions.length < required.length;
  const gainedAt = isSpread ? Math.max(shard.slotsGainedAt, monotonic(demand.issuedAt)) : shard.slotsGainedAt;
  const since = Math.max(asOf, gainedAt);
  return { positions, since, maxStalenessMs: least };
}

/** When all that a read of `touched` requires was known, on the monotonic clock: the primary had it by then. */
export function knownAtOf(session: Session, shard: Shard, touched: Touched): number {
  return Math.max(session.demand.learntAt, session.progressIn(shard, touched).floorAt);
}

/** What a token asks for of a moment after it came in cannot have been made before it was given. */
function freshAsOf({ freshAsOf: moment, learntAt }: SessionRequirement): number {
  return moment > 0 ? Math.min(monotonic(moment), learntAt) : Number.NEGATIVE_INFINITY;
}

/** Has a position of the primary stand for what was read, once there is one that was asked for later. */
function anchorTo(shard: Shard, session: Session, { scope }: Touched, progress: ReadProgress): void {
  const { latest } = shard.history;
  if (latest === undefined || latest.at <= session.addedAt) return;
  if (!progress.anchor(latest.at, latest.position, session.demand.requiredIn(scope))) return;
  // Where there are several primaries, what this one has never heard of may be another's.
  if (shard.holdsAllKeys)
    session.demand.replaceUnknown(latest.position, (position) => stands(shard, position, latest.position));
}

/** Whether `position` is judged by the primary's history, so that it need not be given up for `latest`: a lost one is reported. */
function stands(shard: Shard, position: Position, latest: Position): boolean {
  if (position.replid === latest.replid) return position.offset <= latest.offset;
  return shard.outcome(position) !== "unknown";
}

function monotonic(epochMs: number): number {
  return performance.now() - (Date.now() - epochMs);
}

/** The replica a read goes to: one known to cover it, else one that will probably prove it. */
export function selectReplica(question: ReadQuery, now: number): Selection | undefined {
  if (question.shard.replicas.length === 0) return choosePool(question, now);
  question.shard.monitor.keepFresh(question.requirement.maxStalenessMs, now);
  const known = selectKnownReplica(question, now);
  if (known !== undefined) return { node: known, reason: "known" };
  const { shard, requirement, session } = question;
  const likely = leastLagging(question, now, (node) =>
    isLikelyEligible(shard, node, requirement, session.demand.issuedAt, now),
  );
  return likely && { node: likely, reason: "checked" };
}

/** Why no replica may answer, the most hopeful one first: a replica that is behind has only to catch up. */
const hopes = ["behind", "read-ahead", "starting", "unusable", "no-replica"] as const;

type Hope = (typeof hopes)[number];

/** Why no replica may answer a read for which there is no choice. */
export function whyNoReplica(question: ReadQuery, now: number): Hope {
  // A step of an iteration can go nowhere else.
  if (question.iteration?.node !== undefined) return "behind";
  let least = hopes.length - 1;
  for (const node of question.shard.replicas)
    least = Math.min(least, hopes.indexOf(whyNot(question, node, now)));
  return hopes[least] ?? "no-replica";
}

/** Why `node` may not answer. */
function whyNot({ shard, session, touched, level, requirement }: ReadQuery, node: Node, now: number): Hope {
  const state = stateOf(shard, node, now);
  if (state === "excluded") return "no-replica";
  if (state === "starting") return "starting";
  if (state !== "serving" && state !== "behind") return "unusable";
  if (level !== "eventual" && !session.progressIn(shard, touched).mayReadFrom(node.incarnation))
    return "read-ahead";
  return now - shard.history.latestAt > requirement.maxStalenessMs ? "starting" : "behind";
}

/** The preferred one of the replicas that are known to cover the read. */
export function selectKnownReplica(question: ReadQuery, now: number): Node | undefined {
  return preferred(question, question.shard.replicas, now, isKnown);
}

/** Of the servers named beside a proxy one that answers, if the level asks for no more. */
function choosePool(question: ReadQuery, now: number): Selection | undefined {
  const { level, iteration, shard } = question;
  if (level !== "eventual" || iteration !== undefined || !hasPools(shard)) return undefined;
  const node = preferred(question, shard.pools, now, isPool);
  return node && { node, reason: "unproven" };
}

/** Whether `node` is connected, and as far as can be known no primary and not without data. */
function isPool(_question: ReadQuery, node: Node, now: number): boolean {
  node.connection.connectIfLazy();
  if (!node.connection.ready || now < node.avoidUntil) return false;
  const known = node.lastReport?.replication;
  return node.isProxy || (known?.role === "replica" && !known.syncing);
}

type MayAnswer = (question: ReadQuery, node: Node, now: number) => boolean;

function isKnown({ shard, requirement }: ReadQuery, node: Node, now: number): boolean {
  return ineligibilityByLastReport(shard, node, requirement, now) === undefined;
}

function preferred(
  question: ReadQuery,
  nodes: readonly Node[],
  now: number,
  mayAnswer: MayAnswer,
): Node | undefined {
  const { zone } = question.shard.options;
  let only: Node | undefined;
  let preference: TwoChoices | undefined;
  for (const node of nodes) {
    if (!mayGo(question, node, now) || !mayAnswer(question, node, now)) continue;
    if (only === undefined) only = node;
    else {
      preference ??= new TwoChoices(zone, nodes, now, only);
      preference.add(node);
    }
  }
  return preference === undefined ? only : preference.chosen;
}

function leastLagging(
  question: ReadQuery,
  now: number,
  mayAnswer: (node: Node) => boolean,
): Node | undefined {
  let least: Node | undefined;
  for (const node of question.shard.replicas)
    if ((least === undefined || node.lag.ms < least.lag.ms) && mayGo(question, node, now) && mayAnswer(node))
      least = node;
  return least;
}

/** Whether a read may go to `node` if that has what it requires: without taking the session back in time. */
function mayGo({ shard, session, touched, level, iteration }: ReadQuery, node: Node, now: number): boolean {
  const only = iteration?.node;
  if (only !== undefined ? node !== only : node.weight === 0 || !node.aclDenials.mayTry(now)) return false;
  if (
    only === undefined &&
    level !== "eventual" &&
    !session.progressIn(shard, touched).mayReadFrom(node.incarnation)
  )
    return false;
  return !hasClockSkew(shard, node);
}

/** Whether the one node that may answer a read will not do so however long it waits. */
export function isStranded({
  iteration,
  shard,
  session,
  touched,
  level,
}: Omit<ReadQuery, "requirement">): boolean {
  if (iteration?.node === undefined) return false;
  return iteration.isLost || primaryOnlyReason(shard, session, touched, level, false) !== undefined;
}

/** A token of a history that no primary is known to have is what a failover nobody has told us of looks like. */
export function primaryMustProve(shard: Shard, position: Position): boolean {
  return shard.outcome(position) !== "valid" && !shard.belongsToOtherShard(position);
}
