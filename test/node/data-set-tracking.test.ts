/** Servers that load other data behind an open connection, and report it over RESP3 before they answer from that data. */

import { Redis } from "ioredis";
import { describe, expect, it } from "vitest";
import type { Tidemark } from "../../src/index.js";
import { FrameSearch } from "../../src/node/data-set-tracking.js";
import { listenToRoutes } from "../support/listeners/routes.js";
import { PushingProxy, RELOADED } from "../support/proxies/pushing-proxy.js";
import { SpoilingProxy } from "../support/proxies/spoiling-proxy.js";
import { follows, replicaOf } from "../support/servers/failover.js";
import { RedisServer } from "../support/servers/redis-server.js";
import { stageGroup } from "../support/stages/staged-group.js";
import { waitUntil } from "../support/wait-until.js";

const stage = stageGroup({ replicas: 2 });

/** Nobody asks a server for its position by himself, so that only a push can take back what is believed. */
const patience = { probeIntervalMs: 20_000, maxStalenessMs: 50_000 };

async function has(server: RedisServer, value: string): Promise<void> {
  await waitUntil(async () => (await server.admin().get("k")) === value, {
    what: `k is ${value} on the server`,
  });
}

/** Reads `k` in sessions that have written it, until `isOver`, and a little longer; resolves with what was seen. */
async function seen(tidemark: Tidemark, token: string, isOver: () => boolean): Promise<string[]> {
  const values = new Set<string>();
  const session = tidemark.session({ token });
  for (let more = 50; more > 0; more -= isOver() ? 1 : 0) {
    const reads = [session, tidemark.session({ token })].map(({ redis }) => redis.get("k"));
    for (const value of await Promise.all(reads)) values.add(String(value));
  }
  return [...values];
}

/** Ways to give a replica older data, or none, while its connections stay open. Each resolves once the replica has it. */
const waysBack: Readonly<Record<string, (replica: RedisServer) => Promise<void>>> = {
  "pointed at a replica that lags": async (replica) => {
    const behind = replicaOf(stage.group, 1);
    await replica.replicate(behind);
    await has(replica, "old");
  },
  "pointed at a replica that lags, and loads while it keeps its old data": async (replica) => {
    await replica.admin().config("SET", "repl-diskless-load", "swapdb");
    await replica.replicate(replicaOf(stage.group, 1));
    await has(replica, "old");
  },
  "emptied by a synchronization that fails": async (replica) => {
    const other = await RedisServer.start();
    const proxy = await SpoilingProxy.start({ targetPort: other.port });
    for (const owed of [proxy, other]) stage.owe(owed);
    // Valkey looks at a snapshot before it flushes anything, unless told to load what arrives at once.
    await replica
      .admin()
      .config("SET", "repl-diskless-load", "flush-before-load")
      .catch(() => {});
    await replica.replicate(proxy);
    await waitUntil(async () => (await replica.admin().dbsize()) === 0, { what: "the replica is emptied" });
  },
  "promoted, and made a replica of one that lags": async (replica) => {
    await replica.replicate(undefined);
    await replica.admin().set("astray", "v");
    await replica.replicate(replicaOf(stage.group, 1));
    await has(replica, "old");
  },
};

describe("a replica that loads other data behind an open connection", () => {
  it.each(Object.keys(waysBack))(
    "never shows a session older data than its own write when the replica is %s",
    async (way) => {
      const { group } = stage;
      await group.primary.admin().set("k", "old");
      await group.caughtUp();
      const replica = replicaOf(group);
      const tidemark = await stage.open({ replicas: [replica.url], ...patience });
      group.replicas[1]?.link.hold();
      const session = tidemark.session();
      await session.redis.set("k", "new");
      await has(replica, "new");
      let isBack = false;
      const values = seen(tidemark, session.token(), () => isBack);
      await waysBack[way]?.(replica);
      isBack = true;
      expect(await values).toEqual(["new"]);
    },
  );

  it("answers again as soon as it has caught up", async () => {
    const { group } = stage;
    const replica = replicaOf(group);
    const tidemark = await stage.open({ replicas: [replica.url] });
    const session = tidemark.session();
    await session.redis.set("k", "v");
    await replica.replicate(replicaOf(group, 1));
    await replica.replicate(undefined);
    await replica.replicate(group.primary);
    await follows(replica, group.primary);
    using routes = listenToRoutes();
    await waitUntil(
      async () => {
        expect(await session.redis.get("k")).toBe("v");
        return routes.of("get").at(-1) === "replica:known";
      },
      { what: "the replica answers" },
    );
  });
});

