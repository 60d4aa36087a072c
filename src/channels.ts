/** Everything Tidemark tells the outside, by `node:diagnostics_channel`; nothing is built when nobody listens. */
import { channel } from "node:diagnostics_channel";
import type { Level } from "./level.js";

/**
 * Why a command went where it went.
 *
 * To a replica: `known` (its remembered position covers the session), `checked` (its answer came with the proof), `window`
 * (nothing can be proven of it, and the session has written nothing for longer than it is trusted to lag).
 * `primary-gone` (nothing is proven; the primary cannot be reached, and the terms allow it), `unproven` (the same at level
 * `"eventual"`, which allows it by itself: the replica may be further behind than `maxStalenessMs`; or the primary is a proxy
 * that spreads commands, so that nothing can be proven).
 * To the primary: `strong` (the level asks for it), `no-session` (outside of any), `write-in-flight` (a write of this
 * session is on its way), `position-unknown` (the position of one could not be learnt), `no-replica` (there is none),
 * `read-ahead` (the session has read newer data than replicas are proven to have), `behind` (no replica is likely to
 * have caught up), `check-failed` (one was tried and had not; its answer was thrown away), `replica-failed` (one was
 * tried and failed), `missing-key` (a replica lacks the key, which may be on its way there, or to another
 * shard of a cluster, or nothing proves that the replica has any), `asked` (a shard that the key is on its way to), `not-a-read` (a write, or a command only the primary answers rightly).
 */
export type Reason =
  | "known"
  | "checked"
  | "window"
  | "primary-gone"
  | "unproven"
  | "strong"
  | "no-session"
  | "write-in-flight"
  | "position-unknown"
  | "no-replica"
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

/** Published on `tidemark:lost-write` when a session reads for the first time after a failover has lost its writes. */
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
