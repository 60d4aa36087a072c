/** The counts of `tidemark.stats()`: untracked writes, and the reads that writes keep on the primary. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { CommonOptions, Tidemark } from "../../src/index.js";
import { listenToRoutes } from "../support/listeners/routes.js";
import { seeded } from "../support/load/seeded.js";
import { holdReplicas, releaseReplicas } from "../support/servers/held-replicas.js";
import { type ReplicationGroup, startReplicationGroup } from "../support/servers/replication-group.js";
import { replicasAreEligible } from "../support/stages/eligible-replicas.js";
import { openTidemark } from "../support/stages/open-tidemark.js";
import { waitUntil } from "../support/wait-until.js";

type Client = Tidemark["redis"];

/** The age of a held replica must not decide, nor how many reads the primary takes, however long a loaded machine takes. */
const patient = { maxStalenessMs: 600_000, tokenTtlMs: 1_200_000, fallbackLimit: false } as const;

let group: ReplicationGroup;
let tidemark: Tidemark;

beforeAll(async () => {
  group = await startReplicationGroup({ replicas: 2 });
});

beforeEach(() => open());

afterEach(async () => {
  await tidemark.close();
  await releaseReplicas(group);
});

afterAll(() => group.stop());

async function open(options: Partial<CommonOptions> = {}): Promise<void> {
  await tidemark?.close();
  tidemark = openTidemark(group, { ...patient, ...options });
  await replicasAreEligible(tidemark);
}

/** Does something in a request of its own; resolves with the token that the user brings next time. */
async function request(does: (redis: Client) => Promise<unknown>, token = ""): Promise<string> {
  const session = tidemark.session({ token });
  await does(session.redis);
  await session.settled();
  return session.keyedToken();
}

const kept = (): unknown[] =>
  tidemark.stats().keptOnPrimary.map(({ prefix, reads, others }) => [prefix, reads, others]);

it("stats() starts at zero", () => {
  expect(tidemark.stats()).toMatchObject({ untrackedWrites: 0, keptOnPrimary: [] });
});

describe("untracked writes", () => {
  it("are counted one by one, as single commands, in pipelines, in transactions and as blocking commands", async () => {
    await open({ untracked: ["views:"] });
    await request(async (redis) => {
      await redis.incr("views:1");
      await redis.untracked.incr("page:1");
      await redis.pipeline().incr("views:1").get("views:1").incr("page:1").incr("views:2").exec();
      await redis.untracked.multi().incr("page:1").get("page:1").incr("page:2").exec();
      await redis.untracked.blpop("list:1", 0.01);
      await redis.untracked.get("page:1");
    });
    expect(tidemark.stats().untrackedWrites).toBe(7);
  });

  it("are the scripts of limiters by default", async () => {
    const script = "return redis.call('incr', KEYS[1])";
    await request(async (redis) => {
      await redis.eval(script, 1, "rl:1");
      await redis.pipeline().eval(script, 1, "rl:1").exec();
      await redis.eval(script, 1, "own:1");
      await redis.incr("rl:1");
    });
    expect(tidemark.stats().untrackedWrites).toBe(2);
  });

  it("are counted only in sessions", async () => {
    await tidemark.redis.untracked.incr("views:1");
    await tidemark.redis.incr("rl:1");
    expect(tidemark.stats().untrackedWrites).toBe(0);
  });

  it("do not include a transaction that also has a tracked write", async () => {
    await open({ untracked: ["views:"] });
    await request((redis) => redis.multi().incr("views:1").incr("page:1").exec());
    expect(tidemark.stats().untrackedWrites).toBe(0);
  });
});

/** Counts as a limiter does. */
const count = "return redis.call('incr', KEYS[1])";

