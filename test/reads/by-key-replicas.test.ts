/** Random users on replicas that are held and released: each answer is judged by the order of writes on the primary. */
import { Redis } from "ioredis";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { CommonOptions, Session, Tidemark } from "../../src/index.js";
import { type Event, type Handed, Judge, type Request } from "../support/commands/key-judge.js";
import { KeyLog } from "../support/commands/key-log.js";
import { oneOf } from "../support/commands/keyed-commands.js";
import { type Deed, Deeds, perform } from "../support/commands/keyed-deeds.js";
import { listenToRoutes } from "../support/listeners/routes.js";
import { seeded } from "../support/load/seeded.js";
import { follows, replicaOf } from "../support/servers/failover.js";
import { promotionIsNoticed } from "../support/servers/promotion.js";
import type { RedisServer } from "../support/servers/redis-server.js";
import { type ReplicationGroup, startReplicationGroup } from "../support/servers/replication-group.js";
import { replicasAreEligible } from "../support/stages/eligible-replicas.js";
import { openTidemark } from "../support/stages/open-tidemark.js";

const seed = Number(process.env.BY_KEY_SEED ?? 5);
const commands = Number(process.env.BY_KEY_COMMANDS ?? 4_000);
const scopes = ["sess:", "own:"];
const prefixed = "p:";
const ways: readonly CommonOptions[] = [
  {},
  { monotonicReads: true, waitMs: 20 },
  { redis: { keyPrefix: prefixed }, verify: "always" },
];

/** Everybody on the servers, and what they did. */
class Crowd {
  readonly requests: Request[] = [];
  readonly log = new KeyLog();
  readonly #group: ReplicationGroup;
  readonly #random = seeded(seed);
  readonly #held = new Set<number>();
  readonly #deeds: Deeds;
  /** Their clients, by the prefix of their keys. */
  readonly #others = new Map<string, Redis>();
  readonly #floods: Promise<unknown>[] = [];
  #written = 0;
  #time = 0;
  #given = 0;

  constructor(group: ReplicationGroup) {
    this.#group = group;
    this.#deeds = new Deeds(scopes, this.below, this.nameWrite);
  }

  /** All writes go to this server from now on. */
  async follow(primary: RedisServer): Promise<void> {
    await this.log.listenTo(primary);
    for (const keyPrefix of ["", prefixed])
      this.#others.set(keyPrefix, new Redis(primary.port, { keyPrefix, retryStrategy: () => null }));
  }

