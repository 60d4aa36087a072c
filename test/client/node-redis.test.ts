/** A node-redis client on top of Tidemark: its reads are routed like Tidemark's, and they share one life. */
import { Redis } from "ioredis";
import { createClient, ErrorReply, WatchError } from "redis";
import { describe, expect, it } from "vitest";
import { type NodeRedis, nodeRedis } from "../../src/client/node-redis.js";
import { InvalidOptionError, RefusedCommandError, type Tidemark } from "../../src/index.js";
import type { Routes } from "../support/listeners/routes.js";
import { holdReplicas } from "../support/servers/held-replicas.js";
import type { ReplicationGroup } from "../support/servers/replication-group.js";
import { replicasAreEligible } from "../support/stages/eligible-replicas.js";
import { openTidemark } from "../support/stages/open-tidemark.js";
import { stageTidemark } from "../support/stages/staged-tidemark.js";
import { waitUntil } from "../support/wait-until.js";

let group: ReplicationGroup;
let tidemark: Tidemark;
let routes: Routes;

stageTidemark({ replicas: 1 }, (stage) => {
  ({ group, tidemark, routes } = stage);
});

/** A client of a new session. */
function inSession(): NodeRedis {
  return nodeRedis(tidemark.session().redis);
}

describe("Reads", () => {
  const reads: Readonly<Record<string, (client: NodeRedis) => Promise<unknown>>> = {
    get: (c) => c.get("r:text"),
    mget: (c) => c.mGet(["r:text", "none"]),
    hgetall: (c) => c.hGetAll("r:hash"),
    hrandfield: (c) => c.hRandFieldCountWithValues("r:hash", 1),
    smembers: (c) => c.sMembers("r:set"),
    zrange: (c) => c.zRangeWithScores("r:sorted", 0, -1),
    zscore: (c) => c.zScore("r:sorted", "a"),
    xrange: (c) => c.xRange("r:stream", "-", "+"),
    xread: (c) => c.xRead([{ key: "r:stream", id: "0" }]),
    geopos: (c) => c.geoPos("r:sorted", "a"),
    ttl: (c) => c.ttl("r:text"),
  };

  it.each(["when-needed", "always"] as const)("are answered by a replica, verified %s", async (verify) => {
    await group.primary.admin().set("r:text", "text");
    await group.primary.admin().hset("r:hash", "field", "value");
    await group.primary.admin().sadd("r:set", "a");
    await group.primary.admin().zadd("r:sorted", 1.5, "a");
    await group.primary.admin().del("r:stream");
    await group.primary.admin().call("XADD", "r:stream", "1-1", "field", "value");
    await group.caughtUp();
    const real: NodeRedis = createClient({ url: group.primary.url, RESP: 2 });
    await real.connect();
    await using ours = openTidemark(group, { verify });
    await replicasAreEligible(ours);
    const view = nodeRedis(ours.session().redis);
    const replica = group.replicas[0]?.server;
    for (const [name, read] of Object.entries(reads)) {
      const before = await replica?.commandCalls(name);
      expect(await read(view)).toStrictEqual(await read(real));
      expect(await replica?.commandCalls(name)).toBe(Number(before) + 1);
    }
    real.destroy();
  });

  it("see the session's own write while every replica is held back", async () => {
    holdReplicas(group);
    const client = inSession();
    await client.set("held", "new");
    await client.hSet("held:hash", "field", "new");
    expect(await client.get("held")).toBe("new");
    expect(await client.hGetAll("held:hash")).toEqual({ field: "new" });
    expect(routes.of("get").at(-1)).toMatch(/^primary:/);
  });

  it("follow the session of the caller, in scripts and iterations too", async () => {
    const client = nodeRedis(tidemark.redis);
    await client.get("k");
    expect(routes.of("get").at(-1)).toBe("primary:no-session");
    await tidemark.run(tidemark.session(), () => client.get("k"));
    expect(routes.of("get").at(-1)).toMatch(/^replica:/);
    const session = tidemark.session();
    await tidemark.run(session, async () => {
      for await (const keys of client.scanIterator({ COUNT: 1 })) await client.sAdd("seen", ["one", ...keys]);
    });
    expect(session.wrote).toBe(true);
    expect(routes.of("scan").every((to) => to !== "primary:no-session")).toBe(true);
  });
});

