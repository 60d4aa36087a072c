/** What `tidemark top` knows of the servers at one moment. */
import type { NodeState } from "../../diagnostics/channels.js";

export interface Snapshot {
  readonly at: Date;
  readonly groups: readonly ServersOfPrimary[];
  /** What is wrong, for people to read. */
  readonly warnings: readonly string[];
}

/** A primary and its replicas, as far as they are known. */
export interface ServersOfPrimary {
  /** Undefined if there is only one group. */
  readonly title: string | undefined;
  readonly servers: readonly ServerRow[];
}

/** One server. A number that is not known is undefined. */
export interface ServerRow {
  readonly address: string;
  /** The role that the server reports or, while it does not answer, the role that it last reported. */
  readonly role: "primary" | "replica" | undefined;
  /** The state that a Tidemark would report. */
  readonly state: NodeState;
  /** Why the server may not answer reads. Undefined if it may. */
  readonly reason: string | undefined;
  /** How far a replica is behind its primary. */
  readonly lagBytes: number | undefined;
  /** How long a replica took to catch up or, if it has not caught up yet, how long it has been behind. */
  readonly lagMs: number | undefined;
  /** Whether the replica has caught up since. If not, `lagMs` is a lower bound. */
  readonly hasCaughtUp: boolean;
  /** The lag of the last minute, the oldest first. */
  readonly history: readonly LagSample[];
  readonly opsPerSecond: number | undefined;
  /** The link of a replica to its primary. `seconds`: since the last byte or, if the link is down, since it went down. */
  readonly link: { readonly isUp: boolean; readonly seconds: number } | undefined;
  readonly clients: number | undefined;
  readonly memoryBytes: number | undefined;
}

export interface LagSample {
  /** How long ago it was taken. */
  readonly ageMs: number;
  /** Undefined if the lag was not known. */
  readonly lagMs: number | undefined;
}