describe("a primary that becomes a replica of a lagging server", () => {
  async function demoted(): Promise<{ strong: () => Promise<string | null>; demote: () => Promise<void> }> {
    const { group } = stage;
    await group.primary.admin().set("k", "old");
    await group.caughtUp();
    const [heir, behind] = [replicaOf(group), replicaOf(group, 1)];
    const tidemark = await stage.open({ ...patience });
    group.replicas[1]?.link.hold();
    await group.primary.admin().set("k", "new");
    await has(heir, "new");
    return {
      strong: () => tidemark.session({ level: "strong" }).redis.get("k"),
      demote: async () => {
        await heir.replicate(undefined);
        await group.primary.replicate(behind);
        await has(group.primary, "old");
      },
    };
  }

  it("never shows strong reads the older data", async () => {
    const { strong, demote } = await demoted();
    let isBack = false;
    const values = new Set<string | null>();
    const reads = (async (): Promise<void> => {
      for (let more = 50; more > 0; more -= isBack ? 1 : 0) values.add(await strong());
    })();
    await demote();
    isBack = true;
    await reads;
    expect([...values]).toEqual(["new"]);
  });

  it("never shows strong reads the older data, even when nothing is read meanwhile", async () => {
    const { strong, demote } = await demoted();
    expect(await strong()).toBe("new");
    await demote();
    expect(await strong()).toBe("new");
  });
});

describe("a push that arrives before a reply", () => {
  /** A Tidemark that reaches the first replica through a proxy. */
  async function open(): Promise<{ tidemark: Tidemark; proxy: PushingProxy }> {
    const proxy = await PushingProxy.start({ targetPort: replicaOf(stage.group).port });
    stage.owe(proxy);
    await stage.group.primary.admin().set("k", "value-of-k");
    await stage.group.caughtUp();
    const tidemark = await stage.open({ replicas: [`redis://${proxy.host}:${proxy.port}`], ...patience });
    return { tidemark, proxy };
  }

  it.each(["session", "eventual"] as const)("leaves a read at level %s to the primary", async (level) => {
    const { tidemark, proxy } = await open();
    proxy.push("before", "value-of-k");
    using routes = listenToRoutes();
    expect(await tidemark.session({ level }).redis.get("k")).toBe("value-of-k");
    expect(routes.of("get")).toEqual(["replica:known", "primary:check-failed"]);
  });

  it("invalidates the result of an INFO that arrives before it in the same packet", async () => {
    const { tidemark, proxy } = await open();
    const session = tidemark.session();
    await session.redis.set("k", "value-of-k");
    await stage.group.caughtUp();
    proxy.push("behind", "role:slave");
    using routes = listenToRoutes();
    await waitUntil(
      async () => {
        await tidemark.session({ token: session.token() }).redis.get("k");
        return proxy.hasPushed;
      },
      { what: "the replica is asked" },
    );
    for (let i = 0; i < 20; i++)
      expect(await tidemark.session({ token: session.token() }).redis.get("k")).toBe("value-of-k");
    expect(routes.of("get")).not.toContain("replica:known");
  });

  it("makes Tidemark check after a read that the primary is still the primary", async () => {
    const { primary } = stage.group;
    const proxy = await PushingProxy.start({ targetPort: primary.port });
    stage.owe(proxy);
    await primary.admin().set("k", "value-of-k");
    const tidemark = await stage.open({ primary: `redis://${proxy.host}:${proxy.port}`, ...patience });
    const calls = (): Promise<number[]> =>
      Promise.all(["info", "get"].map((name) => primary.commandCalls(name)));
    const [infos = 0, gets = 0] = await calls();
    proxy.push("before", "value-of-k");
    expect(await tidemark.redis.get("k")).toBe("value-of-k");
    const [infosThen = 0, getsThen = 0] = await calls();
    expect(getsThen - gets).toBe(1);
    // Two are those of this test.
    expect(infosThen - infos).toBeGreaterThanOrEqual(2 + 1);
  });
});

