/** One TCP connection to one server, and what the server said of itself on it. */
import type { ReplicationInfo } from "../replication/replication-info.js";

/** What a node said of itself, and when it was asked, on this process's monotonic clock. */
export interface NodeReport {
  readonly replication: ReplicationInfo;
  readonly at: number;
  /** The text that says it. */
  readonly text: string;
}

/** One INFO in front of the reads of a turn; `sighting` is there when the answer to a read sent behind it is. */
export interface PendingProbe {
  sighting: NodeReport | undefined;
  /** Set when the answer is the same wherever it comes from. */
  needless?: true;
}

/** The identity of what can be remembered: one TCP connection to one server that has not gone back in time. */
export class Incarnation {
  /** When it was replaced, on the monotonic clock; undefined while it is in use. */
  endedAt: number | undefined = undefined;
}
