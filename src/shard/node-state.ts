/**
 * The state of a server and the reason for it, for reports only. Which replica answers a read is decided in
 * reads/server-selection.ts and shard/eligibility.ts.
 */
import type { NodeState } from "../diagnostics/channels.js";
import { type Node, notAsked } from "../node/node.js";
import { deniesReads, isPrimaryItself, primaryUnknown } from "../node/server-warnings.js";
import { hasClockSkew, ineligibility, noRequirement } from "./eligibility.js";
import { upstreamOf } from "./primary-availability.js";
import type { Shard } from "./shard.js";

/** A server that Tidemark has never been connected to counts as starting for this long. */
const startMs = 5_000;
/** If a server is away for longer than this, the reason also names the fault of the connection. */
const slowMs = 1_000;

const notConnected = "not connected";
const unauthorized = /^(WRONGPASS|NOAUTH|NOPERM)\b/;

/** The state of `node` at `now`, as far as it is known. */
export function stateOf(shard: Shard, node: Node, now: number): NodeState {
  if (node === shard.primary) return primaryState(shard, now);
  if (node.weight === 0) return "excluded";
  const disconnected = disconnectedState(node, now);
  if (disconnected !== undefined) return disconnected;
  if (node.aclDenials.fault !== undefined) return "refusing";
  if (shard.primary.isProxy) return "unproven";
  if (hasClockSkew(shard, node)) return "skewed";
  if (node.lastReport === undefined) return unheardState(node);
  if (node.fault !== undefined) return "refusing";
  const at = judgedAt(shard, node, now);
  const requirement = { ...noRequirement, maxStalenessMs: shard.options.maxStalenessMs };
  if (ineligibility(shard, node.lastReport, node.suspect, requirement, at) === undefined) return "serving";
  return unusableState(shard, node, at);
}

/** Why a server in `state` may not answer, for people to read; undefined when it may. */
export function reasonOf(shard: Shard, node: Node, state: NodeState): string | undefined {
  const { fault, lastReport, probe, connection, aclDenials } = node;
  const { primary, history } = shard;
  switch (state) {
    case "serving":
      return undefined;
    case "demoted":
      return demotionOf(shard);
    case "unproven":
      return 'the primary is a proxy, so this server answers only reads at level "eventual"';
    case "excluded":
      return "its weight is 0";
    case "silent":
      return silenceOf(node);
    case "unauthorized":
      return `${notConnected}: ${connection.refusal?.error.message ?? fault}`;
    case "loading":
      return `${notConnected}: ${connection.fault}`;
    case "skewed":
      return `its clock differs from the primary's by more than ${shard.options.maxClockSkewMs} ms`;
    case "refusing":
      if (connection.refusal !== undefined) return `${notConnected}: ${connection.refusal.error.message}`;
      if (aclDenials.fault !== undefined) return `${deniesReads}: ${aclDenials.fault}`;
      return fault;
    case "other-primary":
      return lastReport?.replication.replid === history.replid
        ? isPrimaryItself
        : "it is a primary itself, and its replication id differs from the known primary's";
    case "unknown-history":
      return `it replicates from ${upstreamOf(lastReport?.text)}, and its replication id differs from the primary's`;
    case "syncing":
      return `its full synchronization with ${upstreamOf(lastReport?.text)} is not finished`;
    case "link-down":
      return `its link to its primary ${upstreamOf(lastReport?.text)} is down`;
    case "behind":
      return stalenessOf(shard);
    case "unknown-position":
      // A replica has a marker only if its primary forbids INFO as well, because only such a primary writes the marker.
      return (
        (primary.probe.kind === "position" ? probe.refusal?.message : undefined) ?? fault ?? lackOf(primary)
      );
    default:
      return (
        fault ?? (history.replid === undefined ? primaryUnknown : "it has not reported its position recently")
      );
  }
}

/**
 * The moment for which the last report of `node` is judged. An idle process asks nothing, but its silence makes no server staler,
 * so the moment is no later than the time until which the report is believed. While the primary is gone, every server may grow
 * staler, so the moment is now.
 */
export function judgedAt(shard: Shard, node: Node, now: number): number {
  const { probeIntervalMs } = shard.options;
  if (node.lastReport === undefined || !shard.isPrimaryReady) return now;
  return Math.min(now, node.lastReport.at + node.trustMs(probeIntervalMs));
}

function primaryState(shard: Shard, now: number): NodeState {
  if (shard.isPrimaryDemoted) return "demoted";
  if (shard.isPrimaryReady) return "serving";
  return disconnectedState(shard.primary, now) ?? "silent";
}

/** The state of a server that cannot be asked; undefined for one that can. */
function disconnectedState({ connection }: Node, now: number): NodeState | undefined {
  if (connection.ready) return undefined;
  const { refusal, redis, error, epoch, downSince } = connection;
  if (refusal !== undefined) return unauthorized.test(refusal.error.message) ? "unauthorized" : "refusing";
  if (connection.isLoading) return "loading";
  const isNew = epoch === 0 && error === undefined && now - downSince < startMs;
  return isNew || redis.status === "wait" ? "starting" : "silent";
}

/** The state of a server that has not reported its position since the position was last in doubt. */
function unheardState({ probe, fault }: Node): NodeState {
  if (probe.kind !== undefined && probe.kind !== "position") return "unknown-position";
  return fault === undefined || fault === notAsked ? "starting" : "refusing";
}

/** The state of a server that has reported its position and may not answer. */
function unusableState(shard: Shard, node: Node, at: number): NodeState {
  const { history, lineage, isPrimaryReady, options, primary } = shard;
  const replication = node.lastReport?.replication;
  if (history.replid === undefined) return primary.isUnprovable ? "unknown-position" : "starting";
  if (replication === undefined) return "starting";
  if (replication.role === "primary") return "other-primary";
  if (replication.syncing) return "syncing";
  if (!replication.linkUp || node.suspect) return "link-down";
  if (lineage.presenceOf(replication, history.replid) !== "valid") return "unknown-history";
  const isTold = at - Math.min(history.firstAt, at) > options.maxStalenessMs;
  const isRecent = at - history.latestAt <= options.maxStalenessMs;
  return isPrimaryReady && !(isTold && isRecent) ? "starting" : "behind";
}

function lackOf({ fault }: Node): string {
  return fault === undefined ? primaryUnknown : `${primaryUnknown}: ${fault}`;
}

function silenceOf({ connection, fault = notConnected }: Node): string {
  if (connection.ready) return connection.fault;
  const isExplained = fault !== notConnected || connection.absentMs < slowMs;
  if (isExplained || connection.fault === fault) return fault;
  return `${fault}: ${connection.fault}`;
}

function stalenessOf(shard: Shard): string {
  const { promotion, isPrimaryReady, options } = shard;
  if (!isPrimaryReady) return "its staleness is unknown while no primary is available";
  if (promotion.withoutRivalUntil < Number.POSITIVE_INFINITY)
    return "its staleness is unknown because another server reports that it is the primary too";
  return `it is more than ${options.maxStalenessMs} ms behind`;
}

function demotionOf({ availability }: Shard): string {
  const upstream = availability.rightfulPrimary;
  if (upstream !== undefined) return `it replicates from ${upstream}. Set \`primary\` to that server`;
  return "it reports that it is a replica";
}
