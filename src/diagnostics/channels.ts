/** Everything Tidemark publishes on `node:diagnostics_channel`; a message is built only if somebody subscribes. */
import { channel } from "node:diagnostics_channel";
import type { Level } from "../consistency/level.js";

/**
 * Why a command was sent to the node that it was sent to.
 *
 * To a replica:
 * - `known`: its remembered position covers the session.
 * - `checked`: its answer came with the proof.
 * - `primary-gone`: nothing is proven. The primary cannot be reached, and `staleIfPrimaryGone` allows it.
 * - `unproven`: the same at level `"eventual"`, or the primary is a proxy that spreads commands. The replica may be further
 *   behind than `maxStalenessMs`.
 *
 * To the primary, because of the read or its session:
 * - `strong`: the level asks for it.
 * - `no-session`: the read belongs to no session.
 * - `write-in-flight`: a write of the session is on its way.
 * - `position-unknown`: the position of one of its writes is not known.
 * - `missing-key`: a replica lacks the key. The key may be on its way to the replica, or to another shard of a cluster.
 * - `asked`: the key is on its way to this shard of a cluster.
 * - `not-a-read`: it is a write, or a command that only the primary answers correctly.
 *
 * To the primary, because of the replicas:
 * - `no-replica`: there is none, or all have weight 0.
 * - `starting`: nothing recent is known of the replicas yet. The process has just started, has read nothing for
 *   a while, or has just found another primary.
 * - `unusable`: no replica may answer any read. `topology()` and the channel `tidemark:topology` have the reason of each.
 * - `behind`: no usable replica is proven, or is likely, to have what the read requires.
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

/** Published on `tidemark:route` for every time a command is sent to a node. */
export interface RouteMessage {
  /** Its name in lower case. */
  readonly command: string;
  /** `host:port` of the node. */
  readonly node: string;
  readonly role: "primary" | "replica";
  readonly reason: Reason;
  readonly level: Level;
}

/** `tidemark:route`: where each command is sent, and why. Subscribers run synchronously and must not throw. */
export const routeChannel = channel("tidemark:route");

/**
 * One read of a session that was answered or rejected. It has no keys and no arguments. Users of Cloudflare D1 know
 * `role === "primary"` as `served_by_primary`, and `zone` as `served_by_region`.
 */
export interface ReadRecord {
  /** Its name in lower case. */
  readonly command: string;
  /**
   * `host:port` of the server whose answer the caller got, or that the caller was waiting for when the read failed. Undefined when the
   * read was rejected without that: it was never sent, or the answers of replicas were discarded.
   */
  readonly node: string | undefined;
  /** The role of `node`; undefined without it. */
  readonly role: "primary" | "replica" | undefined;
  /** Why the read was sent to `node`; undefined without it. A `ReplicasBehindError` has a reason of its own. */
  readonly reason: Reason | undefined;
  /** The level it was sent at: of a list of wishes, that of the wish which was granted. */
  readonly level: Level;
  /**
   * How long the read was kept before it was sent to `node`, or rejected, in milliseconds. This includes the time that
   * discarded attempts took, and the line of `fallbackLimit`: `waitMs` bounds the wait for a replica alone. 0 when it was sent at once.
   */
  readonly waitedMs: number;
  /**
   * How far behind the replica was, as estimated when the read was sent, in milliseconds. Undefined for the primary, and for a
   * replica of which nothing was proven.
   */
  readonly lagMs: number | undefined;
  /** The zone of `node`, if it is known. */
  readonly zone: string | undefined;
  /**
   * The error that the read was rejected with, if it was. If a server sent it, ioredis adds the arguments of the command as
   * `error.command.args`: log `error.message` if keys must not be logged.
   */
  readonly error: Error | undefined;
}

/** Published on `tidemark:read` once for each read of a session, when it is answered or rejected. */
export interface ReadMessage extends ReadRecord {
  /** The `Session`; on Express it is `req.consistency` of the request. */
  readonly session: object;
}

/**
 * `tidemark:read`: which server answered each read of a session, why, and how long the read waited. Reads are all commands
 * that change nothing. Not reported are reads outside of sessions, `XREAD` with `BLOCK`, and scripts that are not read-only.
 * Subscribers run synchronously and must not throw.
 */
