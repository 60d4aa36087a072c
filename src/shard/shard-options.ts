/** What bounds what may be believed of servers; times in milliseconds. */

/**
 * Whether a server at this address may be connected to. Tidemark sends it the user name and password of the Redis user, and
 * believes what it says.
 */
export type Accept = (host: string, port: number) => boolean;

export interface ShardLimits {
  /** How long a replica's position is remembered before it is asked again. */
  readonly probeIntervalMs: number;
  /** A replica not proven to be fresher than this answers nothing. */
  readonly maxStalenessMs: number;
  /** A replica whose clock is certain to differ from the primary's by more answers nothing. */
  readonly maxClockSkewMs: number;
  /** How long a command waits for a primary, and a primary may be silent while commands are unanswered. */
  readonly primaryTimeoutMs: number;
  /** How long what a session has written is looked for. */
  readonly tokenTtlMs: number;
  /** Whether every read of a replica is proven, by an INFO of its own. */
  readonly verify: "when-needed" | "always";
  /** Where this process is; replicas there are preferred. */
  readonly zone: string | undefined;
  /** Where servers are that do not tell so themselves, by their addresses. */
  readonly zones: Readonly<Record<string, string>>;
  /** Which of the servers that others announce may be connected to; undefined for all. */
  readonly accept: Accept | undefined;
  /** How much servers get of the reads, by their addresses; those not named 1. */
  readonly weights: Readonly<Record<string, number>>;
}
