/** Counts what a Tidemark does. Each event adds to a plain number, and the numbers are put together only when they are asked for. */
import type { Level, LevelName } from "../consistency/level.js";
import type { Reason } from "./channels.js";

/** All reasons, in the order of their documentation. */
const reasons: readonly Reason[] = [
  ...(["known", "checked", "primary-gone", "unproven"] as const),
  ...([
    "strong",
    "not-live",
    "no-session",
    "not-a-read",
    "write-in-flight",
    "position-unknown",
    "missing-key",
    "asked",
  ] as const),
  ...([
    "no-replica",
    "starting",
    "unusable",
    "behind",
    "read-ahead",
    "check-failed",
    "replica-failed",
  ] as const),
];
/** Why commands went to the primary that no replica may answer, whatever is known of the replicas. */
const unroutable: ReadonlySet<Reason> = new Set(["strong", "not-live", "no-session", "not-a-read", "asked"]);
const ofReplicas: ReadonlySet<Reason> = new Set(["known", "checked", "primary-gone", "unproven"]);
const levels: readonly LevelName[] = ["eventual", "session", "bounded", "strong"];

/** How many commands were sent to servers of one role for one reason at one level. */
export interface CommandCount {
  readonly role: "primary" | "replica";
  /** Why the commands were sent to servers of this role. */
  readonly reason: Reason;
  /** The level of the commands. `"bounded"` stands for all levels with `maxStalenessMs`. */
  readonly level: LevelName;
  readonly count: number;
}

/** Values in classes, as Prometheus counts them. */
export interface HistogramValues {
  /** The upper bounds of the classes, in ascending order. One more class has the values above the last bound. */
  readonly bounds: readonly number[];
  /** How many values are in each class, one more than there are bounds. A value that equals a bound is in the class below it. */
  readonly counts: readonly number[];
  /** The sum of all values. */
  readonly sum: number;
}

/** Called with each value that a histogram counts. */
export type OnValue = (value: number) => void;

/** The histograms that values were taken from. */
const origins = new WeakMap<HistogramValues, Histogram>();

/** The histogram that `values` were taken from. It may have counted more since. Undefined if there is none. */
export function histogramOf(values: HistogramValues): Histogram | undefined {
  return origins.get(values);
}

