/** The primary and replicas that Sentinels name, followed from one failover to the next. */
import type { RedisOptions } from "ioredis";
import { addressOf } from "../address.js";
import { Shard } from "../shard/shard.js";
import { AnnouncedAddresses } from "./announced-addresses.js";
import { type SentinelAnswer, SentinelGroup } from "./sentinel-client.js";
import { onPrimaryClosed, Patience, type Topology, type TopologyContext } from "./topology.js";

/** The Sentinels, and what they call the primary. */
export interface SentinelSetup {
  readonly sentinels: readonly RedisOptions[];
  readonly name: string;
  /** Options for the primary and the replicas. */
  readonly common: RedisOptions;
}

/** How often Sentinels are asked although they have reported nothing. */
const pollMs = 10_000;
const pollWithoutPrimaryMs = 500;
/**
 * For this long after a Sentinel has last repeated the newest epoch, no answer with an older epoch is adopted. Sentinels inform
 * each other every two seconds.
 */
const newestCountsMs = 3_000;
/** The first answer waits at least this long for others, because another Sentinel may know of a newer failover. */
const leastGraceMs = 25;
/** A round of questions delays its first answer, or the next round, by no more than this. */
const holdMs = 100;

/**
 * Asks the Sentinels when they report an event or the primary is gone. Each server that the Sentinels name has to prove its role.
 */
export class SentinelTopology implements Topology {
  readonly #context: TopologyContext;
  readonly #announced: AnnouncedAddresses;
  readonly #sentinels: SentinelGroup;
  readonly #patience: Patience;
  #shards: readonly Shard[] = [];
  /** Why Tidemark does not connect to the primary that the Sentinels name. */
  #refused: string | undefined;
  #epoch = -1;
  /** When a Sentinel last answered with `#epoch` or a greater one, on the monotonic clock. */
  #heardAt = Number.NEGATIVE_INFINITY;
  #round: Promise<void> | undefined;
  /** Whether another round has to follow, because it was requested during this one, for example by an event. */
  #again = false;
  #askedAt = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;