/** Each begins with replicas that get nothing. */
const cases: Readonly<Record<string, readonly [() => Promise<unknown>, readonly unknown[]]>> = {
  "of other keys after a write of the request": [
    () =>
      request((r) => r.set("hits:1", 1).then(() => Promise.all([r.get("page:1"), r.mget("page:2", "x")]))),
    [["hits:", 2, 2]],
  ],
  "of keys of the same prefix after a write of the request": [
    () =>
      request((r) => r.set("hits:1", 1).then(() => Promise.all([r.get("hits:2"), r.mget("x", "hits:1")]))),
    [["hits:", 2, 0]],
  ],
  "after the latest of several writes": [
    () =>
      request((r) =>
        r
          .set("hits:1", 1)
          .then(() => r.set("log:1", 1))
          .then(() => r.get("page:1")),
      ),
    [["log:", 1, 1]],
  ],
  "of the key that one of several writes changed": [
    () =>
      request((r) =>
        r
          .set("cart:1", 1)
          .then(() => r.set("log:1", 1))
          .then(() => r.get("cart:1")),
      ),
    [["cart:", 1, 0]],
  ],
  "after a write that is still in flight": [
    () => request((r) => Promise.all([r.set("hits:1", 1), r.get("page:1"), r.get("hits:1")])),
    [["hits:", 2, 1]],
  ],
  "of keys that an earlier request wrote, and of other keys after them": [
    async () => {
      const token = await request((r) => r.set("mysess:1", 1));
      await request((r) => r.get("mysess:1").then(() => r.get("page:1")), token);
    },
    [["mysess:", 2, 1]],
  ],
  "of other keys than an earlier request wrote: none": [
    async () => {
      const token = await request((r) => r.set("mysess:1", 1));
      await request((r) => r.get("page:1"), token);
    },
    [],
  ],
  "in another scope than the write: none": [
    () => request((r) => r.set("sess:1", 1).then(() => r.get("page:1"))),
    [],
  ],
  "in the scope of the write": [
    () => request((r) => r.set("sess:1", 1).then(() => Promise.all([r.get("sess:1"), r.get("sess:2")]))),
    [["sess:", 2, 0]],
  ],
  "in all scopes once they count as one": [
    () =>
      request((r) =>
        r
          .set("sess:1", 1)
          .then(() => r.get("sess:1"))
          .then(() => r.mget("sess:2", "page:1"))
          .then(() => r.get("page:1")),
      ),
    [["sess:", 3, 1]],
  ],
  "in a scope that an earlier request wrote in, and in all scopes once they count as one": [
    async () => {
      const token = await request((r) => r.set("sess:1", 1));
      await request(async (r) => {
        await r.get("sess:1");
        await r.get("page:1");
        await r.mget("sess:2", "page:1");
        await r.get("page:1");
      }, token);
    },
    [["sess:", 3, 1]],
  ],
  "but not strong reads among them": [
    () =>
      request(async (r) => {
        await r.set("hits:1", 1);
        await r.get("page:1");
        await r.at("strong").get("page:1");
      }),
    [["hits:", 1, 1]],
  ],
  "after a write whose keys are unknown": [
    () => request((r) => r.eval("redis.call('set', 'x:1', 1)", 0).then(() => r.get("page:1"))),
    [[undefined, 1, 1]],
  ],
  "after a script, by the keys that it declares": [
    () =>
      request((r) =>
        r.eval(count, 1, "limit:1").then(() => Promise.all([r.get("page:1"), r.get("limit:2")])),
      ),
    [["limit:", 2, 1]],
  ],
  "after a script that was sent by call()": [
    () => request((r) => r.call("EVAL", count, "1", "limit:1").then(() => r.get("page:1"))),
    [["limit:", 1, 1]],
  ],
  "after a script in a pipeline": [
    () =>
      request((r) =>
        r
          .pipeline()
          .eval(count, 1, "limit:1")
          .incr("limit:2")
          .exec()
          .then(() => r.get("page:1")),
      ),
    [["limit:", 1, 1]],
  ],
  "after a script in flight": [
    () => request((r) => Promise.all([r.eval(count, 1, "limit:1"), r.get("page:1")])),
    [["limit:", 1, 1]],
  ],
  "after a script that declares keys of several prefixes": [
    () => request((r) => r.eval(count, 2, "limit:1", "other:1").then(() => r.get("page:1"))),
    [[undefined, 1, 1]],
  ],
  "after a script in a transaction": [
    () =>
      request((r) =>
        r
          .multi()
          .eval(count, 1, "limit:1")
          .incr("limit:2")
          .exec()
          .then(() => r.get("page:1")),
      ),
    [["limit:", 1, 1]],
  ],
  "after a script and one that declares no keys, in a transaction": [
    () =>
      request((r) =>
        r
          .multi()
          .eval(count, 1, "limit:1")
          .eval("return 1", 0)
          .exec()
          .then(() => r.get("page:1")),
      ),
    [[undefined, 1, 1]],
  ],
  "after a script and one that declares no keys, in a pipeline": [
    () =>
      request((r) =>
        r
          .pipeline()
          .eval(count, 1, "limit:1")
          .eval("return 1", 0)
          .exec()
          .then(() => r.get("page:1")),
      ),
    [[undefined, 1, 1]],
  ],
  "after a script, and a later write to another key": [
    () =>
      request((r) =>
        r
          .eval(count, 1, "limit:1")
          .then(() => r.set("cart:1", 1))
          .then(() => Promise.all([r.get("page:1"), r.get("cart:1")])),
      ),
    [
      ["limit:", 1, 1],
      ["cart:", 1, 0],
    ],
  ],
  "after a script of an earlier request, which the token does not name": [
    async () => {
      const token = await request((r) => r.eval(count, 1, "limit:1"));
      await request((r) => r.get("page:1"), token);
    },
    [[undefined, 1, 1]],
  ],
  "after a write to keys without a prefix": [
    () => request((r) => r.set("a-session-id", 1).then(() => Promise.all([r.get("page:1"), r.get("b")]))),
    [[undefined, 2, 1]],
  ],
  "after a write to keys of several prefixes": [
    () => request((r) => r.mset("a:1", 1, "b:1", 1).then(() => r.get("page:1"))),
    [[undefined, 1, 1]],
  ],
  "of unknown keys": [
    () => request((r) => r.set("hits:1", 1).then(() => r.eval_ro("return 1", 1, "page:1"))),
    [[undefined, 1, 0]],
  ],
  "after more writes than a token names": [
    async () => {
      const keys = Array.from({ length: 9 }, (_, i) => [`item:${i}`, 1]).flat();
      const token = await request((r) => r.mset(keys));
      await request((r) => r.get("page:1"), token);
    },
    [[undefined, 1, 1]],
  ],
  "in a pipeline, each counted by itself": [
    () => request((r) => r.set("hits:1", 1).then(() => r.pipeline().get("page:1").get("page:2").exec())),
    [["hits:", 2, 2]],
  ],
  "that go to the primary for another reason, or are not reads of the session: none": [
    async () => {
      await request((r) => r.set("hits:1", 1).then(() => r.at("strong").get("page:1")));
      await request((r) => r.set("hits:1", 1).then(() => r.at("eventual").get("page:1")));
      await request((r) =>
        r
          .at("strong")
          .get("page:1")
          .then(() => r.get("page:2")),
      );
      await tidemark.redis.get("page:1");
    },
    [],
  ],
};