describe("a database that is flushed", () => {
  /** Flushes a database that nobody reads, again and again, until it is disposed of. */
  function flushing(): AsyncDisposable {
    const client = new Redis(stage.group.primary.url, { db: 1 });
    let isOver = false;
    const flushes = (async (): Promise<void> => {
      while (!isOver) await client.flushdb();
    })();
    return {
      [Symbol.asyncDispose]: async () => {
        isOver = true;
        await flushes;
        client.disconnect();
      },
    };
  }

  it("fails no read and ends no iteration on the primary, however often it is flushed", async () => {
    const { primary } = stage.group;
    await primary.admin().mset(Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`k${i}`, "v"])));
    await stage.group.caughtUp();
    const tidemark = await stage.open();
    await using _ = flushing();
    const keys = new Set<string>();
    let cursor = "0";
    do {
      const [next, some] = await tidemark.redis.scan(cursor, "COUNT", 5);
      for (const key of some) keys.add(key);
      cursor = next;
      expect(await tidemark.redis.get("k1")).toBe("v");
      expect(await tidemark.session().redis.get("k2")).toBe("v");
    } while (cursor !== "0");
    expect(keys.size).toBe(200);
  });

  it("leaves transactions by hand intact", async () => {
    const tidemark = await stage.open();
    await using _ = flushing();
    for (let i = 0; i < 50; i++) {
      const { redis } = tidemark.session();
      await redis.watch("k");
      const transaction = redis.multi({ pipeline: false });
      await transaction;
      await redis.set("k", i);
      await redis.get("k");
      expect(await redis.exec()).toHaveLength(2);
    }
  });
});

describe("a connection on which the server pushes nothing", () => {
  it("is probed more often", async () => {
    const [tracked, untracked] = [replicaOf(stage.group), replicaOf(stage.group, 1)];
    const pushed = await stage.open({ replicas: [tracked.url] });
    const silent = await stage.open({ replicas: [untracked.url], redis: { protocol: 2 } });
    let looks = 0;
    // Each look is an INFO too.
    const asked = async (): Promise<number[]> => {
      const calls = await Promise.all([tracked, untracked].map((server) => server.commandCalls("info")));
      looks += 1;
      return calls.map((count) => count - looks);
    };
    const before = await asked();
    const since = async (): Promise<number[]> => (await asked()).map((count, i) => count - (before[i] ?? 0));
    await waitUntil(
      async () => {
        await Promise.all([pushed, silent].map((tidemark) => tidemark.session().redis.get("k")));
        return ((await since())[1] ?? 0) >= 30;
      },
      { what: "the server that sends no pushes has been asked 30 times" },
    );
    expect((await since())[0]).toBeLessThan(20);
  });

  it("still serves reads when an ACL forbids it to enable pushes", async () => {
    const { group } = stage;
    const rules = ["on", ">secret", "~*", "+@all", "-client"];
    for (const server of [group.primary, replicaOf(group), replicaOf(group, 1)])
      await server.admin().call("ACL", "SETUSER", "app", ...rules);
    const tidemark = await stage.open({ redis: { username: "app", password: "secret" } });
    const session = tidemark.session();
    await session.redis.set("k", "v");
    await group.caughtUp();
    using routes = listenToRoutes();
    await waitUntil(
      async () => {
        expect(await session.redis.get("k")).toBe("v");
        return routes.of("get").at(-1)?.startsWith("replica:") ?? false;
      },
      { what: "a replica answers" },
    );
  });
});

describe("the bytes of a push", () => {
  it("are found however they are split", () => {
    const stream = Buffer.concat([Buffer.from("+OK\r\n>2\r\n"), RELOADED, Buffer.from("$1\r\n>\r\n")]);
    for (let one = 0; one <= stream.length; one++) {
      for (let other = one; other <= stream.length; other++) {
        const search = new FrameSearch();
        const parts = [stream.subarray(0, one), stream.subarray(one, other), stream.subarray(other)];
        expect(parts.filter((part) => search.finds(part))).toHaveLength(1);
      }
    }
  });

  it("are not found when they are incomplete", () => {
    const search = new FrameSearch();
    for (const text of [
      ">2\r\n$10\r\ninvalidate\r\n",
      "*1\r\n$1\r\nk\r\n",
      ">2\r\n$10\r\ninvalid",
      "ate",
      "_\r\n>",
    ])
      expect(search.finds(Buffer.from(text))).toBe(false);
  });

  it("are ignored inside a value", async () => {
    await stage.group.primary.admin().set("k", RELOADED);
    await stage.group.caughtUp();
    const tidemark = await stage.open();
    for (let i = 0; i < 20; i++) {
      expect(await tidemark.session().redis.getBuffer("k")).toEqual(RELOADED);
      expect(await tidemark.redis.getBuffer("k")).toEqual(RELOADED);
    }
  });
});
