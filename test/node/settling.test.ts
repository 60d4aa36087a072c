/** Commands end as with plain ioredis: in order, once, and with their own error. */
import { Command, Redis } from "ioredis";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { SessionClient, Tidemark } from "../../src/index.js";
import { listenToRoutes } from "../support/listeners/routes.js";
import { type ReplicationGroup, startReplicationGroup } from "../support/servers/replication-group.js";
import { replicasAreEligible } from "../support/stages/eligible-replicas.js";
import { type GroupOptions, openTidemark } from "../support/stages/open-tidemark.js";

let group: ReplicationGroup;
let opened: Tidemark[];

beforeAll(async () => {
  group = await startReplicationGroup({ replicas: 1 });
});

afterAll(() => group.stop());

beforeEach(() => {
  opened = [];
});

afterEach(() => Promise.all(opened.map((tidemark) => tidemark.close())));

async function open(options: GroupOptions = {}): Promise<Tidemark> {
  const tidemark = openTidemark(group, options);
  opened.push(tidemark);
  await replicasAreEligible(tidemark);
  return tidemark;
}

describe("A reply transformer that throws", () => {
  function fail(): never {
    throw new TypeError("cannot be converted");
  }

  /** Has `name` fail to convert its replies while `test` runs; says how often it was tried. */
  async function failing(name: string, test: () => Promise<void>): Promise<number> {
    let calls = 0;
    const replace = Reflect.get(Command, "setReplyTransformer").bind(Command);
    replace(name, () => {
      calls += 1;
      fail();
    });
    try {
      await test();
    } finally {
      replace(name, (reply: unknown) => reply);
    }
    return calls;
  }

  it("rejects a write with its own error, once, and leaves the session as after any write", async () => {
    const tidemark = await open();
    const session = tidemark.session();
    const calls = await failing("set", async () => {
      await expect(session.redis.set("k", "1")).rejects.toThrow("cannot be converted");
      await expect(tidemark.redis.set("k", "2")).rejects.toThrow("cannot be converted");
    });
    expect(calls).toBe(2);
    expect([session.pinned, session.writing]).toEqual([false, false]);
    const next = session.redis.incr("n");
    expect(session.writing).toBe(true);
    await next;
  });

  it("rejects a read with its own error, and the read is sent only once", async () => {
    const tidemark = await open();
    using routes = listenToRoutes();
    const calls = await failing("get", async () => {
      for (const redis of [
        tidemark.redis,
        tidemark.session().redis,
        tidemark.session({ level: "strong" }).redis,
      ])
        await expect(redis.get("k")).rejects.toThrow("cannot be converted");
    });
    expect(calls).toBe(3);
    expect(routes.of("get")).toHaveLength(3);
  });
});

describe("The order of replies", () => {
  const given = ["set", "get", "incr", "lpush", "type", "get", "exists", "set", "get", "ping"];

  /** Gives commands without waiting; the order in which they are answered. */
  async function answered(redis: Redis): Promise<number[]> {
    const order: number[] = [];
    const noted = (i: number) => (): void => {
      order.push(i);
    };
    await Promise.all(
      given.map((name, i) => {
        const args = name === "set" ? ["order", "1"] : name === "ping" ? [] : ["order"];
        return redis.call(name, ...args).then(noted(i), noted(i));
      }),
    );
    return order;
  }

  it("matches the order of the commands, errors included, in a session and outside", async () => {
    const tidemark = await open();
    const clients: SessionClient[] = [tidemark.redis, tidemark.session().redis];
    for (const redis of clients) expect(await answered(redis)).toEqual(given.map((_, i) => i));
  });
});

describe("An error of the server", () => {
  function failureOf(reply: Promise<unknown>): Promise<Error | undefined> {
    return reply.then(
      () => undefined,
      (error: Error) => error,
    );
  }

  it.each([
    { verify: "when-needed", fallback: "primary" },
    { verify: "always", fallback: "primary" },
    { verify: "always", fallback: "error" },
    { verify: "when-needed", fallback: "error" },
  ] as const)("equals the error of plain ioredis when it comes from a replica with %o", async (options) => {
    const tidemark = await open(options);
    const plain = new Redis(group.primary.port);
    const { redis } = tidemark.session();
    await plain.rpush("list", "a");
    await group.caughtUp();
    await replicasAreEligible(tidemark);
    const calls: ((redis: Redis) => Promise<unknown>)[] = [
      (redis) => redis.get("list"),
      (redis) => redis.call("get"),
      (redis) => redis.hgetall("list"),
    ];
    for (const call of calls) {
      const [expected, got] = await Promise.all([plain, redis].map((one) => failureOf(call(one))));
      if (expected === undefined || got === undefined) throw new Error("it did not fail");
      expect({ ...got, name: got.name, message: got.message }).toEqual({
        ...expected,
        name: expected.name,
        message: expected.message,
      });
      expect(got.constructor.name).toBe(expected.constructor.name);
    }
    plain.disconnect();
  });
});

describe("A command that only looks something up", () => {
  it("does not count as a write of its session", async () => {
    const session = (await open()).session();
    const { redis } = session;
    await redis.multi().get("k").ttl("k").exec();
    await redis.config("GET", "maxmemory");
    await redis.script("EXISTS", "0".repeat(40));
    await redis.slowlog("LEN");
    await redis.pipeline().get("k").dbsize().exec();
    expect(session.wrote).toBe(false);
    await redis.multi().get("k").incr("n").exec();
    expect(session.wrote).toBe(true);
  });
});

describe("reconnectOnError", () => {
  it("that returns 2 makes Tidemark resend the refused command once it is connected", async () => {
    let refusals = 0;
    const reconnectOnError = (error: Error): false | 2 => {
      if (!error.message.startsWith("READONLY")) return false;
      refusals += 1;
      void group.primary.admin().replicaof("NO", "ONE");
      return 2;
    };
    const tidemark = openTidemark(group, { replicas: [], redis: { reconnectOnError } });
    opened.push(tidemark);
    await tidemark.ready();
    const other = group.replicas[0]?.server.port ?? 0;
    const session = tidemark.session();
    await session.redis.set("warm", "1");
    await group.primary.admin().replicaof("127.0.0.1", other);
    expect(await session.redis.set("again", "1")).toBe("OK");
    expect(refusals).toBeGreaterThan(0);
    expect(await session.redis.get("again")).toBe("1");
  });

  it("that returns 2 makes Tidemark resend a command that it would not repeat by itself", async () => {
    let refusals = 0;
    const reconnectOnError = (error: Error): false | 2 => {
      if (!error.message.startsWith("WRONGTYPE")) return false;
      refusals += 1;
      void group.primary.admin().del("list");
      return 2;
    };
    const tidemark = openTidemark(group, { replicas: [], redis: { reconnectOnError } });
    opened.push(tidemark);
    const session = tidemark.session();
    await session.redis.set("list", "no list");
    expect(await session.redis.lpush("list", "a")).toBe(1);
    expect(refusals).toBeGreaterThan(0);
  });
});
