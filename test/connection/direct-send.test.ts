/** Usual commands skip the checks of ioredis; all others do not, and nothing that users can observe changes. */
import { tracingChannel } from "node:diagnostics_channel";
import { Command, Redis, type RedisOptions } from "ioredis";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { sendDirectly } from "../../src/connection/direct-send.js";
import { RedisServer } from "../support/servers/redis-server.js";

let server: RedisServer;
let clients: Redis[] = [];

beforeAll(async () => {
  server = await RedisServer.start();
});

afterEach(() => {
  for (const redis of clients) redis.disconnect();
  clients = [];
});

afterAll(() => server.stop());

async function ready(options: RedisOptions = {}): Promise<Redis> {
  const redis = new Redis({ ...options, host: server.host, port: server.port, replyMapping: undefined });
  clients.push(redis);
  await redis.ping();
  return redis;
}

describe("sendDirectly", () => {
  it.each([
    ["get", ["k"]],
    ["SET", ["k", "v"]],
    ["info", ["replication"]],
    ["hgetall", ["h"]],
  ] as const)("sends %s, whose reply is the same", async (name, args) => {
    const redis = await ready();
    const command = new Command(name, [...args], { replyEncoding: "utf8" });
    expect(sendDirectly(redis, command, undefined)).toBe(true);
    const again = new Command(name, [...args], { replyEncoding: "utf8" });
    redis.sendCommand(again);
    expect(await command.promise).toEqual(await again.promise);
  });

  it.each([
    ["quit", []],
    ["QUIT", []],
    ["select", [1]],
    ["client", ["id"]],
    ["blpop", ["k", 1]],
    ["subscribe", ["c"]],
    ["unsubscribe", ["c"]],
    ["monitor", []],
  ])("leaves %s to ioredis", async (name, args) => {
    const redis = await ready();
    expect(sendDirectly(redis, new Command(name, args), undefined)).toBe(false);
    expect(redis.commandQueue).toHaveLength(0);
  });

  it("leaves commands to ioredis while there is no ready connection", async () => {
    const redis = new Redis({ host: server.host, port: server.port, lazyConnect: true });
    clients.push(redis);
    expect(sendDirectly(redis, new Command("get", ["k"]), undefined)).toBe(false);
    await redis.connect();
    expect(sendDirectly(redis, new Command("get", ["k"]), undefined)).toBe(true);
    redis.disconnect();
    expect(sendDirectly(redis, new Command("get", ["k"]), undefined)).toBe(false);
  });

  it("leaves commands to ioredis while the connection has subscriptions", async () => {
    const redis = await ready();
    await redis.subscribe("c");
    expect(sendDirectly(redis, new Command("get", ["k"]), undefined)).toBe(false);
  });

  it("leaves commands to ioredis if it counts the time without answers", async () => {
    const redis = await ready({ socketTimeout: 5_000 });
    expect(sendDirectly(redis, new Command("get", ["k"]), undefined)).toBe(false);
  });

  it("leaves commands to ioredis while someone traces them", async () => {
    const redis = await ready();
    const seen = { start() {}, end() {}, asyncStart() {}, asyncEnd() {}, error() {} };
    const channel = tracingChannel("ioredis:command");
    channel.subscribe(seen);
    expect(sendDirectly(redis, new Command("get", ["k"]), undefined)).toBe(false);
    channel.unsubscribe(seen);
    expect(sendDirectly(redis, new Command("get", ["k"]), undefined)).toBe(true);
  });
});