describe("A session's client", () => {
  it("counts the writes of multi() and execAsPipeline() as the session's", async () => {
    for (const run of ["exec", "execAsPipeline"] as const) {
      const session = tidemark.session();
      await nodeRedis(session.redis).multi().get("k").incr("counted")[run]();
      expect(session.wrote).toBe(true);
    }
  });

  it("rejects a transaction when a watched key has changed, and carries it out otherwise", async () => {
    const client = inSession();
    await client.watch("watched");
    expect(await client.multi().set("watched", "mine").exec()).toEqual(["OK"]);
    await client.watch("watched");
    await inSession().set("watched", "theirs");
    await expect(client.multi().set("watched", "mine").exec()).rejects.toThrow(WatchError);
    expect(await client.get("watched")).toBe("theirs");
  });

  it("runs a blocking command without delaying others", async () => {
    const client = inSession();
    const job = client.blPop("queue", 0);
    expect(await client.get("none")).toBeNull();
    await inSession().lPush("queue", "job");
    expect(await job).toEqual({ key: "queue", element: "job" });
  });

  it("adds ioredis's keyPrefix to keys", async () => {
    await using ours = openTidemark(group, { redis: { keyPrefix: "p:" } });
    const client = nodeRedis(ours.session().redis);
    await client.multi().set("a", "1").exec();
    expect(await client.get("a")).toBe("1");
    expect(await group.primary.admin().get("p:a")).toBe("1");
  });

  it.each<[string, (client: NodeRedis) => unknown, RegExp]>([
    ["subscribe", (c) => c.subscribe("news", () => {}), /SUBSCRIBE .* createClient\(\) of node-redis/],
    ["PSUBSCRIBE", (c) => c.PSUBSCRIBE("n*", () => {}), /PSUBSCRIBE .* createClient\(\)/],
    ["sUnsubscribe", (c) => c.sUnsubscribe("news"), /SUNSUBSCRIBE .* createClient\(\)/],
    ["monitor", (c) => c.monitor(() => {}), /MONITOR .* createClient\(\)/],
    ["reset", (c) => c.reset(), /RESET .* createClient\(\)/],
    ["duplicate", async (c) => c.duplicate(), /DUPLICATE .* createClient\(\)/],
    ["createPool", async (c) => c.createPool(), /CREATEPOOL .* createClient\(\)/],
    ["select", (c) => c.select(1), /SELECT .* Set the matching option/],
    ["auth", (c) => c.auth({ password: "p" }), /AUTH .* Set the matching option/],
    ["a raw SUBSCRIBE", (c) => c.sendCommand(["SUBSCRIBE", "news"]), /SUBSCRIBE .*redis.duplicate\(\)/],
    ["multi with SELECT", (c) => c.multi().select(1).exec(), /SELECT .* Set the matching option/],
    ["quit", (c) => c.quit(), /QUIT .* tidemark.close\(\)/],
    ["close", (c) => c.close(), /QUIT .* tidemark.close\(\)/],
  ])("refuses %s and names the alternative", async (_, call, message) => {
    const outcome = Promise.resolve(call(inSession()));
    await expect(outcome).rejects.toThrow(RefusedCommandError);
    await expect(outcome).rejects.toThrow(message);
  });
});

