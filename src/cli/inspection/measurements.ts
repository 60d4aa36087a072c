/** What the lag sampler has measured. */
import type { Answer } from "./answer.js";

/** The lag of one replica over the time that was sampled. Only moments count at which the primary had new writes. */
export interface LagOfReplica {
  readonly primary: string;
  readonly replica: string;
  /** How many bytes the replica was behind at each of these moments. */
  readonly bytes: readonly number[];
  /**
   * How long the replica took to catch up, counted from each of these moments, in milliseconds. Infinity if it did not within
   * five seconds.
   */
  readonly ms: readonly number[];
  /** How often the replica's position was unknown or of another history than the primary's. */
  readonly unknown: number;
}

/** What one primary did while it was sampled. */
export interface ActivityOfPrimary {
  readonly primary: string;
  readonly seconds: number;
  /** How many bytes it replicated, without PINGs. */
  readonly bytes: number;
  /** How many full and how many refused partial resynchronisations began. Undefined if INFO does not tell. */
  readonly fullResyncs: number | undefined;
  readonly refusedResyncs: number | undefined;
  /** How long the fastest replica took to catch up, at each moment that counted. */
  readonly fastestMs: readonly number[];
}

/** A write of the doctor's own, followed to every replica. */
export interface CanaryOfPrimary {
  readonly primary: string;
  readonly key: string;
  /** By how many bytes the write moved the primary's position. */
  readonly moved: Answer<number>;
  readonly replicas: readonly {
    readonly replica: string;
    /** Undefined if the replica's position cannot be compared with the primary's. */
    readonly caughtUpMs: number | undefined;
    /** Whether the replica has the value once it has caught up. */
    readonly hasValue: Answer<boolean>;
  }[];
}
