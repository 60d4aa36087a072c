/** Measures in the mode `"shadow"`, on sampled sessions, what replicas would have answered. The app's own answers are never touched. */
import { isDeepStrictEqual } from "node:util";
import { Command } from "ioredis";
import { mayBeMissingKey } from "../commands/missing-key.js";
import { Durations } from "../diagnostics/durations.js";
import type { NodeReport } from "../node/incarnation.js";
import type { Node } from "../node/node.js";
import { confirmsMisses, type PendingRead } from "../reads/read.js";
import type { ReadObserver } from "../reads/read-observer.js";
import { requirementOf } from "../reads/read-requirement.js";
import { type ReadQuery, selectReplica } from "../reads/server-selection.js";
import { covers } from "../replication/lineage.js";
import type { Position } from "../replication/position.js";
import type { Rollout } from "../rollout/rollout.js";
import type { SessionSampler } from "../session/session.js";
import type { SessionRequirement } from "../session/session-requirement.js";
import { ineligibility, type ReadRequirement } from "../shard/eligibility.js";
import type { Shard } from "../shard/shard.js";
import { type ObservedRead, PolicyTallies } from "./policies.js";
import { ShadowReport } from "./report.js";

export interface ShadowOptions {
  /** The share of the sessions that is observed. */
  readonly sample: number;
  readonly maxStalenessMs: number;
}

/** A server that has not answered by then gives no evidence. */
const answerMs = 1_000;
/** More reads than this are not observed at the same time. */
const maxOpen = 1_000;
/** Of the reads for which a replica is asked, how many also compare the answers. It takes six more commands each. */
const compareShare = 0.25;
/** Reads with one short reply. Repeating a read of a large reply would burden the servers. */
const comparable = new Set([
  ...["get", "mget", "hget", "hmget", "getbit", "getrange", "exists", "hexists", "strlen", "hstrlen"],
  ...["llen", "lindex", "scard", "sismember", "smismember", "hlen", "zcard", "zscore", "zmscore", "zrank"],
]);

/** What is found out about one replica. */
interface ReplicaFinding {
  readonly report: NodeReport | undefined;
  readonly differs: boolean | undefined;
}

const nothingFound: ReplicaFinding = { report: undefined, differs: undefined };

export class Shadow implements ReadObserver, SessionSampler {
  readonly #rollout: Rollout;
  readonly #options: ShadowOptions;
  #tallies = new PolicyTallies();
  #times = { primary: new Durations(), replica: new Durations() };
  #counts = new Counts();
  #since = new Date();
  #open = 0;

  constructor(rollout: Rollout, options: ShadowOptions) {
    this.#rollout = rollout;
    this.#options = options;
    let before = rollout.mode;
    rollout.onChange(() => {
      if (rollout.mode === "shadow" && before !== "shadow") this.#begin();
      before = rollout.mode;
    });
  }

