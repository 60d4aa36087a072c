/** The public names of the package, one by one. */
export {
  type LateWriteMessage,
  type LostWriteMessage,
  lateWriteChannel,
  lostWriteChannel,
  type NodeState,
  type ReadMessage,
  type ReadRecord,
  type Reason,
  type RouteMessage,
  readChannel,
  routeChannel,
  type StaleReadMessage,
  staleReadChannel,
  type TopologyMessage,
  topologyChannel,
} from "./channels.js";
export type { Context } from "./context/context.js";
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
} from "./errors.js";
export type { FallbackLimits } from "./fallback-limit.js";
export type { KeyOptions } from "./key-rules.js";
export type { Level } from "./level.js";
export type { OnLostWrite } from "./losses.js";
export type { CommonOptions, TidemarkOptions } from "./options.js";
export type { ReadDefaultOptions } from "./read-defaults.js";
export type { ClusterServers, PrimaryServers, Server, WatchedServers } from "./servers.js";
export type { Seal, Session, SessionClient } from "./session.js";
export type { KeptOnPrimary, TidemarkStats } from "./statistics.js";
export type { Consistency, ReadOptions, Wish } from "./terms.js";
export { type CloseOptions, type ReadyOptions, type SessionOptions, Tidemark } from "./tidemark.js";
export type { NodeStatus } from "./topology/status.js";
export type { WriteToTrack } from "./touched.js";
export type { ReplicatedOptions } from "./wanted.js";