describe("nodeRedis(tidemark.redis)", () => {
  it("opens, becomes ready and closes together with the connection to the primary", async () => {
    const client = nodeRedis(tidemark.redis);
    expect(await client.connect()).toBe(client);
    expect([client.isOpen, client.isReady]).toEqual([true, true]);
    inSession().destroy();
    expect(await client.ping()).toBe("PONG");
    await client.close();
    await waitUntil(() => !client.isOpen && !client.isReady, { what: "the client is closed" });
    await expect(client.get("k")).rejects.toThrow(/closed/);
    await expect(client.multi().get("k").exec()).rejects.toThrow(/closed/);
  });

  it("has the events of the given client", () => {
    const client = nodeRedis(tidemark.redis);
    const heard: unknown[] = [];
    const listener = (error: unknown) => heard.push(error);
    expect(client.on("error", listener)).toBe(client);
    expect(tidemark.redis.listenerCount("error")).toBe(client.listenerCount("error"));
    tidemark.redis.emit("error", "one");
    client.off("error", listener);
    expect(heard).toEqual(["one"]);
    expect(tidemark.redis.listeners("error")).not.toContain(listener);
  });

  it("converts the server's errors to node-redis's, and passes Tidemark's errors on unchanged", async () => {
    await group.primary.admin().set("text", "x");
    await expect(inSession().incr("text")).rejects.toThrow(ErrorReply);
    await tidemark.close();
    await expect(inSession().incr("text")).rejects.toMatchObject({ code: "TIDEMARK_CLOSED" });
  });

  it("also works on a plain ioredis client", async () => {
    const plain = new Redis(group.primary.url);
    const client = nodeRedis(plain);
    expect(await client.multi().hSet("plain", "a", "1").hGetAll("plain").exec()).toEqual([1, { a: "1" }]);
    await client.close();
    await waitUntil(() => !client.isOpen, { what: "the client is closed" });
  });

  it.each([
    ["a Tidemark", () => tidemark, /nodeRedis: got .*\. Pass tidemark.redis or req.redis/],
    [
      "a client with stringNumbers",
      () => new Redis({ lazyConnect: true, stringNumbers: true }),
      /redis: stringNumbers is set\. Remove it/,
    ],
    [
      "a client with RESP 3 replies",
      () => Reflect.construct(Redis, [{ lazyConnect: true, replyMapping: "resp3" }]),
      /redis: replyMapping is "resp3"\. Remove it/,
    ],
  ])("cannot be created from %s", (_, given, message) => {
    const make = (): unknown => Reflect.apply(nodeRedis, undefined, [given()]);
    expect(make).toThrow(InvalidOptionError);
    expect(make).toThrow(message);
  });

  it("covers every method of node-redis's client", () => {
    const known = new Set(
      [
        // Members that work without a connection of their own.
        "constructor clientSideCache options isPubSubActive socketEpoch isWatching isDirtyWatch setDirtyWatch",
        "withCommandOptions withTypeMapping withAbortSignal asap legacy getPubSubListeners resetIfDirty ref unref",
        // Members that end in sendCommand, _executeMulti or _executePipeline.
        "SELECT WATCH UNWATCH MULTI scanIterator hScanIterator hScanValuesIterator hScanNoValuesIterator",
        "sScanIterator zScanIterator reAuthenticate select watch unwatch multi _executeCommand _executeScript",
        // Members that only node-redis calls, on a client of a pool, cluster or sentinel.
        "_keyPrefix _clientId _setIdentity _commandOptionsProxy _ejectSocket _insertSocket _maintenanceUpdate _pause",
        "_unpause _handleSmigrated _getQueue extendPubSubChannelListeners extendPubSubListeners",
        "_self _commandOptions _events _eventsCount _maxListeners",
      ].flatMap((names) => names.split(" ")),
    );
    const view = nodeRedis(tidemark.redis);
    const real = createClient({ RESP: 2 }).duplicate();
    const own = Object.getOwnPropertyNames(Object.getPrototypeOf(Object.getPrototypeOf(real)));
    const unknown = [...own, ...Object.keys(real)].filter((name) => !known.has(name));
    const valueAt = (client: object, name: string) => {
      const { value, get } = Object.getOwnPropertyDescriptor(client, name) ?? {};
      return value ?? get;
    };
    const undecided = unknown.filter((name) => String(valueAt(view, name)) === String(valueAt(real, name)));
    expect(undecided).toEqual([]);
  });
});
