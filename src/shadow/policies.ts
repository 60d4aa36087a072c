/** What other ways to read from replicas would have done with a read, in comparison with Tidemark. */
import { type Durations, percentileOf } from "../diagnostics/durations.js";
import { type Estimate, ShareTally } from "./share-tally.js";

/**
 * - `random-replica`: every read goes to a replica, picked at random.
 * - `replica-first`: the same, but the primary is asked if the replica does not have the key.
 * - `sticky-2s`, `sticky-5s`: the primary answers each user for 2 or 5 seconds after each write, and then a replica picked at random.
 * - `tidemark`: what this Tidemark does in the mode `"live"`.
 */
export type ShadowPolicy = "random-replica" | "replica-first" | "sticky-2s" | "sticky-5s" | "tidemark";

/** What is known of a read after the fact. A property is undefined if it is not known. */
export interface ObservedRead {
  /** How long before the read its session has last written, in milliseconds. `Infinity` if the session has not written. */
  readonly sinceWriteMs: number;
  /** Whether no replica was in use. Every policy then asks the primary. */
  readonly hasNoReplica: boolean;
  /** Whether a replica picked at random lacked a write of the session that the read may have to see. */
  readonly lacksWrite: boolean | undefined;
  /** Whether the answer of that replica differed from the primary's. Undefined if the answers were not compared. */
  readonly differs: boolean | undefined;
  /** Whether the primary's answer says that a key is missing. */
  readonly isMissing: boolean;
  /** Whether Tidemark would have asked the primary. */
  readonly isForPrimary: boolean | undefined;
}

/** The forecast for one policy. */
export interface PolicyForecast {
  readonly policy: ShadowPolicy;
  /**
   * The share of the reads that would have missed a write of their own session: at least, because a compared answer differed, and
   * at most, because the replica had not applied the write yet. The write may not have changed what the read returns.
   */
  readonly missedOwnWrite: { readonly atLeast: Estimate; readonly atMost: Estimate };
  /** The share of the reads that the primary would have answered. */
  readonly primaryShare: Estimate;
  /** The share of the observed reads of which it is not known what this policy would have done. They are in no other number. */
  readonly unknown: number;
  /** Half of the reads would have taken at most this many milliseconds, by the times of the primary and of the replicas. */
  readonly p50Ms: number;
  /** The same for 99 % of the reads. */
  readonly p99Ms: number;
}

/** How long servers took to answer reads. */
export interface AnswerTimes {
  readonly primary: Durations;
  /** The reads whose answers were compared. */
  readonly replica: Durations;
}

/** Where one policy sends a read, and whether the read misses a write there. Undefined if it is not known. */
interface Outcome {
  readonly isForPrimary: boolean;
  readonly lacksWrite: boolean;
}

type Judge = (read: ObservedRead) => Outcome | undefined;

const byPrimary: Outcome = { isForPrimary: true, lacksWrite: false };

function byRandomReplica({ hasNoReplica, lacksWrite }: ObservedRead): Outcome | undefined {
  if (hasNoReplica) return byPrimary;
  return lacksWrite === undefined ? undefined : { isForPrimary: false, lacksWrite };
}

function stickyFor(ms: number): Judge {
  return (read) => (read.sinceWriteMs < ms ? byPrimary : byRandomReplica(read));
}

const judges: readonly (readonly [ShadowPolicy, Judge])[] = [
  ["random-replica", byRandomReplica],
  // If the primary has no such key, the replica may have it still. Its answer would then be stale.
  [
    "replica-first",
    (read) => (read.isMissing && read.lacksWrite === false ? byPrimary : byRandomReplica(read)),
  ],
  ["sticky-2s", stickyFor(2_000)],
  ["sticky-5s", stickyFor(5_000)],
  [
    "tidemark",
    ({ isForPrimary }) => (isForPrimary === undefined ? undefined : { isForPrimary, lacksWrite: false }),
  ],
];

class PolicyTally {
  readonly #policy: ShadowPolicy;
  readonly #judge: Judge;
  readonly #lacksWrite = new ShareTally();
  readonly #isForPrimary = new ShareTally();
  /** Of the reads whose replica lacked the write and whose answers were compared, the share of those that differed. */
  readonly #differs = new ShareTally();
  #unknown = 0;

  constructor(policy: ShadowPolicy, judge: Judge) {
    this.#policy = policy;
    this.#judge = judge;
  }

  add(at: number, read: ObservedRead | undefined): void {
    const outcome = read && this.#judge(read);
    if (outcome === undefined) {
      this.#unknown += 1;
      return;
    }
    this.#lacksWrite.add(at, outcome.lacksWrite ? 1 : 0);
    this.#isForPrimary.add(at, outcome.isForPrimary ? 1 : 0);
    if (outcome.lacksWrite && read?.differs !== undefined) this.#differs.add(at, read.differs ? 1 : 0);
  }

  forecast(times: AnswerTimes): PolicyForecast {
    const atMost = this.#lacksWrite.estimate;
    const primaryShare = this.#isForPrimary.estimate;
    const { value, low, high } = this.#differs.reads > 0 ? this.#differs.estimate : nothingCompared;
    const mixture = mixtureOf(times, primaryShare.value);
    return {
      policy: this.#policy,
      missedOwnWrite: {
        atLeast: { value: atMost.value * value, low: atMost.low * low, high: atMost.high * high },
        atMost,
      },
      primaryShare,
      unknown: this.#unknown / (this.#unknown + this.#lacksWrite.reads),
      p50Ms: percentileOf(mixture, 0.5),
      p99Ms: percentileOf(mixture, 0.99),
    };
  }
}

const nothingCompared: Estimate = { value: 0, low: 0, high: 1 };

function mixtureOf({ primary, replica }: AnswerTimes, primaryShare: number) {
  const parts = [
    { durations: primary, share: primaryShare },
    { durations: replica, share: 1 - primaryShare },
  ].filter(({ share }) => share > 0);
  // A part whose times are not known makes every percentile unknown.
  if (parts.some(({ durations }) => durations.count === 0)) return [];
  return parts.map(({ durations, share }) => ({ durations, weight: share / durations.count }));
}

/** Counts what each policy would have done. */
export class PolicyTallies {
  /** How many reads were counted. */
  count = 0;
  readonly #tallies = judges.map(([policy, judge]) => new PolicyTally(policy, judge));

  /** Counts a read at `at`, in milliseconds. `read` is undefined if nothing is known of it. */
  add(at: number, read: ObservedRead | undefined): void {
    this.count += 1;
    for (const tally of this.#tallies) tally.add(at, read);
  }

  forecasts(times: AnswerTimes): readonly PolicyForecast[] {
    return this.#tallies.map((tally) => tally.forecast(times));
  }
}
