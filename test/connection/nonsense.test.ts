/** Servers with invalid replies: every promise settles, the process continues, and other servers keep working. */
import { describe, expect, it } from "vitest";
import { Tidemark, type TidemarkOptions } from "../../src/index.js";
import { hasDoublings } from "../support/doublings.js";
import { seeded } from "../support/load/seeded.js";
import { mutated } from "../support/proxies/mutation.js";
import { type Answer, type FakeReply, FakeServer } from "../support/servers/fake-server.js";
import { RedisServer } from "../support/servers/redis-server.js";
import { sound } from "../support/servers/sound-replies.js";

const seeds = Array.from({ length: hasDoublings ? 12 : 4 }, (_, i) => i + 1);
/** Nothing takes longer here, whatever a server answers. */
const limitMs = 4_000;

/** The resources of one test. They end in the opposite order, after the test. */
class Scene implements AsyncDisposable {
  readonly #owed: { stop(): Promise<void> }[] = [];

  owe(started: { stop(): Promise<void> }): void {
    this.#owed.push(started);
  }

  async fake(answer: Answer): Promise<FakeServer> {
    const server = await FakeServer.start(answer);
    this.owe(server);
    return server;
  }

  open(options: TidemarkOptions): Tidemark {
    const redis = { protocol: 2, ...options.redis } as const;
    const tidemark = new Tidemark({ primaryTimeoutMs: 2_000, ...options, redis });
    this.owe({ stop: () => tidemark.close() });
    return tidemark;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const one of this.#owed.reverse()) await one.stop();
  }
}

/** Reads, writes and waits for replicas; resolves when all of it is settled, with what became of it. */
async function used(tidemark: Tidemark): Promise<PromiseSettledResult<unknown>[]> {
  const session = tidemark.session();
  const given = [
    session.redis.set("k", "v"),
    session.redis.get("k"),
    session.redis.pipeline().get("a").set("b", "c").exec(),
    session.replicated(1, { timeoutMs: 50 }),
    tidemark.redis.get("k"),
    tidemark.session({ level: "strong" }).redis.mget("k"),
  ];
  return Promise.allSettled(given);
}

describe.concurrent.each<[string, (server: FakeServer) => TidemarkOptions]>([
  ["the primary", ({ host, port }) => ({ primary: { host, port } })],
  ["a replica", ({ host, port }) => ({ primary: { host, port }, replicas: [{ host: "localhost", port }] })],
  ["the only node of a cluster", ({ host, port }) => ({ cluster: [{ host, port }] })],
  ["the only Sentinel", ({ host, port }) => ({ sentinels: [{ host, port }], name: "one" })],
])("%s that sends invalid replies", (_what, optionsFor) => {
  it.each(seeds)("leaves nothing open (%i)", async (seed) => {
    await using scene = new Scene();
    const random = seeded(seed);
    const server: FakeServer = await scene.fake((name, args) => {
      const reply = sound(() => server.port, name, args);
      return reply === undefined || random() < 0.4 ? reply : mutated(reply, random);
    });
    const tidemark = scene.open({ ...optionsFor(server), primaryTimeoutMs: 300 });
    const since = performance.now();
    const looks = setInterval(() => tidemark.topology(), 20);
    for (let round = 0; round < 3; round++) await used(tidemark);
    clearInterval(looks);
    expect(performance.now() - since).toBeLessThan(3 * limitMs);
  });
});