  constructor({ sentinels, name, common }: SentinelSetup, context: TopologyContext) {
    this.#context = context;
    this.#patience = new Patience("Sentinels", context.outages);
    const { accept, maxStalenessMs } = context.options;
    this.#announced = new AnnouncedAddresses(common, common.natMap, accept);
    const others =
      common.updateSentinels === false ? undefined : new AnnouncedAddresses({}, common.natMap, accept);
    const onEvent = (): void => this.#ask();
    this.#sentinels = new SentinelGroup({
      name,
      given: sentinels,
      others,
      lingerMs: maxStalenessMs,
      onEvent,
    });
    if (!common.lazyConnect) this.open();
  }

  get shards(): readonly Shard[] {
    return this.#shards;
  }

  get #shard(): Shard | undefined {
    return this.#shards[0];
  }

  get fault(): string {
    return this.#refused ?? this.#sentinels.fault;
  }

  shardOf(): Shard | undefined {
    if (this.#shard === undefined) this.open();
    return this.#shard;
  }

  open(): void {
    if (this.#timer !== undefined) return;
    this.#shard?.open();
    this.#sentinels.open();
    this.#patience.begin();
    this.#timer = setInterval(() => this.#poll(), pollWithoutPrimaryMs).unref();
    this.#ask();
  }

  close(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#sentinels.close();
    this.#shard?.close();
  }

  #poll(): void {
    this.#patience.check(this);
    const isDue = performance.now() - this.#askedAt > pollMs;
    if (isDue || !this.#shard?.isPrimaryReady) this.#ask();
  }

  /** Starts a round of questions. If a round is under way, another one follows it. */
  #ask(): void {
    if (this.#timer === undefined) return;
    if (this.#round !== undefined) {
      this.#again = true;
      return;
    }
    this.#again = false;
    this.#askedAt = performance.now();
    const round = this.#askAll().finally(() => {
      clearTimeout(held);
      over();
    });
    const over = (): void => {
      if (this.#round !== round) return;
      this.#round = undefined;
      if (this.#again) this.#ask();
    };
    const held = setTimeout(over, holdMs).unref();
    this.#round = round;
  }

  /**
   * Asks all Sentinels. Ends when most of them have answered, or a short time after the first answer, so that Sentinels that hang
   * delay nothing. Once there is a shard, an answer with a greater epoch is adopted whenever it comes.
   */
  #askAll(): Promise<void> {
    const askedAt = performance.now();
    let best: SentinelAnswer | undefined;
    let answers = 0;
    let isSettled = false;
    return new Promise((resolve) => {
      const settle = (answer: SentinelAnswer): void => {
        if (isSettled) return;
        isSettled = true;
        this.#adopt(answer);
        resolve();
      };
      const answered = (answer: SentinelAnswer): void => {
        answers += 1;
        if (answer.epoch >= this.#epoch) this.#heardAt = performance.now();
        if (best === undefined || answer.epoch > best.epoch) best = answer;
        if (this.#shard !== undefined && answer.epoch > this.#epoch) this.#adopt(answer);
        const settleBest = (): void => {
          if (best !== undefined && best.epoch >= this.#epoch) settle(best);
        };
        if (answers > this.#sentinels.count / 2) settleBest();
        // Healthy Sentinels take about as long as the first one, so the others get the same time again.
        else if (answers === 1) setTimeout(settleBest, graceAfter(performance.now() - askedAt));
      };
      const all = this.#sentinels.ask(answered).then(() => {
        const isMost = answers > this.#sentinels.count / 2;
        if (best !== undefined && this.#isAcceptable(best, answers, isMost)) settle(best);
      });
      all.then(resolve, resolve);
    });
  }

  /**
   * Whether an answer may be adopted. An answer with an older epoch may be adopted if all Sentinels have answered, because they may
   * have started to count epochs again. It may also be adopted if most Sentinels have answered, none of them repeats the newest
   * epoch any more, and no primary is ready.
   */
  #isAcceptable({ epoch }: SentinelAnswer, answers: number, isMost: boolean): boolean {
    if (epoch >= this.#epoch || answers === this.#sentinels.count) return true;
    const isForgotten = performance.now() - this.#heardAt > newestCountsMs;
    return isMost && isForgotten && !this.#shard?.isPrimaryReady;
  }

  #adopt(answer: SentinelAnswer): void {
    if (this.#timer === undefined) return;
    const primary = this.#announced.reach(answer.primary);
    if (primary === undefined) {
      const { host, port } = answer.primary;
      this.#refused = `the Sentinels name ${host}:${port}, which accept() refuses, so make accept() return true for your primary`;
      return;
    }
    this.#refused = undefined;
    this.#epoch = answer.epoch;
    const accepted = (areDown: boolean): readonly RedisOptions[] =>
      this.#announced.reachAll(
        answer.replicas.filter(({ isDown }) => isDown === areDown),
        "replicas",
      );
    const up = accepted(false);
    const down = accepted(true).filter((server) => this.#shard?.find(server)?.connection.ready);
    const replicas = [...up, ...down];
    if (this.#shard === undefined) this.#shards = [this.#newShard(primary, replicas)];
    else this.#shard.assign(primary, replicas, "sentinels");
  }

  #newShard(primary: RedisOptions, replicas: readonly RedisOptions[]): Shard {
    const joined = onPrimaryClosed(this.#context, this, () => this.#ask());
    const others = replicas.filter((one) => addressOf(one) !== addressOf(primary));
    const options = { ...this.#context.options, hasArbiter: true, discovers: false };
    return new Shard(options, { primary, replicas: others }, { ...this.#context, joined });
  }
}

/** How much longer to wait for other Sentinels when the first took `ms`. */
function graceAfter(ms: number): number {
  return Math.min(Math.max(ms, leastGraceMs), holdMs);
}
