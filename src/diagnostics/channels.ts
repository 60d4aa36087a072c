/**
 * Defines the channels and messages that Tidemark publishes on `node:diagnostics_channel`. A message is built only for
 * subscribers.
 */
import { channel } from "node:diagnostics_channel";
import type { Level } from "../consistency/level.js";

/** A channel of `node:diagnostics_channel` whose messages have a known type. */
export interface MessageChannel<Message> {
  /** The name to subscribe to with `node:diagnostics_channel`. */
  readonly name: string | symbol;
  readonly hasSubscribers: boolean;
  /** Calls `listener` with each message from now on. It runs synchronously and must not throw. */
  subscribe(listener: (message: Message, name: string | symbol) => void): void;
  /** Returns whether `listener` was subscribed. */
  unsubscribe(listener: (message: Message, name: string | symbol) => void): boolean;
  publish(message: Message): void;
}

function channelOf<Message>(name: string): MessageChannel<Message> {
  // Node does not know the type of the messages. Only Tidemark publishes on its channels.
  const made: unknown = channel(name);
  return made as MessageChannel<Message>;
}

/**
 * Why a command was sent to its node.
 *
 * To a replica:
 * - `known`: it was known before the read that the replica has what the session requires.
 * - `checked`: an INFO in front of the read has to prove that the replica has what the session requires.
 * - `primary-gone`: nothing is proven. The primary cannot be reached, and `staleIfPrimaryGone` allows the read.
 * - `unproven`: nothing is proven. Either the level is `"eventual"` and the primary cannot be reached, or the primary is a proxy
 *   that spreads commands. The replica may be further behind than `maxStalenessMs`.
 *
 * To the primary, because of the read or its session:
 * - `strong`: the level of the read is `"strong"`.
 * - `not-live`: the mode is not `"live"`, or the rollout has not reached the user.
 * - `no-session`: the read belongs to no session.
 * - `write-in-flight`: a write of the session is in flight.
 * - `position-unknown`: the position of one of the session's writes is unknown.
 * - `missing-key`: a replica lacks the key. The key may be on its way to the replica, or to another shard of a cluster.
 * - `asked`: the key is on its way to this shard of a cluster.
 * - `not-a-read`: it is a write, or a command that only the primary answers correctly.
 *
 * To the primary, because of the replicas:
 * - `no-replica`: there is no replica, or all have weight 0.
 * - `starting`: nothing recent is known of the replicas yet. The process has just started, has read nothing for a while, or has
 *   just found another primary.
 * - `unusable`: no replica may answer any read. `topology()` and the channel `tidemark:topology` show the reason for each
 *   replica.
 * - `behind`: no usable replica is proven, or is likely, to have the data that the read requires.
 * - `read-ahead`: the session has read newer data than the replicas are proven to have.
 * - `check-failed`: a replica was tried and was behind. Its answer was discarded.
 * - `replica-failed`: a replica was tried and failed.
 */
export type Reason =
  | "known"
  | "checked"
  | "primary-gone"
  | "unproven"
  | "strong"
  | "not-live"
  | "no-session"
  | "write-in-flight"
  | "position-unknown"
  | "no-replica"
  | "starting"
  | "unusable"
  | "read-ahead"
  | "behind"
  | "check-failed"
  | "replica-failed"
  | "missing-key"
  | "asked"
  | "not-a-read";

/**
 * What became of a command at a server.
 *
 * - `answered`: the caller got the server's answer. The answer may be an error of the server.
 * - `discarded`: the caller did not get the server's answer, because it could have been stale, or another server answered. The
 *   command was sent to another server, or the read was refused.
 * - `failed`: the command was rejected without an answer of the server, for example because the connection was lost.
 */
export type RouteOutcome = "answered" | "discarded" | "failed";

/** Published on `tidemark:route` when a command is over, once for each server that it was sent to. */
export interface RouteMessage {
  /** The `Tidemark` that this message is about. */
  readonly tidemark: object;
  /** The `Session` that gave the command. On Express it is `req.consistency` of the request. Undefined outside of sessions. */
  readonly session: object | undefined;
  /** The name of the command in lower case. */
  readonly command: string;
  /** `host:port` of the node. */
  readonly node: string;
  readonly role: "primary" | "replica";
  readonly reason: Reason;
  readonly level: Level;
  readonly outcome: RouteOutcome;
  /** From sending the command to this server until its answer, or until the answer no longer mattered, in milliseconds. */
  readonly durationMs: number;
}

