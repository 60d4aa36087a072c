/** The limits that apply to a shard, such as how long a report of a server is believed. Times are in milliseconds. */

/**
 * Whether Tidemark may connect to a server at this address. Tidemark then sends the server the user name and the password of the
 * Redis user, and believes the reports of the server.
 */
export type Accept = (host: string, port: number) => boolean;

export interface ShardLimits {
  /** How long the position of a replica is remembered before the replica is asked again. */
  readonly probeIntervalMs: number;
  /** A replica answers no reads unless it is proven to be fresher than this. */
  readonly maxStalenessMs: number;
  /** A replica answers no reads if its clock is certain to differ from the primary's by more than this. */
  readonly maxClockSkewMs: number;
  /** How long a command waits for a primary, and how long a primary may be silent while commands are unanswered. */
  readonly primaryTimeoutMs: number;
  /** How long after a write the later reads of its session have to see the write. */
  readonly tokenTtlMs: number;
  /** Whether every read from a replica is proven by an INFO of its own. */
  readonly verify: "when-needed" | "always";
  /** The zone of this process. Replicas in the same zone are preferred. */
  readonly zone: string | undefined;
  /** The zones of servers that do not report their zone, by address. */
  readonly zones: Readonly<Record<string, string>>;
  /** Decides which announced servers Tidemark may connect to. Undefined allows all. */
  readonly accept: Accept | undefined;
  /** The share of the reads that each server gets, by address. A server that is not named has weight 1. */
  readonly weights: Readonly<Record<string, number>>;
}

/** The limits of one shard, and who decides which servers are in it. */
export interface ShardOptions extends ShardLimits {
  /**
   * Whether Sentinels or cluster nodes name the primary. If so, no server becomes the primary only because it reports that it is
   * one, and commands do not wait for long while there is no primary.
   */
  readonly hasArbiter: boolean;
  /** Whether the replicas are found through the INFO of the primary and of its replicas. */
  readonly discovers: boolean;
}