/** Counts values by their size. */
export class Histogram implements HistogramValues {
  readonly bounds: readonly number[];
  readonly counts: number[];
  sum = 0;
  #listeners: Set<OnValue> | undefined;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.counts = [...bounds.map(() => 0), 0];
  }

  add(value: number): void {
    let at = 0;
    while (at < this.bounds.length && value > (this.bounds[at] ?? 0)) at += 1;
    this.counts[at] = (this.counts[at] ?? 0) + 1;
    this.sum += value;
    if (this.#listeners !== undefined) for (const onValue of this.#listeners) onValue(value);
  }

  /** Calls `onValue` with each value from now on. */
  listen(onValue: OnValue): void {
    this.#listeners ??= new Set();
    this.#listeners.add(onValue);
  }

  unlisten(onValue: OnValue): void {
    this.#listeners?.delete(onValue);
    if (this.#listeners?.size === 0) this.#listeners = undefined;
  }

  get now(): HistogramValues {
    const now = { bounds: this.bounds, counts: [...this.counts], sum: this.sum };
    origins.set(now, this);
    return now;
  }
}

/** The commands of one reason by their levels. */
class ByLevel {
  eventual = 0;
  session = 0;
  bounded = 0;
  strong = 0;
}

/** The upper bounds of times, in milliseconds: from a round trip in one zone to the longest timeout. */
const timeBoundsMs = [1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000] as const;
/** The upper bounds of the lengths of tokens, in bytes. A cookie may have 4096. */
const sizeBounds = [64, 128, 256, 512, 1_024, 2_048] as const;
/** The upper bounds of how many writes a request makes. */
const writeBounds = [0, 1, 2, 5, 10, 20, 50] as const;

/** Values of times in milliseconds. */
export function timesMs(): Histogram {
  return new Histogram(timeBoundsMs);
}

/** How the reads ended that waited for a replica. */
export interface WaitCounts {
  /** A replica has caught up, and the read was sent to it. */
  readonly caughtUp: number;
  /** The read was given up first: its time was over, or no replica could answer it any more. */
  readonly timedOut: number;
  /** The user has given up first. */
  readonly aborted: number;
  /** How long the reads waited, in milliseconds. */
  readonly ms: HistogramValues;
}

/** How a wait ended. */
export type WaitOutcome = "caughtUp" | "timedOut" | "aborted";

export class Waits implements WaitCounts {
  caughtUp = 0;
  timedOut = 0;
  aborted = 0;
  readonly ms = timesMs();

  get now(): WaitCounts {
    const { caughtUp, timedOut, aborted, ms } = this;
    return { caughtUp, timedOut, aborted, ms: ms.now };
  }
}

/** The writes of sessions, by what is known of their positions. */
export interface WriteCounts {
  /** The position of the write is known. */
  readonly known: number;
  /** The position is not known, so the session reads from the primary until its token expires. */
  readonly unknown: number;
  /** The position was not asked for: the mode is not `"live"`, or the rollout has not reached the user. */
  readonly notLive: number;
  /** The tracked writes of each request that went through the middleware, until its headers were sent. */
  readonly perRequest: HistogramValues;
}

/**
 * Reads that replicas alone would have answered without data that the user has to see. Each read counts once. Reads of sessions with
 * rounded tokens do not count as `proven`, because these tokens require slightly more than the user has written.
 */
export interface ProtectedReadCounts {
  /** A replica was asked, and reported that it lacked the data. */
  readonly proven: number;
  /** By its latest report, each usable replica lacked the data, or was likely to lack it. No replica was asked. */
  readonly estimated: number;
}

/** How often sessions were pinned: their reads go to the primary until their token expires. */
export interface PinCounts {
  /** The position of a write is not known, for example because the connection closed before the answer. */
  readonly unknownPosition: number;
  /** The response was sent before a write or a question was answered. */
  readonly unanswered: number;
  /** Not all tokens of a request could be read, because a carrier failed or there were too many. */
  readonly unreadTokens: number;
  /** The session wrote while the mode was not `"live"`, or before the rollout reached its user, so no position was asked for. */
  readonly notLive: number;
}

/** The tokens that requests brought and responses got. */
export interface TokenCounts {
  /** Responses that brought their user a new token. */
  readonly issued: number;
  /** Tokens of requests that were accepted. */
  readonly accepted: number;
  /** Tokens of requests that had expired or said nothing. */
  readonly expired: number;
  /** Texts of requests that none of the secrets could decrypt: they were forged, or encrypted by another app. */
  readonly unverified: number;
  /** The lengths of the issued tokens, in bytes. */
  readonly bytes: HistogramValues;
}

/** The failovers that this process has seen, by who named the new primary. */
export interface FailoverCounts {
  /** The new primary itself reported that it is a primary. */
  readonly itself: number;
  readonly sentinels: number;
  /** The nodes of the cluster, or one that redirected a command. */
  readonly cluster: number;
  /** For how long the former primary had not answered when the new one replaced it, in milliseconds. */
  readonly ms: HistogramValues;
}

class Failovers implements FailoverCounts {
  itself = 0;
  sentinels = 0;
  cluster = 0;
  readonly ms = timesMs();

  get now(): FailoverCounts {
    const { itself, sentinels, cluster, ms } = this;
    return { itself, sentinels, cluster, ms: ms.now };
  }
}

/** The counts of one Tidemark in this process, since it was made. */
export class Counts {
  /** The `Tidemark`, as messages on channels name it. */
  readonly tidemark: object;
  readonly #commands = new Map<Reason, ByLevel>(reasons.map((reason) => [reason, new ByLevel()]));
  /** Reads that waited for a replica. */
  readonly waits = new Waits();
  knownWrites = 0;
  unknownWrites = 0;
  /** Writes of sessions whose reads no replica answers, because of the mode or the rollout. */
  notLiveWrites = 0;
  /** Reads that went to the primary because no replica could answer them in time. */
  fallbackReads = 0;
  /** Reads that were rejected with a `ReplicasBehindError`. */
  refusedReads = 0;
  /** Of the {@link fallbackReads}, those that the primary has not answered yet. */
  activeFallbacks = 0;
  /** Reads in line for the primary. */
  waitingFallbacks = 0;
  readonly protectedReads = { proven: 0, estimated: 0 };
  readonly pins = { unknownPosition: 0, unanswered: 0, unreadTokens: 0, notLive: 0 };
  readonly writesPerRequest = new Histogram(writeBounds);
  /** How long responses waited for the writes of their requests, in milliseconds. */
  readonly heldMs = timesMs();
  issuedTokens = 0;
  acceptedTokens = 0;
  expiredTokens = 0;
  unverifiedTokens = 0;
  readonly tokenBytes = new Histogram(sizeBounds);
  primaryProbes = 0;
  replicaProbes = 0;
  /** Questions that were not answered, or whose answers had no position. */
  readonly failedProbes = { primary: 0, replica: 0 };
  readonly failovers = new Failovers();
  /** Commands for which there was no primary in time. */
  withoutPrimary = 0;
  staleReads = 0;
  lateWrites = 0;
  lostWrites = 0;

  constructor(tidemark: object) {
    this.tidemark = tidemark;
  }

  /** Counts that a primary was replaced, because `source` named another one, after it had not answered for `absentMs`. */
  failedOver(source: "options" | "itself" | "sentinels" | "cluster", absentMs: number): void {
    if (source !== "options") this.failovers[source] += 1;
    this.failovers.ms.add(absentMs);
  }

  /**
   * How many reads replicas could have answered, by the role of the server that did. A read whose replica failed counts for the
   * primary only.
   */
  get routableReads(): { readonly primary: number; readonly replica: number } {
    const sides = { primary: 0, replica: 0 };
    for (const { role, reason, count } of this.commands) {
      if (!unroutable.has(reason)) sides[role] += count;
      if (reason === "check-failed" || reason === "replica-failed") sides.replica -= count;
    }
    return sides;
  }

  /** Counts a command that is sent to a server. */
  sent(reason: Reason, level: Level): void {
    const ofReason = this.#commands.get(reason);
    if (ofReason === undefined) return;
    if (typeof level === "object") ofReason.bounded += 1;
    else ofReason[level] += 1;
  }

  /** The commands that were sent, without those of which there were none. */
  get commands(): readonly CommandCount[] {
    return [...this.#commands].flatMap(([reason, ofReason]) => {
      const role = ofReplicas.has(reason) ? "replica" : "primary";
      return levels.flatMap((level) => {
        const count = ofReason[level];
        return count === 0 ? [] : [{ role, reason, level, count }];
      });
    });
  }
}
