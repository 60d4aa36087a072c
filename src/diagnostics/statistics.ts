/** Puts together what a Tidemark has counted, and counts the reads that writes keep on the primary. */
import type { Mode } from "./channels.js";
import type {
  CommandCount,
  Counts,
  FailoverCounts,
  HistogramValues,
  PinCounts,
  ProtectedReadCounts,
  TokenCounts,
  WaitCounts,
  WriteCounts,
} from "./counts.js";
import type { KeyPrefixes } from "./key-prefix.js";
import type { RecentOutcomes } from "./recent-outcomes.js";
import type { ScopeProposal } from "./scope-proposal.js";

type Keys = readonly (string | Buffer)[];

/** The result of `tidemark.stats()`: counts of this `Tidemark` in this process, since it was made. */
export interface TidemarkStats extends Totals {
  readonly rollout: RolloutStats;
}

/** The mode, and what the rule `stopWhen` knows. */
export interface RolloutStats {
  readonly mode: Mode;
  /** The share of the users whose reads replicas may answer in the mode `"live"`, from 0 to 1. */
  readonly share: number;
  /** How often the rule `stopWhen` has stopped the rollout. */
  readonly stopped: number;
  /** What the rule decides on. Undefined without a rule. */
  readonly recent: RecentOutcomes | undefined;
}

/** What has been counted since the `Tidemark` was made. */
export interface Totals {
  /**
   * The commands that were sent to servers, by the reason why they were sent there and by their level. A read that is sent again
   * counts again: its first answer was discarded, or there was none. A command that Tidemark sends by itself does not count.
   */
  readonly commands: readonly CommandCount[];
  /** The reads that waited until a replica had the data that they required. */
  readonly waits: WaitCounts;
  readonly fallback: FallbackCounts;
  readonly protectedReads: ProtectedReadCounts;
  /** The tracked writes of sessions that are over. */
  readonly writes: WriteCounts;
  readonly pins: PinCounts;
  /** How long response headers waited for the writes of their requests, in milliseconds. Only those that waited count. */
  readonly heldMs: HistogramValues;
  /** The tokens of the middleware and of `requestSessions`. */
  readonly tokens: TokenCounts;
  readonly probes: ProbeCounts;
  readonly failovers: FailoverCounts;
  /**
   * Commands for which no primary could be reached in time, or whose primary refuses the connection. They were rejected, unless a
   * replica could answer without proof.
   */
  readonly withoutPrimary: number;
  /** Writes that a failover has lost. `tidemark:lost-write` reports each of them. */
  readonly lostWrites: number;
  /** Writes that began after the response had been sent together with its token. `tidemark:late-write` reports each of them. */
  readonly lateWrites: number;
  /** Reads that were answered without proof while the primary was gone. `tidemark:stale-read` reports each of them. */
  readonly staleReads: number;
  /**
   * Writes that later reads of their session need not see, because of the option `untracked`, its default or `redis.untracked`.
   */
  readonly untrackedWrites: number;
  /** The reads of sessions that writes sent to the primary, grouped by the prefixes of the written keys, the most reads first. */
  readonly keptOnPrimary: readonly KeptOnPrimary[];
}

/** The reads that no replica could answer in time. */
export interface FallbackCounts {
  /** How many went to the primary, or are in line for it. Reads that only the primary may answer do not count. */
  readonly reads: number;
  /** How many were rejected with a `ReplicasBehindError`. */
  readonly refused: number;
  /** How many the primary has at the moment. */
  readonly active: number;
  /** How many are in line for the primary at the moment, because `fallbackLimit` lets no more through. */
  readonly waiting: number;
}

/** How often Tidemark has asked servers for their position. */
export interface ProbeCounts {
  readonly primary: number;
  readonly replica: number;
  /** How many of them were not answered, or were answered without a position: the server was gone, or refused to tell. */
  readonly failed: { readonly primary: number; readonly replica: number };
}

