/** The values that are accepted as a server, and those that are refused with a sentence that says what to give. */
import { EventEmitter } from "node:events";
import { Cluster, Redis, type RedisOptions } from "ioredis";
import { createClient } from "redis";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { InvalidOptionError, Tidemark } from "../../src/index.js";
import { namedIn } from "../../src/options/given-server.js";
import { RedisServer } from "../support/servers/redis-server.js";

/** Made like the client of ioredis-mock: an emitter with options and a method for each command, and no connection. */
class RedisMock extends EventEmitter {
  static defaultOptions = { db: 0, host: "localhost", port: 6379, keyPrefix: "", lazyConnect: false };
  readonly connected = true;
  readonly options: object;

  constructor(options: object = {}) {
    super();
    this.options = { ...RedisMock.defaultOptions, ...options };
  }

  async get(_key: string): Promise<null> {
    return null;
  }

  duplicate(): RedisMock {
    return new RedisMock(this.options);
  }

  disconnect(): void {}
}

/** A mock whose author was more thorough. */
class ThoroughMock extends RedisMock {
  readonly isCluster = false;
  readonly status = "ready";

  sendCommand(): void {}
}

const mock = /got a client that makes no connections, such as a mock\. Pass the URL of a real Redis server/;
const ofTidemark =
  /got a client that a Tidemark made\. Pass the address of the Redis server itself, like "redis:/;

describe("an invalid server", () => {
  let tidemark: Tidemark;
  let cluster: Cluster;

  beforeAll(() => {
    tidemark = new Tidemark({ primary: { port: 1 }, replicas: [], redis: { lazyConnect: true } });
    cluster = new Cluster([{ port: 1 }], { lazyConnect: true });
  });

  afterAll(async () => {
    cluster.disconnect();
    await tidemark.close();
  });

  const refused: readonly [what: string, make: () => unknown, message: RegExp][] = [
    ["a mock", () => new RedisMock({ host: "10.0.0.1" }), mock],
    ["a mock with sendCommand", () => new ThoroughMock(), mock],
    ["a cluster of ioredis", () => cluster, /got a cluster client\. Pass \{ cluster: \[…\] \}/],
    ["a client of node-redis", () => createClient(), /got a node-redis client\. Pass the address/],
    ["a Tidemark", () => tidemark, /got a Tidemark\. Pass the address of the Redis server/],
    ["a Tidemark's client", () => tidemark.redis, ofTidemark],
    ["a session's client", () => tidemark.session().redis, ofTidemark],
    ["a duplicate of a Tidemark's client", () => tidemark.redis.duplicate(), ofTidemark],
    ["a promise", () => Promise.resolve("redis://127.0.0.1:1"), /got a Promise\. Pass a URL/],
    ["a URL object", () => new URL("redis://127.0.0.1:1"), /got a URL object\. Pass a URL like/],
    ["a map", () => new Map([["host", "127.0.0.1"]]), /got a Map\. Pass a URL/],
    ["the class", () => Redis, /got a function\. Pass a URL/],
    ["nothing", () => undefined, /got undefined\. Pass a URL/],
    ["an empty string", () => "", /got ""\. Pass a URL/],
    [
      "an object with a URL",
      () => ({ url: "redis://127.0.0.1:1" }),
      /there is no option "url"\. Pass the URL as the server/,
    ],
    [
      "options of node-redis",
      () => ({ socket: { port: 1 } }),
      /there is no option "socket"\. Pass `host` and `port`/,
    ],
    ["an address in host", () => ({ host: "127.0.0.1:1" }), /\.host: got a string\. Pass a host like/],
    ["an invalid port", () => ({ port: 70_000 }), /\.port: got 70000\. Pass a whole number from 0 to 65535/],
    ["an invalid database", () => ({ db: -1 }), /\.db: got -1\. Pass a whole number/],
    [
      "a URL with another path",
      () => "redis://127.0.0.1:1/orders",
      /got a URL that cannot be parsed\. Percent-encode/,
    ],
  ];

  it.each(refused)("is refused wherever it is given: %s", (_what, make, message) => {
    const server = make();
    const real = { port: 1 };
    for (const options of [
      { primary: server },
      { primary: real, replicas: [server] },
      { sentinels: [server], name: "orders" },
      { cluster: [real, server] },
    ]) {
      const construct = (): unknown => Reflect.construct(Tidemark, [options]);
      expect(construct).toThrow(InvalidOptionError);
      expect(construct).toThrow(message);
    }
  });
});

describe("a valid server", () => {
  class OwnRedis extends Redis {
    readonly purpose = "carts";
  }

  it("may be a client of a subclass, whose options are used", async () => {
    await using server = await RedisServer.start();
    const client = new OwnRedis({ port: server.port, db: 2, connectionName: "carts" });
    await using tidemark = new Tidemark({ primary: client, replicas: [] });
    await tidemark.redis.set("k", "v");
    expect(await client.get("k")).toBe("v");
    client.disconnect();
  });

  it("may be an object of the app's own class", () => {
    class Settings {
      readonly host = "10.0.0.1";
      readonly port = "6380";
      readonly password = undefined;
    }
    expect(namedIn("primary", new Settings())).toEqual({ host: "10.0.0.1", port: 6380 });
  });

  it.each<[given: string | RedisOptions, named: RedisOptions]>([
    ["redis://10.0.0.1", { host: "10.0.0.1" }],
    ["redis://10.0.0.1:6379/0", { host: "10.0.0.1", port: 6379, db: 0 }],
    ["redis://app:p%40ss@10.0.0.1", { host: "10.0.0.1", username: "app", password: "p@ss" }],
    ["redis://:p@ss@[::1]:7", { host: "::1", port: 7, password: "p@ss" }],
    ["redis://10.0.0.1?password=p@ss&db=4", { host: "10.0.0.1", password: "p@ss", db: 4 }],
    ["/run/redis.sock?db=2", { path: "/run/redis.sock", db: 2 }],
    ["unix:///run/redis.sock", { path: "/run/redis.sock" }],
    [
      { port: 1, password: undefined, maxRetriesPerRequest: null, tls: undefined },
      { port: 1, maxRetriesPerRequest: null, tls: undefined },
    ],
  ])("keeps its own settings and no default of ioredis: %j", (given, named) => {
    expect(namedIn("primary", given)).toStrictEqual(named);
  });
});
