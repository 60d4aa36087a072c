/** Measures how far replicas are behind their primary, and how long they take to catch up. */

/** The lag of one replica over the time that was sampled. */
export interface LagOfReplica {
  readonly primary: string;
  readonly replica: string;
  /** How many bytes the replica was behind at each moment that counted. */
  readonly bytes: readonly number[];
  /** How long the replica took to catch up at each of these moments, in milliseconds. Infinity if it did not within five seconds. */
  readonly ms: readonly number[];
}