/**
 * `tidemark:route`: where each command was sent, why, how long it took, and what became of it. Subscribers hear of the commands that
 * are given after they have subscribed. They run synchronously and must not throw.
 */
export const routeChannel = channelOf<RouteMessage>("tidemark:route");

/**
 * A read of a session that was answered or rejected. Only its `error` can contain keys and arguments of the command. In
 * Cloudflare D1, `role === "primary"` is called `served_by_primary`, and `zone` is called `served_by_region`.
 */
export interface ReadRecord {
  /** The name of the command in lower case. */
  readonly command: string;
  /**
   * `host:port` of the server that answered the caller, or that the caller was waiting for when the read failed. Undefined if
   * there was no such server when the read was rejected: the read was never sent, or the answers of replicas were discarded.
   */
  readonly node: string | undefined;
  /** The role of `node`. Undefined if `node` is undefined. */
  readonly role: "primary" | "replica" | undefined;
  /**
   * Why the read was sent to `node`. Undefined if `node` is undefined. The `reason` of a `ReplicasBehindError` is another one:
   * why no replica could answer.
   */
  readonly reason: Reason | undefined;
  /** The level at which the read was sent. If the read had a list of policies, the level of the policy that was applied. */
  readonly level: Level;
  /**
   * How long the read was kept before it was sent to `node` or rejected, in milliseconds. This includes discarded attempts and
   * waiting in the line of `fallbackLimit`. `waitMs` limits only the wait for a replica. 0 if the read was sent at once.
   */
  readonly waitedMs: number;
  /**
   * The estimated lag of the replica when the read was sent, in milliseconds. Undefined for the primary, and for a replica of
   * which nothing was proven.
   */
  readonly lagMs: number | undefined;
  /** The zone of `node`, if it is known. */
  readonly zone: string | undefined;
  /**
   * The error with which the read was rejected. Undefined if the read was answered. If a server sent the error, ioredis adds the
   * command's arguments as `error.command.args`. Log `error.message` if you must not log keys.
   */
  readonly error: Error | undefined;
}

/** Published on `tidemark:read` once for each read of a session, when the read is answered or rejected. */
export interface ReadMessage extends ReadRecord {
  /** The `Tidemark` that this message is about. */
  readonly tidemark: object;
  /** The `Session`. On Express it is `req.consistency` of the request. */
  readonly session: object;
}

/**
 * `tidemark:read`: which server answered each read of a session, why, and how long the read waited. Reads are all commands that
 * change nothing. Reads outside of sessions, `XREAD` with `BLOCK`, and scripts that are not read-only are not reported.
 * Subscribers run synchronously and must not throw.
 */
export const readChannel = channelOf<ReadMessage>("tidemark:read");

/**
 * The state of a server, as this process sees it.
 *
 * - `serving`: it may answer reads. A primary takes commands.
 * - `starting`: nothing recent is known of it, for example because the process has just started.
 * - `silent`: it cannot be reached, or does not answer.
 * - `unauthorized`: it refuses the user or the password, or an ACL forbids SELECT there.
 * - `loading`: it loads its data from disk.
 * - `refusing`: it is a Sentinel, it answers with errors such as BUSY or MASTERDOWN, an ACL forbids reads there, it does not have
 *   the database `db`, or it claims an offset that its primary has not reached.
 * - `unknown-position`: its position in the replication stream cannot be known, for example because an ACL forbids INFO.
 * - `other-primary`: it was given as a replica but reports that it is a primary. It may be the same primary under another name.
 * - `unknown-history`: it replicates from another primary.
 * - `syncing`: it copies all data of its primary.
 * - `link-down`: it has lost the connection to its primary.
 * - `behind`: it is not proven that its data is at most `maxStalenessMs` old.
 * - `skewed`: its clock differs from the primary's by more than `maxClockSkewMs`.
 * - `unproven`: the primary is a proxy that spreads commands, so nothing can be proven. The server answers reads at level
 *   `"eventual"` only.
 * - `excluded`: its weight is 0.
 * - `demoted`: it was the primary, reports that it is a replica, and no other primary is known yet.
 */
export type NodeState =
  | "serving"
  | "starting"
  | "silent"
  | "unauthorized"
  | "loading"
  | "refusing"
  | "unknown-position"
  | "other-primary"
  | "unknown-history"
  | "syncing"
  | "link-down"
  | "behind"
  | "skewed"
  | "unproven"
  | "excluded"
  | "demoted";

