/** Exports the public names of the package, one by one. */

export type { WriteToTrack } from "./commands/touched-keys.js";
export type { Level } from "./consistency/level.js";
export type { Consistency, ReadOptions, ReadPolicy } from "./consistency/read-policy.js";
export type { ReplicatedOptions } from "./consistency/write-concern.js";
export {
  type LateWriteMessage,
  type LostWriteMessage,
  lateWriteChannel,
  lostWriteChannel,
  type MessageChannel,
  type Mode,
  type ModeMessage,
  modeChannel,
  type NodeState,
  type ReadMessage,
  type ReadRecord,
  type Reason,
  type RouteMessage,
  type RouteOutcome,
  readChannel,
  routeChannel,
  type StaleReadMessage,
  staleReadChannel,
  type TopologyMessage,
  topologyChannel,
} from "./diagnostics/channels.js";
export type {
  CommandCount,
  FailoverCounts,
  HistogramValues,
  PinCounts,
  ProtectedReadCounts,
  TokenCounts,
  WaitCounts,
  WriteCounts,
} from "./diagnostics/counts.js";
export type { GroupOutcomes, RecentOutcomes } from "./diagnostics/recent-outcomes.js";
export type {
  FallbackCounts,
  KeptOnPrimary,
  ProbeCounts,
  RolloutStats,
  TidemarkStats,
  Totals,
} from "./diagnostics/statistics.js";
export {
  AbortedError,
  ClosedError,
  ConnectionLostError,
  type ErrorCode,
  InvalidOptionError,
  IterationLostError,
  LostWriteError,
  NoPrimaryError,
  NotPrimaryError,
  NotReplicatedError,
  RefusedCommandError,
  ReplicasBehindError,
  TidemarkError,
  TransactionLostError,
} from "./errors/errors.js";
export type { KeyOptions } from "./options/key-options.js";
export type { CommonOptions, TidemarkOptions } from "./options/options.js";
export type { ReadDefaultOptions } from "./options/read-options.js";
export type { ClusterServers, PrimaryServers, SentinelServers, Server } from "./options/server-options.js";
export type { FallbackLimits } from "./reads/fallback-limit.js";
export type { OnLostWrite } from "./reads/lost-writes.js";
export type { StopRule } from "./rollout/automatic-stop.js";
export type { Bucket, RolloutChoice } from "./rollout/membership.js";
export type { Context } from "./session/context.js";
export type { Seal } from "./session/seal.js";
export type { Session, SessionClient } from "./session/session.js";
export type { SessionOptions } from "./session/session-setup.js";
export type { PolicyForecast, ShadowPolicy } from "./shadow/policies.js";
export type { ObservedCounts, ShadowReport } from "./shadow/report.js";
export type { Estimate } from "./shadow/share-tally.js";
export { type CloseOptions, type ReadyOptions, Tidemark } from "./tidemark.js";
export type { Health, HealthProblem } from "./topology/health.js";
export type { NodeStatus } from "./topology/status.js";