/** Reads that the primary answered because no replica had the writes to keys of one prefix. */
export interface KeptOnPrimary {
  /**
   * The beginning of the written keys: a prefix of `scopes` or `untracked`, or everything up to the first colon. For a script,
   * the keys that it declares are used. Undefined if the keys have no such prefix or the write names no keys, and for all
   * prefixes after the first 100. If a script may touch any key, Tidemark knows its declared keys only for reads of the same
   * request. The prefix is undefined for reads of later requests.
   */
  readonly prefix: string | undefined;
  /** How many reads there were. */
  readonly reads: number;
  /**
   * How many of these reads touched no key of this prefix. If the prefix were in `scopes`, replicas could answer most of these
   * `others`.
   */
  readonly others: number;
}

/** The reads that writes to keys of one prefix kept on the primary. */
export class KeptReads implements KeptOnPrimary {
  readonly prefix: string | undefined;
  reads = 0;
  others = 0;

  constructor(prefix: string | undefined) {
    this.prefix = prefix;
  }
}

/** A key may begin with anything, so the list must not grow with the data that users send. */
const maxPrefixes = 100;

export class Statistics {
  readonly counts: Counts;
  readonly #prefixes: KeyPrefixes;
  readonly #proposal: ScopeProposal;
  readonly #kept = new Map<string, KeptReads>();
  readonly #unnamed = new KeptReads(undefined);
  #total = 0;
  #untrackedWrites = 0;

  constructor(counts: Counts, prefixes: KeyPrefixes, proposal: ScopeProposal) {
    this.counts = counts;
    this.#prefixes = prefixes;
    this.#proposal = proposal;
  }

  /** Counts writes of a session that its later reads need not see. */
  countUntracked(writes: number): void {
    this.#untrackedWrites += writes;
  }

  /** The prefixes by which keys are counted. */
  get prefixes(): KeyPrefixes {
    return this.#prefixes;
  }

  /** The count for writes to `keys`. If `keys` is undefined, the keys are unknown. */
  keptBy(keys: Keys | undefined): KeptReads {
    return this.#of(keys && this.#prefixes.ofAll(keys));
  }

  /** Counts a read of `keys` in `kept`, the count of the writes that kept it on the primary. */
  countKept(kept: KeptReads, keys: Keys | undefined): void {
    this.#total += 1;
    kept.reads += 1;
    // A read of unknown keys may also read keys of this prefix.
    if (keys === undefined || keys.some((key) => this.#prefixes.of(key) === kept.prefix)) return;
    kept.others += 1;
    this.#proposal.consider(kept.prefix, kept.others, this.#total);
  }

  /** The current counts. */
  get now(): Totals {
    const { counts } = this;
    const kept = [...this.#kept.values(), this.#unnamed].filter(({ reads }) => reads > 0);
    return {
      commands: counts.commands,
      waits: counts.waits.now,
      fallback: {
        reads: counts.fallbackReads,
        refused: counts.refusedReads,
        active: counts.activeFallbacks,
        waiting: counts.waitingFallbacks,
      },
      protectedReads: { ...counts.protectedReads },
      writes: {
        known: counts.knownWrites,
        unknown: counts.unknownWrites,
        notLive: counts.notLiveWrites,
        perRequest: counts.writesPerRequest.now,
      },
      pins: { ...counts.pins },
      heldMs: counts.heldMs.now,
      tokens: {
        issued: counts.issuedTokens,
        accepted: counts.acceptedTokens,
        expired: counts.expiredTokens,
        unverified: counts.unverifiedTokens,
        bytes: counts.tokenBytes.now,
      },
      probes: {
        primary: counts.primaryProbes,
        replica: counts.replicaProbes,
        failed: { ...counts.failedProbes },
      },
      failovers: counts.failovers.now,
      withoutPrimary: counts.withoutPrimary,
      lostWrites: counts.lostWrites,
      lateWrites: counts.lateWrites,
      staleReads: counts.staleReads,
      untrackedWrites: this.#untrackedWrites,
      keptOnPrimary: kept
        .toSorted((one, other) => other.reads - one.reads)
        .map(({ prefix, reads, others }) => ({ prefix, reads, others })),
    };
  }

  #of(prefix: string | undefined): KeptReads {
    if (prefix === undefined) return this.#unnamed;
    let kept = this.#kept.get(prefix);
    if (kept === undefined) {
      if (this.#kept.size >= maxPrefixes) return this.#unnamed;
      kept = new KeptReads(prefix);
      this.#kept.set(prefix, kept);
    }
    return kept;
  }
}
