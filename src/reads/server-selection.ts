/** Selects the node that a read goes to, and gives the reason. This file decides which reads a replica may answer. */
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

/** The parts of a read that decide which servers may answer it. */
export interface ReadQuery {
  readonly command: Command;
  readonly shard: Shard;
  readonly session: Session;
  readonly level: Level;
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

/**
 * The requirement that a replica has to meet. At level eventual it covers only the replica's health. At other levels it also
 * covers everything that the session requires.
 */
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
  const { requirement } = session;
  const given = progress.requirement(requirement.requiredIn(touched.scope), touched);
  // Most reads require only writes of the primary's own history, which need no further look.
  const isPlain = areWritesOf(shard.history.replid, given);
  const all = isPlain ? given : withoutLost(shard, given);
  const knownAt = isPlain ? Number.NEGATIVE_INFINITY : knownAtOf(session, shard, touched);
  const isOver = (position: Position): boolean => isOverstated(shard, knownAt, position);
  const required = !isPlain && all.some(isOver) ? all.filter((position) => !isOver(position)) : all;
  const bound = typeof level === "object" ? level.maxStalenessMs : Number.POSITIVE_INFINITY;
  const least = Math.min(bound, maxStalenessMs);
  const asOf = required === all ? freshAsOf(requirement) : knownAt;
  if (shard.holdsAllKeys) return { positions: required, since: asOf, maxStalenessMs: least };
  const positions = required.filter((position) => !shard.belongsToOtherShard(position));
  // Data that was written in another shard may have moved to this shard since. A replica may also have missed that a slot left
  // and came back. That replica has keys of the slot as they were before.
  const isSpread = positions.length < required.length;
  const gainedAt = isSpread
    ? Math.max(shard.slotsGainedAt, monotonic(requirement.issuedAt))
    : shard.slotsGainedAt;
  const since = Math.max(asOf, gainedAt);
  return { positions, since, maxStalenessMs: least };
}

/** Whether all `positions` are of writes in the history `replid`. Such a position is neither lost nor ahead of the primary. */
function areWritesOf(replid: string | undefined, positions: readonly Position[]): boolean {
  for (const position of positions)
    if (position.replid !== replid || position.read !== undefined) return false;
  return true;
}

/**
 * Replaces positions that a failover has lost by the last ones that survived it. Those of a session's writes were replaced before.
 * But the position that stands for what the session has read may be of a primary that is gone, and no replica would ever reach it.
 */
function withoutLost(shard: Shard, positions: readonly Position[]): readonly Position[] {
  const { replid } = shard.history;
  const isLost = (position: Position): boolean =>
    position.replid !== replid && shard.outcome(position) === "lost";
  if (!positions.some(isLost)) return positions;
  return positions.map((position) =>
    isLost(position) ? { ...shard.survivor(position), read: true as const } : position,
  );
}

/** When everything that a read of `touched` requires was known, on the monotonic clock. The primary had all of it by then. */
export function knownAtOf(session: Session, shard: Shard, touched: Touched): number {
  return Math.max(session.requirement.learntAt, session.progressIn(shard, touched).floorAt);
}

/**
 * The moment as of which the session requires every write, on the monotonic clock. If a token names a moment after its arrival,
 * the arrival counts. Data from after the arrival cannot have been written before the token was issued.
 */
function freshAsOf({ freshAsOf: moment, learntAt }: SessionRequirement): number {
  return moment > 0 ? Math.min(monotonic(moment), learntAt) : Number.NEGATIVE_INFINITY;
}

/** Makes a position of the primary stand for the data that was read, once Tidemark has a position that it asked for later. */
function anchorTo(shard: Shard, session: Session, { scope }: Touched, progress: ReadProgress): void {
  const { latest } = shard.history;
  if (latest === undefined || latest.at <= session.addedAt) return;
  if (!progress.anchor(latest.at, latest.position, session.requirement.requiredIn(scope))) return;
  // If there are several primaries, a position that this primary does not know may belong to another primary.
  if (shard.holdsAllKeys)
    session.requirement.replaceUnknown(latest.position, (position) =>
      stands(shard, position, latest.position),
    );
}

/**
 * Whether the primary's history judges `position`. Then `latest` need not replace `position`, because a lost position is
 * reported.
 */
function stands(shard: Shard, position: Position, latest: Position): boolean {
  if (position.replid === latest.replid) return position.offset <= latest.offset;
  return shard.outcome(position) !== "unknown";
}

function monotonic(epochMs: number): number {
  return performance.now() - (Date.now() - epochMs);
}

/** Selects the replica for a read: one that is known to meet the requirement, or else one that will probably prove it. */
export function selectReplica(question: ReadQuery, now: number): Selection | undefined {
  if (question.shard.replicas.length === 0) return choosePool(question, now);
  question.shard.monitor.keepFresh(question.requirement.maxStalenessMs, now);
  const known = selectKnownReplica(question, now);
  if (known !== undefined) return { node: known, reason: "known" };
  const { shard, requirement, session } = question;
  const likely = leastLagging(question, now, (node) =>
    isLikelyEligible(shard, node, requirement, session.requirement.issuedAt, now),
  );
  return likely && { node: likely, reason: "checked" };
}

/** Why no replica may answer, most promising reason first. A replica that is behind only has to catch up. */
const hopes = ["behind", "read-ahead", "starting", "unusable", "no-replica"] as const;

type Hope = (typeof hopes)[number];

/** Why no replica may answer a read for which none could be selected. */
export function whyNoReplica(question: ReadQuery, now: number): Hope {
  // A step of an iteration cannot go anywhere else.
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

/** The preferred one of the replicas that are known to meet the requirement. */
export function selectKnownReplica(question: ReadQuery, now: number): Node | undefined {
  return preferred(question, question.shard.replicas, now, isKnown);
}

/** Selects one of the servers named beside a proxy, if it answers and the level requires no more. */
function choosePool(question: ReadQuery, now: number): Selection | undefined {
  const { level, iteration, shard } = question;
  if (level !== "eventual" || iteration !== undefined || !hasPools(shard)) return undefined;
  const node = preferred(question, shard.pools, now, isPool);
  return node && { node, reason: "unproven" };
}

/** Whether `node` is connected and, as far as Tidemark can know, is no primary and has data. */
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

/** Whether a read may go to `node` if `node` meets the requirement. The read must not take the session back in time. */
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

/** Whether the one node that may answer a read will never answer it, however long the read waits. */
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

/**
 * Whether the primary must prove that it still is the primary, because of `position`. A token with a history that no primary is
 * known to have may be the first sign of a failover.
 */
export function primaryMustProve(shard: Shard, position: Position): boolean {
  return shard.outcome(position) !== "valid" && !shard.belongsToOtherShard(position);
}