export const readChannel = channel("tidemark:read");

/**
 * The state of a server, as this process sees it.
 *
 * - `serving`: it may answer reads; a primary takes commands.
 * - `starting`: nothing recent is known of it, for example because the process has just started.
 * - `silent`: it cannot be reached, or does not answer.
 * - `unauthorized`: it refuses the user or the password, or an ACL forbids SELECT there.
 * - `loading`: it loads its data from disk.
 * - `refusing`: it is a Sentinel, it answers with errors, such as BUSY or MASTERDOWN, an ACL forbids reads there, it does not have the database
 *   `db`, or it claims an offset that its primary has not reached.
 * - `unknown-position`: its position in the replication stream cannot be known, for example because an ACL forbids INFO.
 * - `other-primary`: it was given as a replica and says that it is a primary. It may be the primary by another name.
 * - `unknown-history`: it replicates from another primary.
 * - `syncing`: it copies all data of its primary.
 * - `link-down`: it has lost the connection to its primary.
 * - `behind`: it is not proven to be fresher than `maxStalenessMs`.
 * - `skewed`: its clock differs from the primary's by more than `maxClockSkewMs`.
 * - `unproven`: the primary is a proxy that spreads commands, so nothing can be proven. It answers reads at level
 *   `"eventual"` only.
 * - `excluded`: its weight is 0.
 * - `demoted`: it was the primary, says that it is a replica, and no other primary is known yet.
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
  /** What has changed. If role and state change together, it is `"role"`. */
  readonly change: "joined" | "left" | "role" | "state";
  /** `host:port` of the server, or the path of its socket. */
  readonly node: string;
  readonly role: "primary" | "replica";
  /** The state it is in now; of a server that has left, its last state. */
  readonly state: NodeState;
  /** Whether it may answer reads of a session that requires nothing. */
  readonly eligible: boolean;
  /** Why not, for people to read; undefined when it may, and when it has left. */
  readonly reason: string | undefined;
}

/**
 * `tidemark:topology`: servers that join, leave, or change their role or state. Tidemark compares twice a second and when a
 * connection opens or closes, so a change that lasts for less may be missed. Subscribers run synchronously and must not throw.
 */
export const topologyChannel = channel("tidemark:topology");

/**
 * Published on `tidemark:lost-write` when a session reads for the first time after a failover has lost its writes. A token
 * that is sent again does not publish the same position twice in one process.
 */
export interface LostWriteMessage {
  /** The `Session`; on Express it is `req.consistency` of the request that found out. */
  readonly session: object;
  /** Where in the stream of the old primary the session's last write was. */
  readonly position: { readonly replid: string; readonly offset: number };
  /** The last position of that stream which the new primary has: what came up to it still exists. */
  readonly survivor: { readonly replid: string; readonly offset: number };
  /** How far the write was behind that, in bytes. */
  readonly gap: number;
  /** `host:port` of the primary that does not have it. */
  readonly primary: string;
}

/** Published on `tidemark:late-write` when a request begins to write after its response has gone, token and all. */
export interface LateWriteMessage {
  /** The `Session`; on Express it is `req.consistency` of the request. */
  readonly session: object;
  /** The method, and the route as the framework knows it, else the path. */
  readonly route: string;
}

/** `tidemark:late-write`: writes whose users may miss them. Subscribers run synchronously and must not throw. */
export const lateWriteChannel = channel("tidemark:late-write");

/** Published on `tidemark:stale-read` when a read is answered without proof because the primary is gone. */
export interface StaleReadMessage {
  /** The `Session`; on Express it is `req.consistency` of the request. */
  readonly session: object;
  /** Its name in lower case. */
  readonly command: string;
  /** `host:port` of the replica that answered. */
  readonly node: string;
}

/** `tidemark:stale-read`: answers that may miss writes, where `staleIfPrimaryGone` allows it. Subscribers must not throw. */
export const staleReadChannel = channel("tidemark:stale-read");

/** `tidemark:lost-write`: what a failover has lost, session by session. Subscribers run synchronously and must not throw. */
export const lostWriteChannel = channel("tidemark:lost-write");
