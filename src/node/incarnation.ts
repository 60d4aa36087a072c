/** One TCP connection to one server, and what the server reported about itself on it. */
import type { ReplicationInfo } from "../replication/replication-info.js";

/** What a node has reported about itself. */
export interface NodeReport {
  readonly replication: ReplicationInfo;
  /** When the node was asked, on this process's monotonic clock. */
  readonly at: number;
  /** The text of the report. */
  readonly text: string;
}

/** One INFO in front of the reads of a turn. Its `report` is there when a read that was sent behind it is answered. */
export interface PendingProbe {
  report: NodeReport | undefined;
  /** Set if the answer to the read is the same on every server. */
  needless?: true;
}

/** All knowledge about a server belongs to one incarnation: one TCP connection to one server that has not gone back in time. */
export class Incarnation {
  /** When it was replaced, on the monotonic clock; undefined while it is in use. */
  endedAt: number | undefined = undefined;
}