describe("reads that writes keep on the primary", () => {
  it.each(Object.entries(cases))("%s", async (_title, [act, expected]) => {
    holdReplicas(group);
    // So that the primary is ahead, whatever the case does.
    await tidemark.redis.set("elsewhere", 1);
    await act();
    expect(kept()).toEqual(expected);
  });

  it("are counted under their prefixes without keyPrefix", async () => {
    await open({ redis: { keyPrefix: "app:" } });
    holdReplicas(group);
    await request((r) => r.set("hits:1", 1).then(() => r.get("page:1")));
    await request((r) => r.set("sess:1", 1).then(() => r.get("sess:1")));
    expect(kept()).toEqual([
      ["hits:", 1, 1],
      ["sess:", 1, 0],
    ]);
  });

  it("are counted for 100 prefixes separately, and for all others together", async () => {
    holdReplicas(group);
    const names = Array.from(
      { length: 103 },
      (_, i) => `${"abcdefghijkl"[i % 12]}${"abcdefghijkl"[Math.floor(i / 12)]}`,
    );
    for (const name of names) await request((r) => r.set(`${name}:1`, 1).then(() => r.get("page:1")));
    const { keptOnPrimary } = tidemark.stats();
    expect(keptOnPrimary[0]).toEqual({ prefix: undefined, reads: 3, others: 3 });
    expect(keptOnPrimary).toHaveLength(101);
  });

  it("include those for a token whose write has no known position", async () => {
    holdReplicas(group);
    const session = tidemark.session();
    const writing = session.redis.set("hits:1", 1);
    await request((r) => r.get("page:1"), session.token());
    await writing;
    expect(kept()).toEqual([[undefined, 1, 1]]);
  });

  it("no longer occur once the replicas have caught up", async () => {
    holdReplicas(group);
    const token = await request((r) => r.set("hits:1", 1));
    await releaseReplicas(group);
    await replicasAreEligible(tidemark);
    await request(async (r) => {
      await r.get("hits:1");
      await r.get("page:1");
    }, token);
    expect(kept()).toEqual([]);
  });

  it("do not include those kept there by a staleness bound", async () => {
    holdReplicas(group);
    await request((r) => r.at({ maxStalenessMs: 0.001 }).get("page:1"));
    expect(kept()).toEqual([]);
  });

  it("do not include those kept there by a bound after a write that replicas have", async () => {
    const { redis } = tidemark.session();
    await redis.set("hits:1", 1);
    using routes = listenToRoutes();
    const isOnReplica = async (): Promise<boolean> => {
      await redis.get("page:1");
      return routes.of("get").at(-1)?.startsWith("replica:") === true;
    };
    await waitUntil(isOnReplica, { what: "a replica has the write" });
    const before = kept();
    await redis.at({ maxStalenessMs: 0.001 }).get("page:1");
    expect(routes.of("get").at(-1)).toMatch(/^primary:/);
    expect(kept()).toEqual(before);
  });

  it("do not include eventual reads for which all replicas lag too far", async () => {
    await open({ maxStalenessMs: 200, tokenTtlMs: 60_000 });
    holdReplicas(group);
    const { redis } = tidemark.session();
    using routes = listenToRoutes();
    await waitUntil(
      async () => {
        await tidemark.redis.set("elsewhere", 1);
        await redis.set("hits:1", 1);
        await redis.at("eventual").get("page:1");
        return routes.of("get").at(-1) === "primary:behind";
      },
      { what: "replicas are too far behind" },
    );
    expect(kept()).toEqual([]);
  });

  it("do not include monotonic reads without a write", async () => {
    await open({ monotonicReads: true });
    holdReplicas(group);
    await tidemark.redis.set("page:1", 1);
    using routes = listenToRoutes();
    const token = await request((r) => r.at("strong").get("page:1"));
    await request((r) => r.get("page:1"), token);
    expect(routes.of("get").at(-1)).toMatch(/^primary:/);
    expect(kept()).toEqual([]);
  });
});