  /** Resolves when all that was given is carried out and all replicas get it. */
  async end(): Promise<void> {
    this.#held.clear();
    await Promise.all(this.#group.replicas.map(({ link }) => link.release()));
    await Promise.all(this.#floods.splice(0));
    await this.log.end();
    for (const client of this.#others.values()) client.disconnect();
  }

  readonly below = (n: number): number => Math.floor(this.#random() * n);

  readonly nameWrite = (): string => {
    this.#written += 1;
    return `w${this.#written}`;
  };

  tick(): number {
    this.#time += 1;
    return this.#time;
  }

  get given(): number {
    return this.#given;
  }

  /** Now and then somebody else writes, and one of the replicas gets what it lacks, or nothing more. */
  count(): void {
    this.#given += 1;
    if (this.below(4) === 0) this.#write();
    if (this.below(30) > 0) return;
    const one = this.below(2);
    const link = this.#group.replicas[one]?.link;
    if (this.#held.has(one)) {
      if (this.below(2) > 0) return;
      this.#held.delete(one);
      void link?.release();
    } else {
      link?.hold();
      this.#held.add(one);
    }
  }

  #write(): void {
    const prefix = oneOf(this, ["", "", prefixed]);
    const flood = this.#deeds.flood();
    this.log.announce(flood.parts[0]?.name ?? "", keysOf(flood, prefix));
    const others = this.#others.get(prefix);
    if (others !== undefined) this.#floods.push(perform(others, flood));
  }
}

function keysOf({ parts }: Pick<Deed, "parts">, prefix: string): string[] {
  return parts.flatMap(({ keys }) => keys.map((key) => prefix + key));
}

/** Has requests of its own, several at once, each with tokens of those before. */
class User {
  readonly #crowd: Crowd;
  readonly #tidemark: Tidemark;
  readonly #deeds: Deeds;
  readonly #options: CommonOptions;
  readonly #tokens: Handed[] = [];

  constructor(crowd: Crowd, tidemark: Tidemark, options: CommonOptions) {
    [this.#crowd, this.#tidemark, this.#options] = [crowd, tidemark, options];
    this.#deeds = new Deeds(scopes, crowd.below, crowd.nameWrite);
  }

  /** Goes on until all together have given so many commands. */
  async live(until: number): Promise<void> {
    while (this.#crowd.given < until)
      await Promise.all(Array.from({ length: 1 + this.#crowd.below(3) }, () => this.#request()));
  }

  async #request(): Promise<void> {
    const { below, requests } = this.#crowd;
    const any = (): Handed | undefined => this.#tokens[below(this.#tokens.length + 1)];
    const begunWith = Array.from({ length: 1 + below(3) }, any).flatMap((token) => token ?? []);
    const isMonotonic = this.#options.monotonicReads === true;
    const prefix = this.#options.redis?.keyPrefix ?? "";
    const request: Request = { begunWith, prefix, isMonotonic, events: [] };
    requests.push(request);
    const session = this.#tidemark.session({ token: begunWith.map(({ token }) => token) });
    for (let steps = 1 + below(6); steps > 0; steps--) {
      const isCrowded = below(4) === 0;
      const deeds = Array.from({ length: isCrowded ? 2 + below(2) : 1 }, () => this.#deeds.next(!isCrowded));
      await Promise.all(deeds.map((deed) => this.#do(deed, session, request)));
    }
    await session.settled();
    const isCausal = below(20) === 0;
    this.#tokens.push({ token: isCausal ? session.token() : session.keyedToken(), of: request, isCausal });
    if (this.#tokens.length > 3) this.#tokens.shift();
  }

  async #do(deed: Deed, { redis }: Session, { events, prefix }: Request): Promise<void> {
    const crowd = this.#crowd;
    const given = deed.parts.map((part): Event => {
      if (part.name !== undefined) crowd.log.announce(part.name, keysOf({ parts: [part] }, prefix));
      const event = {
        part,
        deed,
        issuedAt: crowd.tick(),
        doneAt: Number.POSITIVE_INFINITY,
        values: undefined,
      };
      events.push(event);
      crowd.count();
      return event;
    });
    const client =
      deed.level !== undefined ? redis.at(deed.level) : deed.isUntracked ? redis.untracked : redis;
    const replies = await perform(client, deed);
    for (const [i, event] of given.entries()) {
      event.doneAt = crowd.tick();
      event.values = event.part.valuesIn?.(replies[i]);
    }
  }
}

let group: ReplicationGroup;
const opened: Tidemark[] = [];

beforeAll(async () => {
  group = await startReplicationGroup({ replicas: 2 });
});

afterAll(async () => {
  await Promise.all(opened.map((tidemark) => tidemark.close({ timeoutMs: 1_000 })));
  await group.stop();
});

/** Makes the first replica the primary; the old one and the other replica follow it behind the lag proxies. */
async function promote(): Promise<void> {
  const heir = replicaOf(group, 0);
  await heir.replicate(undefined);
  const others = [group.primary, replicaOf(group, 1)];
  for (const [i, server] of others.entries()) {
    const link = group.replicas[i]?.link;
    link?.retarget(heir.port);
    await server.replicate(link);
  }
  await Promise.all(others.map((server) => follows(server, heir)));
  for (const tidemark of opened) await promotionIsNoticed(tidemark, heir);
}

it(
  "users see their own writes in what they read, and each scope in order, while replicas lag",
  async () => {
    const crowd = new Crowd(group);
    const users = ways.flatMap((more) => {
      const options: CommonOptions = { ...more, scopes, untracked: [], fallbackLimit: false };
      const tidemark = openTidemark(group, options);
      opened.push(tidemark);
      return [1, 2, 3].map(() => new User(crowd, tidemark, options));
    });
    using routes = listenToRoutes();
    const liveUntil = async (until: number): Promise<void> => {
      await Promise.all(opened.map((tidemark) => replicasAreEligible(tidemark)));
      await Promise.all(users.map((user) => user.live(until)));
      await crowd.end();
    };
    await crowd.follow(group.primary);
    await liveUntil(commands / 2);
    await group.caughtUp();
    await promote();
    await crowd.follow(replicaOf(group, 0));
    await liveUntil(commands);

    const verdict = new Judge(crowd.log, scopes, crowd.requests).judge(crowd.requests);
    expect(verdict.faults, `BY_KEY_SEED=${seed}`).toEqual([]);
    const onReplicas = routes.all().filter((route) => route.startsWith("replica:")).length;
    expect(onReplicas).toBeGreaterThan(commands / 20);
    expect(verdict.lacking).toBeGreaterThan(commands / 200);
    expect(verdict.strong).toBeGreaterThan(0);
  },
  60_000 + 20 * commands,
);
