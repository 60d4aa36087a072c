/** Users who write growing numbers and check what they read: their own writes, and that time does not run backwards. */

import type { Tidemark } from "../../../src/index.js";

/** The least value that a read of each key must return. */
type Floors = Map<string, number>;

interface User {
  readonly key: string;
  token: string;
  /** The last number that was given to a write. */
  given: number;
  isBusy: boolean;
}

/** A read that showed less than it had to. */
export interface StaleRead {
  readonly key: string;
  readonly floor: number;
  readonly value: number;
  readonly route: string;
  readonly during: string;
  readonly own: boolean;
}

/** The servers and routes that a user needs to know. */
export interface Circumstances {
  random(): number;
  /** How the command that was sent last was routed. */
  route(): string;
  /** The current faults. */
  during(): string;
}

export class Users {
  reads = 0;
  writes = 0;
  /** Reads that showed what was left by a failover, after it had lost more. */
  lost = 0;
  readonly stale: StaleRead[] = [];
  readonly failedReads = new Map<string, number>();
  readonly failedWrites = new Map<string, number>();
  isOver = false;
  readonly #tidemarks: readonly Tidemark[];
  readonly #circumstances: Circumstances;
  readonly #users: readonly User[];
  /** Each user's own acknowledged writes. */
  readonly #written: Floors = new Map();
  /** The values that each request in flight has read. */
  readonly #requests = new Set<Floors>();
  /** Of each key the numbers that the latest loss of writes may have undone; servers may show them for a while. */
  readonly #undone = new Map<string, { readonly above: number; readonly upTo: number }>();
  /** Counts beginnings and ends of changes that may lose writes; odd while one is under way. */
  #upheavals = 0;
  #settled: Promise<void> = Promise.resolve();

  constructor(tidemarks: readonly Tidemark[], count: number, circumstances: Circumstances) {
    this.#tidemarks = tidemarks;
    this.#circumstances = circumstances;
    this.#users = Array.from({ length: count }, (_, i) => {
      return { key: `user:${i}`, token: "", given: 0, isBusy: false };
    });
  }

  get keys(): readonly string[] {
    return this.#users.map(({ key }) => key);
  }

  /** Requests one after the other, `side` of them side by side, until it is over. */
  async browse(side: number): Promise<void> {
    const loops = Array.from({ length: side }, async () => {
      while (!this.isOver) await this.#request();
    });
    await Promise.all(loops);
  }

  /** Calls `change`, which may lose writes, and then expects no more of each key than `left` says. */
  async lose(change: () => Promise<void>, left: () => Promise<Floors>): Promise<void> {
    this.#upheavals += 1;
    const settled = change()
      .then(left)
      .then((survivors) => {
        for (const floors of [this.#written, ...this.#requests])
          for (const [key, floor] of floors) floors.set(key, Math.min(floor, survivors.get(key) ?? 0));
        for (const { key, given } of this.#users)
          this.#undone.set(key, { above: survivors.get(key) ?? 0, upTo: given });
        this.#upheavals += 1;
      });
    this.#settled = settled.catch(() => {});
    await settled;
  }

  async #request(): Promise<void> {
    const user = this.#pick(this.#users);
    if (user.isBusy) return new Promise((resolve) => setImmediate(resolve));
    user.isBusy = true;
    const session = this.#pick(this.#tidemarks).session({ token: user.token });
    const seen: Floors = new Map();
    this.#requests.add(seen);
    for (let steps = 4 + 24 * this.#circumstances.random(); steps > 0; steps--) {
      const chance = this.#circumstances.random();
      if (chance < 0.05) await this.#write(session.redis, user);
      else if (chance < 0.5) await this.#read(session.redis, user.key, seen, user);
      else await this.#read(session.redis, this.#pick(this.#users).key, seen);
    }
    this.#requests.delete(seen);
    user.token = session.token();
    user.isBusy = false;
  }

  async #write(redis: Tidemark["redis"], user: User): Promise<void> {
    user.given += 1;
    const [value, upheavals] = [user.given, this.#upheavals];
    try {
      await redis.set(user.key, value);
      this.writes += 1;
      if (this.#upheavals === upheavals && upheavals % 2 === 0) this.#written.set(user.key, value);
    } catch (error) {
      count(this.failedWrites, error, ` during ${this.#circumstances.during()}`);
    }
  }

  async #read(redis: Tidemark["redis"], key: string, seen: Floors, owner?: User): Promise<void> {
    const upheavals = this.#upheavals;
    const floor = this.#floorOf(key, seen, owner);
    try {
      const reply = redis.get(key);
      const route = this.#circumstances.route();
      const value = Number(await reply);
      this.reads += 1;
      if (value < floor) await this.#judge(key, seen, { value, floor, route }, owner);
      else if (this.#upheavals === upheavals && this.#stands(key, value)) seen.set(key, value);
    } catch (error) {
      count(this.failedReads, error, ` during ${this.#circumstances.during()}`);
    }
  }

  async #judge(
    key: string,
    seen: Floors,
    { value, floor, route }: Pick<StaleRead, "value" | "floor" | "route">,
    owner: User | undefined,
  ): Promise<void> {
    const during = this.#circumstances.during();
    await this.#settled;
    if (value >= this.#floorOf(key, seen, owner)) {
      this.lost += 1;
      return;
    }
    const own = owner !== undefined && value < (this.#written.get(key) ?? 0);
    this.stale.push({ key, floor, value, route, during, own });
  }

  /** Whether what shows `value` may be expected to show no less from now on. */
  #stands(key: string, value: number): boolean {
    const undone = this.#undone.get(key);
    return this.#upheavals % 2 === 0 && !(undone && value > undone.above && value <= undone.upTo);
  }

  #floorOf(key: string, seen: Floors, owner: User | undefined): number {
    return Math.max(seen.get(key) ?? 0, owner === undefined ? 0 : (this.#written.get(key) ?? 0));
  }

  #pick<Item>(items: readonly Item[]): Item {
    const item = items[Math.floor(this.#circumstances.random() * items.length)];
    if (item === undefined) throw new Error("there is nothing to pick");
    return item;
  }
}

function count(counts: Map<string, number>, error: unknown, during: string): void {
  const code = (error instanceof Error && "code" in error ? String(error.code) : String(error)) + during;
  counts.set(code, (counts.get(code) ?? 0) + 1);
}
