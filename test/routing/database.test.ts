/** All servers of a Tidemark share one database, one key prefix and one reply shape, however these are given. */
import { Redis, type RedisOptions } from "ioredis";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { InvalidOptionError, type Server, Tidemark, type TidemarkOptions } from "../../src/index.js";
import { readsBack } from "../support/commands/reads-back.js";
import { failOver, replicaOf } from "../support/servers/failover.js";
import { promotionIsNoticed } from "../support/servers/promotion.js";
import type { Address, RedisServer } from "../support/servers/redis-server.js";
import { type ReplicationGroup, startReplicationGroup } from "../support/servers/replication-group.js";
import { startSentinelGroup } from "../support/servers/sentinel-group.js";
import { replicasAreEligible } from "../support/stages/eligible-replicas.js";
import { openWatched } from "../support/stages/watched-tidemark.js";

/** Every way of giving a server, with a database or without one. */
const ways: Readonly<Record<string, (address: Address, db?: number) => Server>> = {
  "a URL": ({ host, port }, db) => `redis://${host}:${port}${db === undefined ? "" : `/${db}`}`,
  "a URL with a query": ({ host, port }, db) =>
    `redis://${host}:${port}${db === undefined ? "" : `?db=${db}`}`,
  "an object": ({ host, port }, db) => ({ host, port, ...(db === undefined ? {} : { db }) }),
  "a client": ({ host, port }, db) =>
    new Redis({ host, port, lazyConnect: true, ...(db === undefined ? {} : { db }) }),
};

const names = Object.keys(ways);
const pairs = names.flatMap((first) => names.map((second) => [first, second] as const));

function given(way: string, address: Address, db?: number): Server {
  const server = ways[way]?.(address, db);
  if (server === undefined) throw new Error(`there is no way ${way}`);
  return server;
}

const nowhere = { host: "127.0.0.1", port: 1 };
const elsewhere = { host: "127.0.0.1", port: 2 };

function refusal(options: TidemarkOptions): string {
  try {
    new Tidemark(options).close();
  } catch (error) {
    if (error instanceof InvalidOptionError) return error.message;
    throw error;
  }
  return "taken";
}

describe("servers with two different databases are refused", () => {
  it.each(pairs)("a primary as %s and a replica as %s", (first, second) => {
    expect(refusal({ primary: given(first, nowhere, 3), replicas: [given(second, elsewhere, 5)] })).toBe(
      "replicas[0].db: got 5, but the primary has 3. All servers must have the same db, so set it once, in `redis`.",
    );
    // ioredis's clients do not tell whether they were given a 0.
    expect(refusal({ primary: given(first, nowhere), replicas: [given(second, elsewhere, 5)] })).toMatch(
      /^replicas\[0\]\.db: got 5, but the primary has 0/,
    );
    expect(refusal({ primary: given(first, nowhere, 3), replicas: [given(second, elsewhere, 0)] })).toMatch(
      second === "a client" ? /^taken$/ : /^replicas\[0\]\.db: got 0, but the primary has 3/,
    );
    expect(
      refusal({
        primary: given(first, nowhere),
        replicas: [given(second, elsewhere), given(second, elsewhere, 5)],
        redis: { db: 3 },
      }),
    ).toMatch(/^replicas\[1\]\.db: got 5, but the primary has 3/);
  });

  it.each(names)("a primary as %s and redis", (way) => {
    expect(refusal({ primary: given(way, nowhere, 5), replicas: [], redis: { db: 3 } })).toMatch(
      /^primary\.db: got 5, but `redis` has 3/,
    );
    expect(refusal({ primary: given(way, nowhere, 5), redis: { db: 0 } })).toMatch(/^primary\.db: got 5/);
    expect(refusal({ primary: given(way, nowhere, 5), redis: { db: 5 } })).toBe("taken");
  });

  it.each(names)("a node of a cluster or a Sentinel as %s, which have no database", (way) => {
    expect(refusal({ cluster: [given(way, nowhere), given(way, nowhere, 3)] })).toMatch(
      /^cluster\[1\]\.db: got 3\. Remove it, because a cluster has only database 0/,
    );
    expect(refusal({ sentinels: [given(way, nowhere, 3)], name: "orders" })).toMatch(
      /^sentinels\[0\]\.db: got 3\. Pass it in redis: \{ db \}/,
    );
  });
});