describe.concurrent("a node of a cluster", () => {
  /** A cluster of one node that answers GET with this error. */
  async function clusterOf(
    scene: Scene,
    reply: () => FakeReply,
    change: (slots: FakeReply) => FakeReply = (slots) => slots,
  ) {
    const server: FakeServer = await scene.fake((name, args) => {
      if (name === "get" || name === "blpop" || name === "ssubscribe") return reply();
      const usual = sound(() => server.port, name, args);
      return name === "cluster" && args[0]?.toLowerCase() === "slots" ? change(usual ?? null) : usual;
    });
    return { server, tidemark: scene.open({ cluster: [{ host: server.host, port: server.port }] }) };
  }

  it.each([
    "MOVED 1000000000 127.0.0.1:7000",
    "MOVED 16384 127.0.0.1:7000",
    "MOVED 99999 127.0.0.1:7000",
    "MOVED -1 127.0.0.1:7000",
    "MOVED NaN 127.0.0.1:7000",
    "MOVED 1 127.0.0.1:0",
    "MOVED 1 127.0.0.1:65536",
    "MOVED 1 127.0.0.1:99999999999",
    "MOVED 1 127.0.0.1",
    `MOVED 1 ${"x".repeat(300)}:7000`,
    "MOVED 1 a,b:7000",
    "ASK 16384 127.0.0.1:7000",
    "ASK 1 127.0.0.1:70000",
    "MOVED",
    "TRYAGAIN",
  ])("passes on its own error when it redirects a command to an impossible place: %s", async (text) => {
    await using scene = new Scene();
    let reply: FakeReply = "v";
    const { tidemark, server } = await clusterOf(scene, () => reply);
    // Known servers are believed at once.
    const message = text.replace(":7000", `:${server.port}`);
    reply = new Error(message);
    const since = performance.now();
    await expect(tidemark.redis.get("k")).rejects.toThrow(message);
    await expect(tidemark.session().redis.pipeline().get("k").get("k").exec()).resolves.toEqual([
      [expect.objectContaining({ message })],
      [expect.objectContaining({ message })],
    ]);
    await expect(tidemark.redis.blpop("k", 0.01)).rejects.toThrow(message);
    // ioredis 5 keeps this error to itself, and the time for a subscription runs out.
    await expect(tidemark.redis.ssubscribe("channel")).rejects.toThrow();
    expect(performance.now() - since).toBeLessThan(limitMs);
    reply = "v";
    expect(await tidemark.redis.get("k")).toBe("v");
  });

  it.each<[string, (node: FakeReply) => FakeReply]>([
    ["a slot of 4e9", (node) => [[0, 4e9, node]]],
    ["a slot below 0", (node) => [[-1, 10, node]]],
    ["a range that ends before it begins", (node) => [[10, 0, node]]],
    ["a slot as a string", (node) => [["0", "10", node]]],
    ["slots that are claimed again and again", (node) => new Array<FakeReply>(2_000).fill([0, 16_383, node])],
    ["a port of 0", () => [[0, 10, ["127.0.0.1", 0, "aaa"]]]],
    ["a port of 65,536", () => [[0, 10, ["127.0.0.1", 65_536, "aaa"]]]],
    ["a host of 300 characters", () => [[0, 10, ["x".repeat(300), 7_000, "aaa"]]]],
    ["a host with a line break", () => [[0, 10, ["a\r\nb", 7_000, "aaa"]]]],
    ["2,000 nodes of one shard", (node) => [[0, 10, ...new Array<FakeReply>(2_000).fill(node)]]],
    ["a number", () => 7],
  ])("is not trusted when its CLUSTER SLOTS has %s, and the next node is used", async (_what, slots) => {
    await using scene = new Scene();
    let good: FakeServer | undefined;
    const { server } = await clusterOf(
      scene,
      () => "v",
      () => slots(["127.0.0.1", good?.port ?? 1, "aaa", []]),
    );
    good = (await clusterOf(scene, () => "v")).server;
    const alone = scene.open({ cluster: [{ host: server.host, port: server.port }] });
    await expect(alone.redis.get("k")).rejects.toThrow("its reply to CLUSTER SLOTS is not valid, so check");
    const tidemark = scene.open({ cluster: [server, good].map(({ host, port }) => ({ host, port })) });
    expect(await tidemark.redis.get("k")).toBe("v");
    expect(tidemark.topology()[0]?.address).toBe(`${good.host}:${good.port}`);
  });

  it.each(["x", "-1", "", "1e5", "99999999999999999999"])(
    "serves its slots with the epoch %j",
    async (epoch) => {
      await using scene = new Scene();
      const server: FakeServer = await scene.fake((name, args) => {
        const usual = sound(() => server.port, name, args);
        const isOfNodes = name === "cluster" && args[0]?.toLowerCase() === "nodes";
        return isOfNodes && typeof usual === "string" ? usual.replaceAll(" 5 ", ` ${epoch} `) : usual;
      });
      const tidemark = scene.open({ cluster: [{ host: server.host, port: server.port }] });
      expect(await tidemark.redis.get("k")).toBe("v");
    },
  );
});

describe.concurrent("a Sentinel", () => {
  it.each<[string, string, FakeReply]>([
    ["an epoch that is not a number", "master", ["config-epoch", "x"]],
    ["an epoch above the safe integers", "master", ["config-epoch", "9".repeat(20)]],
    ["no epoch", "master", ["name", "one"]],
    ["a port of 0", "get-master-addr-by-name", ["127.0.0.1", "0"]],
    ["a port of 65,536", "get-master-addr-by-name", ["127.0.0.1", "65536"]],
    ["no port", "get-master-addr-by-name", ["127.0.0.1"]],
    ["a host that is not a string", "get-master-addr-by-name", [["127.0.0.1"], "6379"]],
    ["a host of 300 characters", "get-master-addr-by-name", ["x".repeat(300), "6379"]],
  ])("is not trusted with %s, and the next Sentinel is used", async (_what, about, nonsense) => {
    await using scene = new Scene();
    const redis = await RedisServer.start();
    scene.owe(redis);
    const wrong: FakeServer = await scene.fake((name, args) =>
      args[0]?.toLowerCase() === about ? nonsense : sound(() => redis.port, name, args),
    );
    const right = await scene.fake((name, args) =>
      args[0]?.toLowerCase() === "sentinels" ? [] : sound(() => redis.port, name, args),
    );
    const redisOptions = { updateSentinels: false };
    const alone = scene.open({
      sentinels: [{ host: wrong.host, port: wrong.port }],
      name: "one",
      redis: redisOptions,
    });
    await expect(alone.redis.get("k")).rejects.toThrow("its replies to SENTINEL are not valid, so check");
    const sentinels = [wrong, right].map(({ host, port }) => ({ host, port }));
    const tidemark = scene.open({ sentinels, name: "one", redis: redisOptions });
    await tidemark.ready();
    expect(tidemark.topology()[0]?.address).toBe(`${redis.host}:${redis.port}`);
  });
});