/** Published on `tidemark:topology` when a server joins or leaves, or when its role or its state changes. */
export interface TopologyMessage {
  /** The `Tidemark` that this message is about. */
  readonly tidemark: object;
  /** The kind of change. If role and state change together, it is `"role"`. */
  readonly change: "joined" | "left" | "role" | "state";
  /** `host:port` of the server, or the path of its socket. */
  readonly node: string;
  readonly role: "primary" | "replica";
  /** The current state. For a server that has left, its last state. */
  readonly state: NodeState;
  /** Whether the server may answer reads of a session that requires nothing. */
  readonly eligible: boolean;
  /** Why the server may not answer, for people to read. Undefined if it may answer, and if it has left. */
  readonly reason: string | undefined;
  /** Why the role has changed, for people to read. Undefined for the other changes, which `reason` explains. */
  readonly cause: string | undefined;
}

/**
 * `tidemark:topology`: servers that join, leave, or change their role or state. Tidemark compares the servers twice a second and
 * when a connection opens or closes, so it may miss a shorter change. Subscribers run synchronously and must not throw.
 */
export const topologyChannel = channelOf<TopologyMessage>("tidemark:topology");

/**
 * Published on `tidemark:lost-write` when a session reads for the first time after a failover has lost its writes. A token that
 * is sent again does not publish the same position twice in one process.
 */
export interface LostWriteMessage {
  /** The `Tidemark` that this message is about. */
  readonly tidemark: object;
  /** The `Session`. On Express it is `req.consistency` of the request that found the loss. */
  readonly session: object;
  /** The position of the session's last write in the stream of the old primary. */
  readonly position: { readonly replid: string; readonly offset: number };
  /** The last position in the stream of the old primary that the new primary has. Data up to this position still exists. */
  readonly survivor: { readonly replid: string; readonly offset: number };
  /** The distance from `survivor` to the lost write, in bytes. */
  readonly gap: number;
  /** `host:port` of the primary that does not have the write. */
  readonly primary: string;
}

/** Published on `tidemark:late-write` when a request begins a write after its response was sent together with its token. */
export interface LateWriteMessage {
  /** The `Tidemark` that this message is about. */
  readonly tidemark: object;
  /** The `Session`. On Express it is `req.consistency` of the request. */
  readonly session: object;
  /** The method and the route, as the framework knows it. If the framework does not know the route, the path. */
  readonly route: string;
}

/** `tidemark:late-write`: writes that their own users may not see. Subscribers run synchronously and must not throw. */
export const lateWriteChannel = channelOf<LateWriteMessage>("tidemark:late-write");

/** Published on `tidemark:stale-read` when a read is answered without proof because the primary is gone. */
export interface StaleReadMessage {
  /** The `Tidemark` that this message is about. */
  readonly tidemark: object;
  /** The `Session`. On Express it is `req.consistency` of the request. */
  readonly session: object;
  /** The name of the command in lower case. */
  readonly command: string;
  /** `host:port` of the replica that answered. */
  readonly node: string;
}

/** `tidemark:stale-read`: answers that may lack writes, where `staleIfPrimaryGone` allows them. Subscribers must not throw. */
export const staleReadChannel = channelOf<StaleReadMessage>("tidemark:stale-read");

/**
 * What a `Tidemark` does with the commands of sessions.
 *
 * - `"live"`: replicas answer reads, as the levels of the reads allow.
 * - `"shadow"`: every command goes to the primary. Tidemark measures on a sample of the sessions what replicas would have answered.
 * - `"off"`: every command goes to the primary, and nothing is measured.
 */
export type Mode = "off" | "shadow" | "live";

/** Published on `tidemark:mode` when the mode or the share of the users changes. */
export interface ModeMessage {
  /** The `Tidemark` that this message is about. */
  readonly tidemark: object;
  readonly mode: Mode;
  /** The share of the users whose reads replicas may answer while the mode is `"live"`, from 0 to 1. */
  readonly rollout: number;
  readonly before: { readonly mode: Mode; readonly rollout: number };
  /** Why Tidemark itself has changed the mode, for people to read. Undefined if the app has changed it. */
  readonly cause: string | undefined;
}

/** `tidemark:mode`: changes of `tidemark.mode` and `tidemark.rollout`. Subscribers run synchronously and must not throw. */
export const modeChannel = channelOf<ModeMessage>("tidemark:mode");

/** `tidemark:lost-write`: the writes that a failover has lost, by session. Subscribers run synchronously and must not throw. */
export const lostWriteChannel = channelOf<LostWriteMessage>("tidemark:lost-write");
