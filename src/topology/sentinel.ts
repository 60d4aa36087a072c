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
/** For how long the newest word counts although nobody repeats it: by then Sentinels have told each other, every two seconds. */
const newestCountsMs = 3_000;
/** The first answer waits so long at least for others, which may know of a failover that the first has not heard of. */
const leastGraceMs = 25;
/** No round holds up an answer, or the next round, for longer. */
const holdMs = 100;

/** Asks the Sentinels whenever they tell of something or the primary is gone; what they name still has to prove itself. */
export class SentinelTopology implements Topology {
  readonly #ground: TopologyContext;
  readonly #announced: AnnouncedAddresses;
  readonly #sentinels: SentinelGroup;
  readonly #patience: Patience;
  #shards: readonly Shard[] = [];
  /** Why the primary that the Sentinels name is not connected to. */
  #refused: string | undefined;
  #epoch = -1;
  /** When that epoch was last heard of. */
  #heardAt = Number.NEGATIVE_INFINITY;
  #round: Promise<void> | undefined;
  /** Whether something was told since the round began. */
  #again = false;
  #askedAt = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;

  constructor({ sentinels, name, common }: SentinelSetup, ground: TopologyContext) {
    this.#ground = ground;
    this.#patience = new Patience("Sentinels", ground.naming);
    const { accept, maxStalenessMs } = ground.options;
    this.#announced = new AnnouncedAddresses(common, common.natMap, accept);
    const others =
      common.updateSentinels === false ? undefined : new AnnouncedAddresses({}, common.natMap, accept);
    const onNews = (): void => this.#ask();
    this.#sentinels = new SentinelGroup({ name, given: sentinels, others, lingerMs: maxStalenessMs, onNews });
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
    this.#patience.look(this);
    const isDue = performance.now() - this.#askedAt > pollMs;
    if (isDue || !this.#shard?.hasPrimary) this.#ask();
  }

  /** One round at a time: what is told meanwhile makes another follow. */
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
   * Over when most Sentinels have answered, or some time after the first answer, so that hung Sentinels hold up nothing.
   * A greater epoch is adopted whenever it comes.
   */
  #askAll(): Promise<void> {
    const askedAt = performance.now();
    let best: SentinelAnswer | undefined;
    let answers = 0;
    let isSettled = false;
    return new Promise((resolve) => {
      const settle = (naming: SentinelAnswer): void => {
        if (isSettled) return;
        isSettled = true;
        this.#adopt(naming);
        resolve();
      };
      const answered = (naming: SentinelAnswer): void => {
        answers += 1;
        if (naming.epoch >= this.#epoch) this.#heardAt = performance.now();
        if (best === undefined || naming.epoch > best.epoch) best = naming;
        if (this.#shard !== undefined && naming.epoch > this.#epoch) this.#adopt(naming);
        const settleBest = (): void => {
          if (best !== undefined && best.epoch >= this.#epoch) settle(best);
        };
        if (answers > this.#sentinels.count / 2) settleBest();
        // Sentinels that are well take about as long as the first.
        else if (answers === 1) setTimeout(settleBest, graceAfter(performance.now() - askedAt));
      };
      const all = this.#sentinels.ask(answered).then(() => {
        const isMost = answers > this.#sentinels.count / 2;
        if (best !== undefined && this.#hasToDo(best, answers, isMost)) settle(best);
      });
      all.then(resolve, resolve);
    });
  }

  /** An older word than the last one does when all have begun to count again, or there is no primary to be left for it. */
  #hasToDo({ epoch }: SentinelAnswer, answers: number, isMost: boolean): boolean {
    if (epoch >= this.#epoch || answers === this.#sentinels.count) return true;
    const isForgotten = performance.now() - this.#heardAt > newestCountsMs;
    return isMost && isForgotten && !this.#shard?.hasPrimary;
  }

  #adopt(naming: SentinelAnswer): void {
    if (this.#timer === undefined) return;
    const primary = this.#announced.reach(naming.primary);
    if (primary === undefined) {
      const { host, port } = naming.primary;
      this.#refused = `the Sentinels name ${host}:${port}, which accept() refuses; have it return true for your primary`;
      return;
    }
    this.#refused = undefined;
    this.#epoch = naming.epoch;
    const up = this.#announced.reachAll(
      naming.replicas.filter(({ isDown }) => !isDown),
      "replicas",
    );
    const down = this.#announced.reachAll(
      naming.replicas.filter(({ isDown }) => isDown),
      "replicas",
    );
    const replicas = [...up, ...down.filter((server) => this.#shard?.find(server)?.connection.ready)];
    if (this.#shard === undefined) this.#shards = [this.#begin(primary, replicas)];
    else this.#shard.assign(primary, replicas);
  }

  #begin(primary: RedisOptions, replicas: readonly RedisOptions[]): Shard {
    const { options, lineage, left } = this.#ground;
    const joined = onPrimaryClosed(this.#ground, this, () => this.#ask());
    const others = replicas.filter((one) => addressOf(one) !== addressOf(primary));
    const surroundings = { lineage, joined, left, saw: () => {} };
    return new Shard(
      { ...options, hasArbiter: true, discovers: false },
      { primary, replicas: others },
      surroundings,
    );
  }
}

/** How much longer to wait for other Sentinels when the first took `ms`. */
function graceAfter(ms: number): number {
  return Math.min(Math.max(ms, leastGraceMs), holdMs);
}