  /** What has been measured since the mode became `"shadow"`. The report stays when the mode changes to another one. */
  report(): ShadowReport {
    const forecasts = this.#tallies.forecasts(this.#times);
    const counts = { ...this.#counts, ended: this.#tallies.count };
    return new ShadowReport(this.#since, this.#options.sample, counts, forecasts);
  }

  get isObserving(): boolean {
    return this.#rollout.mode === "shadow";
  }

  /**
   * Whether a session with this requirement is observed. A session stays observed in later requests, because its token then has
   * positions. A session that wrote without being observed has a token without positions, and stays out. A token from before the
   * mode became `"shadow"` says nothing, so chance decides as for a user without a token.
   */
  samples(requirement: SessionRequirement): boolean {
    const isOfShadow = requirement.issuedAt >= this.#since.getTime();
    if (isOfShadow && requirement.positions.length > 0) return true;
    return !(isOfShadow && requirement.pinned) && Math.random() < this.#options.sample;
  }

  left(): void {
    this.#counts.left += 1;
  }

  observe(read: PendingRead): void {
    if (!this.isObserving) return;
    const counts = this.#counts;
    counts.reads += 1;
    if (!read.session.isObserved) return;
    if (read.rules.mayUseReplicas) {
      counts.observed += 1;
      this.#observe(read);
    } else counts.strong += 1;
  }

  #begin(): void {
    this.#tallies = new PolicyTallies();
    this.#times = { primary: new Durations(), replica: new Durations() };
    this.#counts = new Counts();
    this.#since = new Date();
  }

  #observe(read: PendingRead): void {
    const [tallies, times] = [this.#tallies, this.#times];
    const now = performance.now();
    const seen = this.#lookOrNot(read, now);
    this.#open += 1;
    read.onEnd((error, reply) => {
      const at = performance.now();
      if (error === undefined) times.primary.add(at - now);
      const isMissing = error === undefined && mayBeMissingKey(read.command, reply);
      seen.then((known) => {
        this.#open -= 1;
        const isKnown = known !== undefined && error === undefined;
        tallies.add(at, isKnown ? observedRead(known, read, isMissing) : undefined);
      });
    });
  }

  /** Undefined if nothing can be found out about the read. Never rejects. */
  async #lookOrNot(read: PendingRead, now: number): Promise<Seen | undefined> {
    const { session, touched } = read;
    if (this.#open >= maxOpen) return undefined;
    if (session.isWriting(touched)) return seenBehindWrite(read, now);
    if (session.lacksPosition) return undefined;
    try {
      return await this.#look(read, now);
    } catch {
      return undefined;
    }
  }

  /** Finds out where the read would have gone, and what it would have found there. */
  async #look(read: PendingRead, now: number): Promise<Seen> {
    const { shard, session, touched, command, rules } = read;
    const counts = this.#counts;
    const { forecast } = session;
    if (forecast.progressIn(shard, touched).ahead) shard.monitor.samplePrimary(now);
    const { maxStalenessMs } = this.#options;
    const requirement = requirementOf(shard, forecast, touched, rules, maxStalenessMs);
    const query: ReadQuery = {
      command,
      shard,
      session: forecast,
      rules,
      requirement,
      touched,
      iteration: undefined,
    };
    const selection = selectReplica(query, now);
    const node = selection?.node;
    if (node !== undefined && rules.requiresSession)
      forecast.progressIn(shard, touched).readFrom(node.incarnation);
    // Other policies miss only the session's own writes. What Tidemark's reads have seen before counts for Tidemark alone.
    const { positions } = requirementOf(shard, session.withoutProgress(), touched, rules, maxStalenessMs);
    const { issuedAt } = forecast.requirement;
    const replicas = shard.replicas.filter(isInUse);
    const random = replicas[Math.floor(Math.random() * replicas.length)];
    // Positions only grow, so a report that has the write needs no other.
    const isThere = random === undefined || hasAll(shard, positions, random.lastReport) === true;
    // Tidemark checks a replica about four times a second, whatever the read. Only the reads of a user who has written may fail.
    const isWritten = requirement.positions.length > 0 || Number.isFinite(requirement.since);
    const checked = isWritten && selection?.reason === "checked" ? node : undefined;
    if (checked === undefined) advanceAtEnd(read, node, now);
    const asked = new Set([isThere ? undefined : random, checked].filter((node) => node !== undefined));
    if (asked.size > 0) counts.asked += 1;
    const found = new Map<Node | undefined, ReplicaFinding>();
    for (const [node, finding] of await Promise.all(
      [...asked].map(async (node) => [node, await this.#ask(node, read, counts)] as const),
    ))
      found.set(node, finding);
    const hasReplica =
      checked === undefined ? node !== undefined : isEligible(shard, found.get(checked)?.report, requirement);
    if (checked !== undefined && hasReplica !== undefined)
      advance(read, hasReplica ? checked : undefined, performance.now());
    return {
      sinceWriteMs: issuedAt === 0 ? Number.POSITIVE_INFINITY : Date.now() - issuedAt,
      hasNoReplica: random === undefined,
      lacksWrite: isThere ? false : negated(hasAll(shard, positions, found.get(random)?.report)),
      differs: found.get(random)?.differs,
      isForPrimary: isForPrimary(hasReplica, read),
    };
  }

  /** Asks a replica for its position, and may compare its answer to `read` with the primary's. */
  async #ask(node: Node, read: PendingRead, counts: Counts): Promise<ReplicaFinding> {
    const { epoch } = node.connection;
    const isCompared = comparable.has(read.command.name.toLowerCase()) && Math.random() < compareShare;
    const finding = isCompared
      ? await Promise.race([this.#compare(node, read, counts), nothingAfter(answerMs)])
      : await positionOf(node);
    return node.connection.epoch === epoch ? finding : nothingFound;
  }

  /** Reads from a replica together with its position, and from the primary before and after that. */
  async #compare(node: Node, read: PendingRead, counts: Counts): Promise<ReplicaFinding> {
    const { primary } = read.shard;
    // The app's own read goes first.
    await undefined;
    const before = copyOf(read.command);
    const copy = copyOf(read.command);
    const at = performance.now();
    primary.read(before, false);
    const probe = node.readVerified(copy);
    const [first, own] = await Promise.all([before.promise, timed(copy.promise, at, this.#times.replica)]);
    const behind = copyOf(read.command);
    primary.read(behind, false);
    const second: unknown = await behind.promise;
    counts.compared += 1;
    const isNoise = !isDeepStrictEqual(first, second);
    if (isNoise) counts.noise += 1;
    return { report: probe.report, differs: isNoise ? undefined : !isDeepStrictEqual(own, first) };
  }
}

/** What is known of a read before its answer. */
type Seen = Omit<ObservedRead, "isMissing">;

/**
 * What is known of a read while a write of its session is in flight. Tidemark asks the primary, and nobody knows whether a replica
 * has the write. Undefined if the level of the read does not require the session's writes.
 */
function seenBehindWrite(read: PendingRead, now: number): Seen | undefined {
  const { shard, rules, policy } = read;
  if (!rules.requiresSession) return undefined;
  const isForPrimary = policy.next === undefined ? true : undefined;
  if (isForPrimary) advanceAtEnd(read, undefined, now);
  return {
    sinceWriteMs: 0,
    hasNoReplica: !shard.replicas.some(isInUse),
    lacksWrite: undefined,
    differs: undefined,
    isForPrimary,
  };
}

/** Calls `advance` when `read` ends, before the app goes on. `node` is undefined if no replica could have answered. */
function advanceAtEnd(read: PendingRead, node: Node | undefined, sentAt: number): void {
  read.onEnd((error, reply) => {
    if (error !== undefined) return;
    const isConfirmed = confirmsMisses(read.shard, read.policy) && mayBeMissingKey(read.command, reply);
    advance(read, isConfirmed ? undefined : node, sentAt);
  });
}

/**
 * Makes the later reads of the session go where they would go in the mode `"live"` if `node` had answered `read`, or else the
 * primary. A position that is requested after `sentAt` includes what the primary has answered.
 */
function advance(read: PendingRead, node: Node | undefined, sentAt: number): void {
  const { shard, session, touched, rules } = read;
  const progress = session.forecast.progressIn(shard, touched);
  if (node !== undefined) {
    if (rules.requiresSession) progress.readBy(node.incarnation);
  } else if (isForPrimary(false, read)) progress.readAhead(sentAt);
}

function observedRead(seen: Seen, read: PendingRead, isMissing: boolean): ObservedRead {
  // The primary has to confirm that a key is missing.
  const isConfirmed = isMissing && confirmsMisses(read.shard, read.policy);
  return { ...seen, isMissing, isForPrimary: isConfirmed || seen.isForPrimary };
}

/**
 * Whether Tidemark would have asked the primary. `hasReplica` is whether a replica could have answered. Undefined if it is not
 * known.
 */
function isForPrimary(hasReplica: boolean | undefined, { policy }: PendingRead): boolean | undefined {
  if (hasReplica !== false) return hasReplica === undefined ? undefined : false;
  // A read that waits for a replica, or tries another policy, may still find one later, so the outcome is not known.
  const goesOn = policy.waitMs > 0 || policy.next !== undefined || policy.fallback === "error";
  return goesOn ? undefined : true;
}

/** Whether a replica with this report could have answered. Undefined without a report. */
function isEligible(
  shard: Shard,
  report: NodeReport | undefined,
  requirement: ReadRequirement,
): boolean | undefined {
  return report && ineligibility(shard, report, false, requirement, performance.now()) === undefined;
}

/** Whether a client that picks any replica would use this one: it is connected, and it has data. */
function isInUse({ connection, lastReport, weight }: Node): boolean {
  const known = lastReport?.replication;
  return connection.ready && weight > 0 && known?.role === "replica" && !known.syncing;
}

/** Whether a node with this report has applied all of `positions`. Undefined if it is not known. */
function hasAll(
  shard: Shard,
  positions: readonly Position[],
  report: NodeReport | undefined,
): boolean | undefined {
  if (positions.length === 0) return true;
  if (report === undefined) return undefined;
  if (positions.every((position) => covers(report.replication, position, shard.lineage))) return true;
  return positions.some((position) => shard.outcome(position) === "unknown") ? undefined : false;
}

function negated(known: boolean | undefined): boolean | undefined {
  return known === undefined ? undefined : !known;
}

/** The position of `node` behind everything that this process has sent it by now. */
async function positionOf(node: Node): Promise<ReplicaFinding> {
  const at = performance.now();
  await node.afterProbe();
  const { lastReport } = node;
  if (lastReport === undefined || lastReport.at < at) return nothingFound;
  return { report: lastReport, differs: undefined };
}

/** Adds to `times` how long it takes from `at` until the promise resolves. */
async function timed(answer: Promise<unknown>, at: number, times: Durations): Promise<unknown> {
  const reply = await answer;
  times.add(performance.now() - at);
  return reply;
}

/** The same command once more. Its reply is compared as bytes. */
function copyOf({ name, args }: Command): Command {
  return new Command(name, [...args], { replyEncoding: null });
}

function nothingAfter(ms: number): Promise<ReplicaFinding> {
  return new Promise((resolve) => {
    setTimeout(() => resolve(nothingFound), ms).unref();
  });
}

/** The counts of a report, while they grow. */
class Counts {
  reads = 0;
  observed = 0;
  asked = 0;
  compared = 0;
  noise = 0;
  strong = 0;
  left = 0;
}