describe("random requests", () => {
  const seed = 20_261_130;
  const users = 5;
  const requests = 250;
  const prefixes = ["a:", "b:", "sess:", undefined];

  /** The expected count, by the rules alone. */
  class Model {
    readonly counts = new Map<string | undefined, [reads: number, others: number]>();
    untracked = 0;
    /** By user, the keys that were written in an earlier request or in this one. */
    readonly written: Set<string>[] = Array.from({ length: users }, () => new Set());

    /** Users of whose scripts one counts for every key from then on. */
    readonly ranScript = new Set<number>();

    count(by: string | undefined, key: string): void {
      const [reads, others] = this.counts.get(by) ?? [0, 0];
      this.counts.set(by, [reads + 1, others + (prefixOf(key) === by ? 0 : 1)]);
    }
  }

  const prefixOf = (key: string): string | undefined =>
    prefixes.find((prefix) => prefix && key.startsWith(prefix));
  const scopeOf = (key: string): string => (key.startsWith("sess:") ? "sess:" : "");
  /** Not all users do: after a script nothing else decides what a read is counted for. */
  const runsScripts = (user: number): boolean => user > 2;

  it("are counted according to the rules", async () => {
    await open({ untracked: ["views:"] });
    const random = seeded(seed);
    const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] ?? (list[0] as T);
    const model = new Model();
    const tokens = Array.from({ length: users }, () => "");
    holdReplicas(group);
    await tidemark.redis.set("elsewhere", 1);
    using routes = listenToRoutes();
    for (let i = 0; i < requests; i++) {
      const user = Math.floor(random() * users);
      const written = model.written[user] ?? new Set();
      const latest = new Map<string, string>();
      const keeper = new Map<string, string | undefined>();
      let ranScript = false;
      // At most eight keys, which is what a token names.
      const keyOf = (): string => `${pick(prefixes) ?? "bare-"}${user}-${random() < 0.5 ? "x" : "y"}`;
      const wrote = (key: string): void => {
        written.add(key);
        latest.set(scopeOf(key), key);
      };
      const reads = (key: string, inFlight?: string): void => {
        const scope = scopeOf(key);
        const last = latest.get(scope);
        let by: string | undefined;
        if (inFlight !== undefined) by = prefixOf(inFlight);
        else if (written.has(key)) by = prefixOf(key);
        else if (model.ranScript.has(user)) by = ranScript ? "limit:" : undefined;
        else if (last !== undefined) by = prefixOf(last);
        else if (keeper.has(scope)) by = keeper.get(scope);
        else return;
        keeper.set(scope, by);
        model.count(by, key);
      };
      tokens[user] = await request(async (redis) => {
        for (let step = 0; step < 5; step++) {
          const key = keyOf();
          const deed = random();
          if (deed < 0.15) {
            wrote(key);
            await redis.set(key, i);
          } else if (deed < 0.25) {
            wrote(key);
            const writing = redis.set(key, i);
            const other = keyOf();
            const followsWrite = ranScript || scopeOf(other) === scopeOf(key);
            reads(other, followsWrite ? key : undefined);
            await Promise.all([writing, redis.get(other)]);
          } else if (deed < 0.3 && runsScripts(user)) {
            ranScript = true;
            model.ranScript.add(user);
            // A token no longer names what was written before.
            written.clear();
            await redis.eval(count, 1, "limit:1");
          } else if (deed < 0.35) {
            model.untracked += 2;
            await Promise.all([redis.incr("views:1"), redis.untracked.set(`log:${i}`, i)]);
          } else {
            reads(key);
            await redis.get(key);
          }
        }
      }, tokens[user]);
    }
    const expected = [...model.counts].map(([prefix, [reads, others]]) => ({ prefix, reads, others }));
    const { untrackedWrites, keptOnPrimary } = tidemark.stats();
    expect(untrackedWrites).toBe(model.untracked);
    expect(new Set(keptOnPrimary)).toEqual(new Set(expected));
    expect(keptOnPrimary.map(({ reads }) => reads)).toEqual(
      expected.map(({ reads }) => reads).toSorted((one, other) => other - one),
    );
    const onPrimary = routes.of("get").filter((route) => route.startsWith("primary:"));
    expect(keptOnPrimary.reduce((sum, { reads }) => sum + reads, 0)).toBe(onPrimary.length);
  });
});
