/** One TCP connection to one server, and what the server reported about itself on it. */
import type { ReplicationInfo } from "../replication/replication-info.js";

/** A report of a node about itself. */
export interface NodeReport {
  readonly replication: ReplicationInfo;
  /** When the node was asked, on this process's monotonic clock. */
  readonly at: number;
  /** The text of the report. */
  readonly text: string;
}

/**
 * One INFO that is sent before the reads of a turn of the event loop. `report` is set by the time that a read sent after the INFO
 * is answered.
 */
export interface PendingProbe {
  report: NodeReport | undefined;
  /** Set if the answer to the read is the same on every server. */
  needless?: true;
}

/**
 * All knowledge about a server belongs to one incarnation: one TCP connection to one server, for as long as the server's data does
 * not go back in time.
 */
export class Incarnation {
  /** When this incarnation was replaced, on the monotonic clock; undefined while it is in use. */
  endedAt: number | undefined = undefined;
}
