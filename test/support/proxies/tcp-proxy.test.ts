import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { Redis } from "ioredis";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { freePort } from "../servers/free-port.js";
import { RedisServer } from "../servers/redis-server.js";
import { waitUntil } from "../wait-until.js";
import { TcpProxy } from "./tcp-proxy.js";

describe("TcpProxy", () => {
  let server: RedisServer;
  let proxy: TcpProxy;
  let client: Redis;

  beforeEach(async () => {
    server = await RedisServer.start();
    proxy = await TcpProxy.start({ targetPort: server.port });
    client = await connected(proxy.port);
  });

  afterEach(async () => {
    client.disconnect();
    await Promise.all([proxy.stop(), server.stop()]);
  });

  /** A client that is done with its greetings and will not reconnect. */
  async function connected(port: number): Promise<Redis> {
    const redis = new Redis({ port, retryStrategy: () => null, maxRetriesPerRequest: 0 });
    redis.on("error", () => {});
    await redis.ping();
    return redis;
  }

  test("passes everything in both directions and counts the clients", async () => {
    const value = "x".repeat(3_000_000);
    await client.set("k", value);
    expect(await client.get("k")).toBe(value);
    expect(proxy.connections).toBe(1);
    client.disconnect();
    await waitUntil(() => proxy.connections === 0, { what: "the proxy has no client" });
  });

  test("cutAfterReply() passes the reply to the write and loses the next one", async () => {
    const cut = proxy.cutAfterReply("+OK\r\n");
    const replies = await Promise.allSettled([client.set("k", "v"), client.info("replication")]);
    expect(replies).toMatchObject([{ status: "fulfilled", value: "OK" }, { status: "rejected" }]);
    await cut;
    expect(await server.admin().get("k")).toBe("v");
    await using other = new Disposable(await connected(proxy.port));
    expect(await other.redis.set("k", "w")).toBe("OK");
    expect(await other.redis.get("k")).toBe("w");
  });

  test("cutAfterReply() finds a reply that arrives in pieces", async () => {
    // Sends the next piece only when the last one is known to have arrived alone.
    const pieces = ["+O", "K\r", "\n+LATE\r\n"];
    const target = createServer((socket: Socket) => {
      socket.on("error", () => {}).on("data", () => socket.write(pieces.shift() ?? ""));
    }).listen(0, "127.0.0.1");
    await once(target, "listening");
    await using split = await TcpProxy.start({ targetPort: portOf(target.address()) });
    const cut = split.cutAfterReply("+OK\r\n");
    const socket = connect(split.port, "127.0.0.1").on("error", () => {});
    let received = "";
    socket.on("data", (chunk) => {
      received += chunk;
      socket.write("next");
    });
    socket.write("next");
    await Promise.all([cut, once(socket, "close")]);
    expect(received).toBe("+OK\r\n");
    target.close();
  });

  test("cut() closes open connections and refuses new ones until mend()", async () => {
    const ended = once(client, "end");
    proxy.cut();
    await ended;
    await expect(connected(proxy.port)).rejects.toThrow();
    proxy.mend();
    await using other = new Disposable(await connected(proxy.port));
    expect(await other.redis.ping()).toBe("PONG");
  });

  test("stall() keeps connections open and silent until unstall()", async () => {
    proxy.stall();
    const late = new Disposable(new Redis(proxy.port));
    let answers = 0;
    const reading = [client.get("k"), late.redis.get("k")].map((read) => read.finally(() => (answers += 1)));
    await waitUntil(() => proxy.connections === 2, { what: "both clients are connected" });
    for (let trips = 0; trips < 200; trips += 1) await server.admin().ping();
    expect(answers).toBe(0);
    proxy.unstall();
    expect(await Promise.all(reading)).toEqual([null, null]);
    await late[Symbol.asyncDispose]();
  });

  test("retarget() sends new connections elsewhere and does not affect open ones", async () => {
    await using second = await RedisServer.start();
    await server.admin().set("name", "first");
    await second.admin().set("name", "second");
    proxy.retarget(second.port);
    await using other = new Disposable(await connected(proxy.port));
    expect(await other.redis.get("name")).toBe("second");
    expect(await client.get("name")).toBe("first");
  });

  test("closes the client when the target dies or is missing", async () => {
    const ended = once(client, "end");
    await server.kill();
    await ended;
    proxy.retarget(await freePort());
    await expect(connected(proxy.port)).rejects.toThrow();
    await waitUntil(() => proxy.connections === 0, { what: "the proxy has no client" });
  });
});

/** ioredis clients have no disposer of their own. */
class Disposable implements AsyncDisposable {
  constructor(readonly redis: Redis) {}

  async [Symbol.asyncDispose](): Promise<void> {
    this.redis.disconnect();
  }
}

function portOf(address: ReturnType<ReturnType<typeof createServer>["address"]>): number {
  if (address === null || typeof address === "string") throw new Error("not listening");
  return address.port;
}