describe("servers with other conflicting options are refused", () => {
  const differing: readonly [name: string, first: RedisOptions, second: RedisOptions][] = [
    ["keyPrefix", { keyPrefix: "a:" }, { keyPrefix: "b:" }],
    ["stringNumbers", { stringNumbers: true }, { stringNumbers: false }],
    ["replyMapping", { replyMapping: "resp3" }, { replyMapping: "legacy" }],
  ];

  it.each(differing)("%s", (name, first, second) => {
    const message = new RegExp(
      `\\.${name}: it differs from that of .*\\. All servers must have the same ${name}`,
    );
    expect(refusal({ primary: { ...nowhere, ...first }, replicas: [{ ...elsewhere, ...second }] })).toMatch(
      message,
    );
    expect(refusal({ primary: nowhere, replicas: [{ ...elsewhere, ...first }] })).toMatch(message);
    expect(refusal({ primary: { ...nowhere, ...first }, redis: second })).toMatch(message);
    expect(refusal({ cluster: [{ ...nowhere, ...first }], redis: second })).toMatch(message);
    expect(refusal({ primary: { ...nowhere, ...first }, replicas: [elsewhere] })).toBe("taken");
  });

  it("different passwords for a cluster's nodes", () => {
    const message = refusal({ cluster: ["redis://:first@127.0.0.1:1", "redis://:second@127.0.0.1:2"] });
    expect(message).toMatch(/^cluster\[0\]\.password: it differs|^cluster\[1\]\.password: it differs/);
    expect(message).not.toMatch(/first|second/);
  });
});

describe("on real servers", () => {
  let group: ReplicationGroup;

  beforeAll(async () => {
    group = await startReplicationGroup({ replicas: 1 });
  });

  afterAll(() => group.stop());

  async function valueIn(server: RedisServer, db: number): Promise<string | null> {
    const reader = new Redis({ port: server.port, db });
    try {
      return await reader.get("k");
    } finally {
      reader.disconnect();
    }
  }

  async function isReadBackIn3(options: TidemarkOptions): Promise<void> {
    await group.primary.admin().flushall();
    await using tidemark = new Tidemark(options);
    await replicasAreEligible(tidemark);
    await readsBack(tidemark, "replica:");
    expect([await valueIn(group.primary, 3), await valueIn(group.primary, 0)]).toEqual(["v", null]);
  }

  it.each(pairs)(
    "a user's own writes are read from a replica as %s in the database of a primary as %s",
    async (second, first) => {
      const replicas = [given(second, replicaOf(group))];
      await isReadBackIn3({ primary: given(first, group.primary, 3), replicas });
      await isReadBackIn3({ primary: given(first, group.primary), replicas, redis: { db: 3 } });
    },
  );

  it.each(names)(
    "a user's own writes are read from discovered replicas in the database of a primary as %s",
    async (way) => {
      await isReadBackIn3({ primary: given(way, group.primary, 3) });
    },
  );

  it("a user's own writes are read with the key prefix that only the primary names", async () => {
    const { port } = group.primary;
    await using tidemark = new Tidemark({
      primary: { port, keyPrefix: "app:" },
      replicas: [{ port: replicaOf(group).port }],
    });
    await replicasAreEligible(tidemark);
    await readsBack(tidemark, "replica:");
    expect(await replicaOf(group).admin().get("app:k")).toBe("v");
  });

  it("writes go to the same database after a failover, and so do blocking commands and duplicates", async () => {
    await using own = await startReplicationGroup({ replicas: 1 });
    const heir = replicaOf(own);
    await using tidemark = new Tidemark({ primary: `${own.primary.url}/3`, replicas: [heir.url] });
    await replicasAreEligible(tidemark);
    await failOver(own, heir);
    await promotionIsNoticed(tidemark, heir);
    await tidemark.redis.set("k", "after");
    expect([await valueIn(heir, 3), await valueIn(heir, 0)]).toEqual(["after", null]);
    await tidemark.redis.rpush("list", "one");
    expect(await tidemark.redis.blpop("list", 1)).toEqual(["list", "one"]);
    const duplicate = tidemark.redis.duplicate();
    expect(await duplicate.get("k")).toBe("after");
    duplicate.disconnect();
  });

  it("servers that Sentinels name are used with the database of the redis option", async () => {
    await using watched = await startSentinelGroup();
    await using tidemark = openWatched(watched, { redis: { db: 3 } });
    await replicasAreEligible(tidemark);
    await readsBack(tidemark, "replica:");
    const { host, port } = await watched.primary();
    const reader = new Redis({ host, port, db: 3 });
    expect(await reader.get("k")).toBe("v");
    reader.disconnect();
  });
});

describe("options that a replica inherits", () => {
  it("are the password and TLS of the primary, unless the replica has its own", async () => {
    const password = "no secret";
    await using group = await startReplicationGroup({
      replicas: 1,
      args: ["--requirepass", password, "--masterauth", password],
    });
    const { host, port } = replicaOf(group);
    await using tidemark = new Tidemark({
      primary: group.primary.url,
      replicas: [`redis://${host}:${port}`],
    });
    await replicasAreEligible(tidemark);
    await readsBack(tidemark, "replica:");
    await using other = new Tidemark({
      primary: group.primary.url,
      replicas: [{ host, port, username: "nobody" }],
    });
    await other.ready();
    await other.session().redis.get("k");
    expect(other.topology()[1]?.eligible).toBe(false);
  });
});
