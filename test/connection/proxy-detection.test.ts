/** Proxies that distribute commands: a real Twemproxy in front of real servers. */
import { connect, type Socket, type TcpNetConnectOpts } from "node:net";
import { AbstractConnector, type RedisOptions } from "ioredis";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { Tidemark, type TidemarkOptions } from "../../src/index.js";
import { listenToRoutes } from "../support/listeners/routes.js";
import { listenToWarnings } from "../support/listeners/warnings.js";
import { type ReplicationGroup, startReplicationGroup } from "../support/servers/replication-group.js";
import { findTwemproxy, Twemproxy } from "../support/servers/twemproxy.js";
import { waitUntil } from "../support/wait-until.js";

const program = await findTwemproxy();
if (program === undefined) process.stderr.write("no Twemproxy here: tests of it are skipped\n");

const keys = Array.from({ length: 20 }, (_, i) => `key:${i}`);
const hint = /the proxy closed the connection, probably because of a command that it does not forward/;

/** Makes connectors that share one thing: the first connection closes on this side before ioredis sees it. */
function closingFirst(): NonNullable<RedisOptions["Connector"]> {
  let isFirst = true;
  return class extends AbstractConnector {
    readonly #options: TcpNetConnectOpts;

    constructor(options: unknown) {
      super(0);
      this.#options = options as TcpNetConnectOpts;
    }

    override async connect(): Promise<Socket> {
      const socket = connect(this.#options);
      if (isFirst) socket.once("connect", () => socket.destroy());
      isFirst = false;
      return socket;
    }
  };
}

describe.skipIf(program === undefined)(
  "A Twemproxy in front of two primaries, and one in front of their replicas",
  () => {
    let groups: readonly ReplicationGroup[];
    let twemproxy: Twemproxy;
    const opened: Tidemark[] = [];

    beforeAll(async () => {
      groups = await Promise.all([
        startReplicationGroup({ replicas: 1 }),
        startReplicationGroup({ replicas: 1 }),
      ]);
      if (program === undefined) return;
      const primaries = groups.map(({ primary }) => primary);
      const replicas = groups.flatMap((group) => group.replicas.map(({ server }) => server));
      twemproxy = await Twemproxy.start(program, [primaries, replicas]);
    });

    afterAll(async () => {
      await twemproxy?.stop();
      for (const group of groups) await group.stop();
    });

    beforeEach(async () => {
      for (const { primary } of groups) await primary.admin().flushall();
    });

    afterEach(async () => {
      for (const tidemark of opened.splice(0)) await tidemark.close();
      for (const group of groups) for (const { link } of group.replicas) await link.release();
    });

    const writers = (): RedisOptions => ({ ...twemproxy.pools[0] });
    const readers = (): RedisOptions => ({ ...twemproxy.pools[1] });

    function open(redis: RedisOptions = {}, options: Partial<TidemarkOptions> = {}): Tidemark {
      const tidemark = new Tidemark({
        primary: writers(),
        replicas: [readers()],
        redis,
        ...options,
      } as TidemarkOptions);
      tidemark.redis.on("error", () => {});
      opened.push(tidemark);
      return tidemark;
    }

    function isConnectedTo(tidemark: Tidemark, role: "primary" | "replica"): Promise<void> {
      const isThere = (): boolean =>
        tidemark
          .topology()
          .some(
            (node) =>
              node.role === role &&
              node.proof === "proxy" &&
              !node.reason?.includes("closed") &&
              !node.reason?.includes("connected"),
          );
      return waitUntil(isThere, { what: `the ${role} is known to be a proxy and connected` });
    }

    it.each<[string, RedisOptions]>([
      ["the defaults of ioredis", {}],
      ["RESP2 and no ready check", { protocol: 2, enableReadyCheck: false }],
      ["no ready check", { enableReadyCheck: false }],
      ["a connection name", { connectionName: "app" }],
      ["one retry for each request", { maxRetriesPerRequest: 1 }],
    ])("take writes, reads and pipelines from the start, with %s", async (_, redis) => {
      using warnings = listenToWarnings();
      const before = await twemproxy.refusals(0);
      const tidemark = open(redis);
      const session = tidemark.session();
      const written = await Promise.all(keys.map((key) => session.redis.set(key, key)));
      expect(written).toEqual(keys.map(() => "OK"));
      expect(await session.redis.mget(keys)).toEqual(keys);
      const replies = await session.redis.pipeline().incr("n").incr("n").get("n").exec();
      expect(replies).toEqual([
        [null, 1],
        [null, 2],
        [null, "2"],
      ]);
      expect(await tidemark.redis.get("n")).toBe("2");
      expect(await session.redis.eval("return redis.call('incr', KEYS[1])", 1, "n")).toBe(3);
      // The first connection, two examinations, and a third one of what was connected to then.
      await waitUntil(async () => (await twemproxy.refusals(0)) - before >= 3, {
        what: "the proxy was examined three times",
      });
      for (const key of keys) expect(await session.redis.get(key)).toBe(key);
      expect((await twemproxy.refusals(0)) - before).toBeLessThanOrEqual(5);
      const said = warnings
        .inFull("TIDEMARK_PROXY")
        .filter((text) => text.includes(`:${writers().port} looks like a proxy`));
      expect(said).toHaveLength(1);
      expect(said[0]).toMatch(
        /closes the connection when it receives INFO.*as the primary.*eventual.*docs\/topologies/,
      );
    });

    it("are not reported as unreachable when they close the first connections", async () => {
      using warnings = listenToWarnings();
      for (let i = 0; i < 5; i++) {
        await using tidemark = new Tidemark({ primary: writers(), replicas: [readers()] });
        expect(await tidemark.session().redis.set("k", "v")).toBe("OK");
        await isConnectedTo(tidemark, "replica");
      }
      await waitUntil(() => warnings.of("TIDEMARK_PROXY").length === 10, {
        what: "all proxies are recognized",
      });
      expect(warnings.heard.map((warning) => Reflect.get(warning, "code"))).toEqual(
        Array(10).fill("TIDEMARK_PROXY"),
      );
    });

    it("answer sessions from the primaries, however far the replicas lag", async () => {
      const tidemark = open({}, { monotonicReads: true });
      await isConnectedTo(tidemark, "replica");
      using routes = listenToRoutes();
      for (const group of groups) for (const { link } of group.replicas) link.hold();
      for (const key of keys) {
        const session = tidemark.session();
        await session.redis.set(key, "new");
        await session.settled();
        const next = tidemark.session({ token: session.token() });
        expect(await next.redis.get(key)).toBe("new");
        expect(await next.redis.at({ maxStalenessMs: 5_000 }).get(key)).toBe("new");
        expect(await next.redis.at("strong").get(key)).toBe("new");
      }
      expect(new Set(routes.of("get").map((route) => route.split(":")[0]))).toEqual(new Set(["primary"]));
    });

    it("answer level eventual from replicas, and report that the answer may be stale", async () => {
      const tidemark = open();
      await isConnectedTo(tidemark, "replica");
      await Promise.all(groups.map((group) => group.caughtUp()));
      for (const group of groups) for (const { link } of group.replicas) link.hold();
      const session = tidemark.session({ level: "eventual" });
      await session.redis.set("k", "new");
      using routes = listenToRoutes();
      expect(await session.redis.get("k")).toBeNull();
      expect(routes.of("get")).toEqual(["replica:unproven"]);
      expect(session.stale).toBe(true);
    });

    it.each<[string, Partial<TidemarkOptions>]>([
      ['verify is "always"', { verify: "always" }],
      ["their weight is 0", { weights: {} }],
      ["none is configured", { replicas: [] }],
      ["they are to be discovered", { replicas: undefined } as Partial<TidemarkOptions>],
    ])("answer level eventual from the primaries when %s", async (_, options) => {
      const weights = { [`127.0.0.1:${readers().port}`]: 0 };
      const tidemark = open({}, options.weights === undefined ? options : { weights });
      const session = tidemark.session({ level: "eventual" });
      await session.redis.set("k", "v");
      if (tidemark.topology().length > 1) await isConnectedTo(tidemark, "replica");
      using routes = listenToRoutes();
      expect(await session.redis.get("k")).toBe("v");
      expect(routes.of("get")[0]).toMatch(/^primary:/);
      expect(session.stale).toBe(false);
    });

    it("are shown by topology(), and ready() resolves", async () => {
      const tidemark = open();
      await tidemark.ready();
      await isConnectedTo(tidemark, "replica");
      expect(tidemark.topology()).toMatchObject([
        { role: "primary", proof: "proxy", position: undefined, eligible: true },
        { role: "replica", proof: "proxy", eligible: false, reason: expect.stringContaining("eventual") },
      ]);
    });

    it.each<[string, (tidemark: Tidemark) => Promise<unknown>]>([
      ["MULTI", (tidemark) => tidemark.session().redis.multi().set("k", 1).exec()],
      ["MULTI outside of sessions", (tidemark) => tidemark.redis.multi().set("k", 1).exec()],
      ["BLPOP", (tidemark) => tidemark.session().redis.blpop("l", 1)],
      ["SUBSCRIBE", (tidemark) => tidemark.redis.subscribe("c")],
      ["PUBLISH", (tidemark) => tidemark.redis.publish("c", "m")],
      ["DBSIZE", (tidemark) => tidemark.session().redis.dbsize()],
      [
        "PUBLISH of duplicate()",
        async (tidemark) => {
          const duplicate = tidemark.redis.duplicate({ maxRetriesPerRequest: null });
          return await duplicate.publish("c", "m").finally(() => duplicate.disconnect());
        },
      ],
    ])("reject %s soon with the reason, and continue with the next command", async (_, call) => {
      const tidemark = open();
      await tidemark.ready();
      const begunAt = performance.now();
      await expect(call(tidemark)).rejects.toThrow(hint);
      expect(performance.now() - begunAt).toBeLessThan(3_000);
      const { redis } = tidemark.session();
      expect(await redis.set("k", "next")).toBe("OK");
      expect(await redis.get("k")).toBe("next");
    });

    it("reject WATCH and MONITOR", async () => {
      const tidemark = open();
      await tidemark.ready();
      await expect(tidemark.session().redis.watch("k")).rejects.toMatchObject({
        code: "TIDEMARK_TRANSACTION_LOST",
      });
      await expect(tidemark.redis.monitor()).rejects.toThrow("closed");
    });

    it("reject a replicated write at once, and the write stays", async () => {
      const tidemark = open();
      await tidemark.ready();
      const session = tidemark.session();
      session.replicated(1, { timeoutMs: 20_000 });
      await expect(session.redis.set("k", "v")).rejects.toMatchObject({ code: "TIDEMARK_NOT_REPLICATED" });
      expect(await session.redis.get("k")).toBe("v");
    });

    it("serve duplicate(), and quit() resolves", async () => {
      const tidemark = open();
      const duplicate = tidemark.redis.duplicate({ connectionName: "own" });
      try {
        await tidemark.ready();
        expect(await duplicate.set("k", "v")).toBe("OK");
        expect(await duplicate.get("k")).toBe("v");
      } finally {
        duplicate.disconnect();
      }
      await tidemark.redis.quit();
    });

    it("serve duplicate() after its first connection has closed before the first command", async () => {
      const tidemark = open();
      const duplicate = tidemark.redis.duplicate({ connectionName: "own", Connector: closingFirst() });
      duplicate.on("error", () => {});
      const closed = new Promise((resolve) => duplicate.once("close", resolve));
      try {
        await Promise.all([tidemark.ready(), closed]);
        expect(await Promise.all(keys.map((key) => duplicate.set(key, key)))).toEqual(keys.map(() => "OK"));
      } finally {
        duplicate.disconnect();
      }
    });

    it("pass on that one of the servers was demoted, and the other's keys stay in use", async () => {
      const [demoted, other] = groups.map(({ primary }) => primary);
      if (demoted === undefined || other === undefined) throw new Error("there are two");
      const { redis } = open().session();
      await demoted.replicate(other);
      try {
        const results = await Promise.allSettled(keys.map((key) => redis.set(key, "v")));
        const refused = keys.filter((_, i) => results[i]?.status === "rejected");
        const taken = keys.filter((_, i) => results[i]?.status === "fulfilled");
        expect(refused.length * taken.length).toBeGreaterThan(0);
        for (const result of results)
          if (result.status === "rejected") expect(String(result.reason)).toContain("READONLY");
        for (const key of taken) expect(await redis.set(key, "again")).toBe("OK");
        await demoted.replicate(undefined);
        for (const key of refused) expect(await redis.set(key, "again")).toBe("OK");
      } finally {
        await demoted.replicate(undefined);
      }
    });

    it("report that no database can be selected", async () => {
      const tidemark = open({ db: 3 }, { primaryTimeoutMs: 1_500, replicas: [] });
      await expect(tidemark.session().redis.set("k", "v")).rejects.toThrow(
        /SELECT 3, so remove the option db/,
      );
    });

    it("accept their own password, and the error reports a wrong one", async () => {
      if (program === undefined) return;
      const servers = groups.map(({ primary }) => primary);
      await Promise.all(servers.map((server) => server.admin().config("SET", "requirepass", "secret")));
      await using guarded = await Twemproxy.start(program, [servers], { password: "secret" });
      try {
        const tidemark = open({ password: "secret" }, { primary: { ...guarded.pools[0] }, replicas: [] });
        expect(await tidemark.session().redis.set("k", "v")).toBe("OK");
        const wrong = open(
          { password: "wrong" },
          { primary: { ...guarded.pools[0] }, replicas: [], primaryTimeoutMs: 1_500 },
        );
        await expect(wrong.session().redis.set("k", "v")).rejects.toThrow(/invalid password/);
      } finally {
        await Promise.all(servers.map((server) => server.admin().config("SET", "requirepass", "")));
      }
    });
  },
);
