/** Commands on a cluster, compared with ioredis's own cluster client. */
import { Cluster, type Redis } from "ioredis";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Tidemark } from "../../src/index.js";
import { outcomeOf } from "../support/commands/outcome.js";
import { sentCommands } from "../support/stages/sent-commands.js";
import { keyIn, stageCluster } from "../support/stages/staged-cluster.js";
import { waitUntil } from "../support/wait-until.js";

const stage = stageCluster();
const [a, b, c] = [keyIn(1), keyIn(6_000), keyIn(12_000)];
let cluster: Cluster;
let tidemark: Tidemark;

beforeEach(async () => {
  tidemark = await stage.open();
  cluster = new Cluster([{ host: "127.0.0.1", port: stage.group.nodes[0]?.port }]);
  await Promise.all([a, b, c].map((key) => cluster.del(key)));
});

afterEach(() => cluster.disconnect());

type Client = Pick<
  Redis,
  "call" | "mget" | "mset" | "ping" | "eval" | "multi" | "publish" | "sunion" | "keys"
>;

/** Both results, one after the other. */
async function both(call: (client: Client) => unknown): Promise<unknown[]> {
  const session = tidemark.session().redis;
  return [await outcomeOf(() => call(cluster as unknown as Client)), await outcomeOf(() => call(session))];
}

describe("the same result as in ioredis for", () => {
  const same: [string, (client: Client) => unknown][] = [
    ["MGET over several slots", (client) => client.mget(a, b, c)],
    ["MSET over several slots", (client) => client.mset(a, "1", b, "2")],
    ["SUNION over several slots", (client) => client.sunion(a, b)],
    ["MGET of one slot", (client) => client.mget(`${a}1`, `${a}2`)],
    ["PING", (client) => client.ping()],
    ["PUBLISH", (client) => client.publish("channel", "message")],
    ["EVAL with a key", (client) => client.eval("return redis.call('INCRBY', KEYS[1], 0)", 1, b)],
    ["EVAL with keys of several slots", (client) => client.eval("return 1", 2, a, b)],
    ["EVAL without keys", (client) => client.eval("return ARGV[1]", 0, "x")],
    ["a transaction", (client) => client.multi().set(b, "1").get(b).exec()],
  ];
  it.each(same)("%s", async (_, call) => {
    const [expected, given] = await both(call);
    expect(given).toEqual(expected);
  });
});

describe("on a cluster", () => {
  it("a script of defineCommand runs where its key is, even where the script is not known yet", async () => {
    const script = { numberOfKeys: 1, lua: "return redis.call('INCR', KEYS[1])" };
    const { redis } = tidemark.session();
    redis.defineCommand("bump", script);
    const bump = (key: string) => (redis as unknown as { bump(key: string): Promise<number> }).bump(key);
    expect(await Promise.all([a, b, c].map(bump))).toEqual([1, 1, 1]);
    expect(await redis.get(c)).toBe("1");
  });

  it("BLPOP waits where the list is, and follows it", async () => {
    const migration = await stage.group.migration(20, await stage.group.primaryOf(6_000));
    const list = keyIn(20);
    await migration.run();
    const { redis } = tidemark.session();
    const before = sentCommands(tidemark);
    const popping = redis.blpop(list, 0);
    await waitUntil(() => sentCommands(tidemark) === before + 2, { what: "BLPOP was sent to both nodes" });
    await tidemark.session().redis.rpush(list, "v");
    expect(await popping).toEqual([list, "v"]);
  });

  it("WATCH and MULTI by hand stay on the shard of their key", async () => {
    const { redis } = tidemark.session();
    await redis.set(b, "1");
    await redis.watch(b);
    expect(await redis.get(b)).toBe("1");
    await redis.multi({ pipeline: false });
    await redis.incr(b);
    expect(await redis.exec()).toEqual([[null, 2]]);
    await redis.watch(b);
    await cluster.set(b, "5");
    await redis.multi({ pipeline: false });
    await redis.incr(b);
    expect(await redis.exec()).toBeNull();
    expect(await redis.get(b)).toBe("5");
  });

  it("MULTI by hand without a WATCH is refused, because it does not say which shard it is for", async () => {
    const { redis } = tidemark.session();
    await expect(redis.multi({ pipeline: false })).rejects.toThrow(/WATCH a key of the shard first/);
  });

  it("WATCH follows its key to the shard that the slot has moved to", async () => {
    const migration = await stage.group.migration(21, await stage.group.primaryOf(6_000));
    const key = keyIn(21);
    await migration.run();
    const { redis } = tidemark.session();
    expect(await redis.watch(key)).toBe("OK");
    expect(await redis.multi().set(key, "1").exec()).toEqual([[null, "OK"]]);
  });

  it("monitor() shows the commands sent to one of the primaries", async () => {
    const monitor = await tidemark.redis.monitor();
    const shown: string[] = [];
    monitor.on("monitor", (_time, args) => shown.push(args.join(" ")));
    const isShown = async (): Promise<boolean> => {
      for (const slot of [1, 6_000, 16_000]) await tidemark.redis.set(keyIn(slot), "monitored");
      return shown.some((line) => line.includes("monitored"));
    };
    await waitUntil(isShown, { what: "a command is shown" });
    monitor.disconnect();
  });

  it("a scan stream goes through one shard from end to end", async () => {
    const session = tidemark.session();
    const keys = Array.from({ length: 300 }, (_, i) => keyIn(6_000, `scan${i}`));
    await session.redis.pipeline(keys.map((key) => ["set", key, "v"])).exec();
    const seen = new Set<string>();
    for (let tries = 0; tries < 100 && seen.size === 0; tries++) {
      for await (const found of session.redis.scanStream({ match: "*scan*", count: 10 })) {
        for (const key of found as string[]) seen.add(key);
      }
    }
    expect(seen).toEqual(new Set(keys));
    await session.redis.del(...keys);
  });

  it("closes for good", async () => {
    cluster.disconnect();
    const left = () => stage.group.nodes.reduce((sum, { proxy }) => sum + proxy.connectionsOf("clients"), 0);
    /** How many connections the nodes have been asked for so far. */
    const opened = async (): Promise<number> => {
      const stats = await Promise.all(stage.group.nodes.map(({ server }) => server.info("stats")));
      return stats.reduce(
        (sum, { total_connections_received }) => sum + Number(total_connections_received),
        0,
      );
    };
    const before = await opened();
    await tidemark.close();
    expect(await outcomeOf(() => tidemark.redis.get(a))).toMatchObject({ error: { name: "ClosedError" } });
    expect(await outcomeOf(() => tidemark.session().redis.set(a, "v"))).toMatchObject({
      error: { name: "ClosedError" },
    });
    await waitUntil(() => left() === 0, { what: "no client is connected" });
    expect(await opened()).toBe(before);
  });
});
