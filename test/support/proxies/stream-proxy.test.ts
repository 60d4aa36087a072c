import { once } from "node:events";
import { Redis } from "ioredis";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { freePort } from "../servers/free-port.js";
import { RedisServer } from "../servers/redis-server.js";
import { waitUntil } from "../wait-until.js";
import { StreamProxy } from "./stream-proxy.js";

describe("StreamProxy", () => {
  let primary: RedisServer;
  let proxy: StreamProxy;
  let replicas: [RedisServer, RedisServer];
  let clients: Redis[];

  beforeEach(async () => {
    clients = [];
    primary = await RedisServer.start();
    proxy = await StreamProxy.start({ targetPort: primary.port });
    const replicaOf = proxy;
    replicas = await Promise.all([RedisServer.start({ replicaOf }), RedisServer.start({ replicaOf })]);
    await bothInSync();
  });

  afterEach(async () => {
    for (const client of clients) client.disconnect();
    await Promise.all([proxy.stop(), primary.stop(), ...replicas.map((replica) => replica.stop())]);
  });

  const bothInSync = async () => {
    for (const replica of replicas)
      await waitUntil(() => isLinked(replica), { what: "a replica is in sync" });
  };
  const isLinked = async (replica: RedisServer) =>
    (await replica.info("replication")).master_link_status === "up";
  const has = (replica: RedisServer, value: string) =>
    waitUntil(async () => (await replica.admin().get("k")) === value, { what: `a replica has ${value}` });
  /** So many trips to a server that what is on its way to it or through the proxy had time to arrive. */
  const soon = async (server: RedisServer) => {
    for (let trips = 0; trips < 200; trips += 1) await server.admin().ping();
  };

  /** A connection through the proxy that does not come back; sentinels give themselves such a name. */
  async function connected(connectionName?: string): Promise<Redis> {
    const client = new Redis({
      port: proxy.port,
      // In RESP3 the name would not come first.
      protocol: 2,
      ...(connectionName === undefined ? {} : { connectionName }),
      retryStrategy: () => null,
      maxRetriesPerRequest: 0,
    });
    clients.push(client);
    client.on("error", () => {});
    await client.ping();
    return client;
  }

  test("distinguishes clients, replicas and sentinels", async () => {
    await connected();
    await connected("sentinel-0f12ab-cmd");
    await connected("sentinel-0f12ab-pubsub");
    expect(proxy.connectionsOf("clients")).toBe(1);
    expect(proxy.connectionsOf("sentinels")).toBe(2);
    expect(proxy.connectionsOf("replicas")).toBe(2);
    for (const { port } of replicas) expect(proxy.connectionsOf(port)).toBe(1);
    expect(proxy.connections).toBe(5);
  });

  test("hold() holds all replicas back and no client, and release() passes everything on", async () => {
    const client = await connected();
    proxy.hold();
    await client.set("k", "v");
    expect(await client.get("k")).toBe("v");
    for (const replica of replicas) {
      await soon(replica);
      expect(await replica.admin().get("k")).toBeNull();
    }
    await proxy.release();
    for (const replica of replicas) await has(replica, "v");
  });

  test("hold() and release() of one replica affect only that replica, even after it has reconnected", async () => {
    const [held, free] = replicas;
    proxy.hold(held.port);
    proxy.cut(held.port);
    await waitUntil(async () => !(await isLinked(held)), { what: "the held replica is cut off" });
    expect(await isLinked(free)).toBe(true);
    proxy.mend();
    await waitUntil(() => proxy.connectionsOf(held.port) === 1, { what: "the held replica is back" });
    await primary.admin().set("k", "v");
    await has(free, "v");
    await proxy.release(free.port);
    await soon(held);
    expect(await held.admin().get("k")).toBeNull();
    await proxy.release(held.port);
    await has(held, "v");
  });

  test("release() of one replica leaves the others held", async () => {
    const [held, free] = replicas;
    proxy.hold();
    await primary.admin().set("k", "v");
    await proxy.release(free.port);
    await has(free, "v");
    await soon(held);
    expect(await held.admin().get("k")).toBeNull();
  });

  test("hold() also applies to later replicas, unless they are released by port", async () => {
    proxy.hold();
    const port = await freePort();
    await proxy.release(port);
    await using late = await RedisServer.start({ replicaOf: proxy });
    await waitUntil(() => proxy.connectionsOf(late.port) === 1, {
      what: "the late replica announced its port",
    });
    await using free = await RedisServer.start({ replicaOf: proxy, port });
    await waitUntil(() => isLinked(free), { what: "the other late replica is in sync" });
    expect(await isLinked(late)).toBe(false);
    await proxy.release();
    await waitUntil(() => isLinked(late), { what: "the late replica is in sync" });
  });

  test("delay() delays one replica by the given time, or all", async () => {
    const [late, punctual] = replicas;
    proxy.delay(60_000, 0, late.port);
    await primary.admin().set("k", "v");
    await has(punctual, "v");
    expect(await late.admin().get("k")).toBeNull();
    await proxy.release(late.port);
    await has(late, "v");
    proxy.delay(80);
    const start = performance.now();
    await primary.admin().set("k", "w");
    await Promise.all(replicas.map((replica) => has(replica, "w")));
    expect(performance.now() - start).toBeGreaterThanOrEqual(79);
  });

  test("cut() of replicas and sentinels does not affect clients, until mend()", async () => {
    const [client, sentinel] = [await connected(), await connected("sentinel-0f12ab-cmd")];
    const ended = once(sentinel, "end");
    proxy.cut("replicas", "sentinels");
    await ended;
    for (const replica of replicas) {
      await waitUntil(async () => !(await isLinked(replica)), { what: "a replica is cut off" });
    }
    await expect(connected("sentinel-0f12ab-cmd")).rejects.toThrow();
    expect(await client.set("k", "v")).toBe("OK");
    expect(await (await connected()).get("k")).toBe("v");
    proxy.mend();
    await connected("sentinel-0f12ab-cmd");
    await bothInSync();
  });

  test("cut() of clients does not affect replicas and sentinels", async () => {
    const [client, sentinel] = [await connected(), await connected("sentinel-0f12ab-cmd")];
    const ended = once(client, "end");
    proxy.cut("clients");
    await ended;
    await expect(connected()).rejects.toThrow();
    await primary.admin().set("k", "v");
    for (const replica of replicas) await has(replica, "v");
    expect(await sentinel.get("k")).toBe("v");
    proxy.mend();
    expect(await (await connected()).get("k")).toBe("v");
  });

  test("mend() of one party affects only that party", async () => {
    proxy.cut("clients", "sentinels");
    proxy.mend("sentinels");
    await connected("sentinel-0f12ab-cmd");
    await expect(connected()).rejects.toThrow();
    proxy.mend("clients");
    await connected();
  });

  test("cut() without a party affects all parties", async () => {
    const client = await connected();
    const ended = once(client, "end");
    proxy.cut();
    await ended;
    await waitUntil(() => proxy.connections === 0, { what: "no client is connected" });
    await expect(connected("sentinel-0f12ab-cmd")).rejects.toThrow();
    proxy.mend();
    await bothInSync();
  });

  test("stall() keeps all connections of a party silent, including new ones, until unstall()", async () => {
    const [client, sentinel] = [await connected(), await connected("sentinel-0f12ab-cmd")];
    proxy.stall("sentinels", "replicas");
    let answers = 0;
    const late = connected("sentinel-0f12ab-pubsub").then((redis) => redis.get("k"));
    const readings = [sentinel.get("k"), late].map((reading) => reading.finally(() => (answers += 1)));
    await waitUntil(() => proxy.connectionsOf("sentinels") === 2, { what: "both Sentinels are connected" });
    await client.set("k", "v");
    for (const replica of replicas) await soon(replica);
    expect(answers).toBe(0);
    for (const replica of replicas) {
      expect(await isLinked(replica)).toBe(true);
      expect(await replica.admin().get("k")).toBeNull();
    }
    proxy.unstall("sentinels");
    await Promise.all(readings);
    await soon(replicas[0]);
    expect(await replicas[0].admin().get("k")).toBeNull();
    proxy.unstall();
    for (const replica of replicas) await has(replica, "v");
  });

  test("unstall() of a party does not end the stall of all", async () => {
    const client = await connected();
    proxy.stall();
    proxy.unstall("clients");
    let isAnswered = false;
    const reading = client.get("k").finally(() => (isAnswered = true));
    await soon(primary);
    expect(isAnswered).toBe(false);
    proxy.unstall();
    expect(await reading).toBeNull();
  });

  test("cutAfterReply() looks only at replies to clients", async () => {
    const client = await connected();
    const cut = proxy.cutAfterReply("needle\r\n");
    await primary.admin().set("k", "needle");
    for (const replica of replicas) await has(replica, "needle");
    expect(proxy.connectionsOf("replicas")).toBe(2);
    expect(await client.get("k")).toBe("needle");
    await cut;
    expect(proxy.connectionsOf("clients")).toBe(0);
    expect(proxy.connectionsOf("replicas")).toBe(2);
  });
});
