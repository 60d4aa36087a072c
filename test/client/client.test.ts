import { Redis } from "ioredis";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { RefusedCommandError, Tidemark } from "../../src/index.js";
import { listenToRoutes } from "../support/listeners/routes.js";
import { type ReplicationGroup, startReplicationGroup } from "../support/servers/replication-group.js";
import { openTidemark } from "../support/stages/open-tidemark.js";

let group: ReplicationGroup;
let tidemark: Tidemark;

beforeAll(async () => {
  group = await startReplicationGroup({ replicas: 1 });
});

afterAll(() => group.stop());

beforeEach(async () => {
  tidemark = openTidemark(group);
  await tidemark.ready();
});

afterEach(() => tidemark.close());

describe("tidemark.redis", () => {
  it("belongs to the session of its run, through await and callbacks", async () => {
    const session = tidemark.session();
    await tidemark.run(session, async () => {
      await new Promise((resolve) => setImmediate(resolve));
      await new Promise<void>((resolve) => tidemark.redis.set("ambient", "1", () => resolve()));
    });
    expect(session.wrote).toBe(true);
    expect(session.token()).not.toBe("");
  });

  it("never uses another session in 100 interleaved runs", async () => {
    const sessions = Array.from({ length: 100 }, () => tidemark.session());
    await Promise.all(
      sessions.map((session, i) =>
        tidemark.run(session, async () => {
          for (let round = 0; round < 3; round++) {
            await tidemark.redis.get(`k${i}`);
            if (i % 2 === 0) await tidemark.redis.set(`k${i}`, round);
          }
        }),
      ),
    );
    expect(sessions.map(({ wrote }) => wrote)).toEqual(sessions.map((_, i) => i % 2 === 0));
  });

  it("reads from the primary outside any session", async () => {
    using routes = listenToRoutes();
    await tidemark.redis.get("k");
    expect(routes.of("get")).toEqual(["primary:no-session"]);
  });

  it("is an ioredis client, with callbacks, Buffers, call and defineCommand", async () => {
    expect(tidemark.redis).toBeInstanceOf(Redis);
    const { redis } = tidemark.session();
    expect(redis).toBeInstanceOf(Redis);
    await redis.set("b", "x");
    expect(await redis.getBuffer("b")).toEqual(Buffer.from("x"));
    expect(await redis.call("GET", "b")).toBe("x");
    tidemark.redis.defineCommand("twice", {
      numberOfKeys: 1,
      lua: "return redis.call('append', KEYS[1], 'x')",
    });
    expect(await Reflect.get(redis, "twice").call(redis, "b")).toBe(2);
  });

  it("gives pub/sub a dedicated connection", async () => {
    const heard = new Promise((resolve) => tidemark.redis.once("message", (_, text) => resolve(text)));
    await tidemark.redis.subscribe("news");
    await tidemark.redis.publish("news", "hello");
    expect(await heard).toBe("hello");
    expect(await tidemark.redis.get("still-works")).toBeNull();
  });

  it("reports the status and the end of the connection to the primary", async () => {
    const own = new Tidemark({ primary: group.primary.url });
    await own.ready();
    expect([own.redis.status, own.session().redis.status]).toEqual(["ready", "ready"]);
    own.session().redis.disconnect();
    expect(await own.redis.ping()).toBe("PONG");
    own.redis.disconnect(true);
    expect(await own.redis.ping()).toBe("PONG");
    own.redis.disconnect();
    await expect(own.redis.ping()).rejects.toThrow(/closed/);
    await expect(own.redis.subscribe("news")).rejects.toThrow();
  });

  it("accepts a client of another copy of ioredis, and uses its options", async () => {
    const foreign = {
      options: { host: "127.0.0.1", port: group.primary.port },
      isCluster: false,
      sendCommand: () => {},
      connector: { connect: () => {} },
    };
    const own: Tidemark = Reflect.construct(Tidemark, [{ primary: foreign }]);
    expect(await own.redis.ping()).toBe("PONG");
    await own.close();
  });

  it("duplicates into a plain client of the primary", async () => {
    const plain = tidemark.redis.duplicate();
    await plain.lpush("queue", "job");
    expect(await plain.blpop("queue", 1)).toEqual(["queue", "job"]);
    plain.disconnect();
  });

  it.each([
    ["select", [1], /SELECT .* Set the matching option in `redis`/],
    ["subscribe", ["c"], /SUBSCRIBE .* tidemark.redis.duplicate/],
    ["wait", [1, 0], /WAIT .* the writes of its own connection/],
    ["client", ["setname", "x"], /CLIENT .* Set the matching option/],
    ["quit", [], /QUIT .* tidemark.close\(\)/],
  ])("refuses %s on a session and names the alternative", async (name, args, message) => {
    const refused = tidemark.session().redis.call(name, ...args.map(String));
    await expect(refused).rejects.toThrow(RefusedCommandError);
    await expect(refused).rejects.toThrow(message);
  });

  it("refuses a whole batch when one command in the batch is refused, and sends nothing", async () => {
    const { redis } = tidemark.session();
    await redis.del("untouched");
    const results = await redis.pipeline().set("untouched", 1).select(2).exec();
    expect(results?.map(([error]) => error?.name)).toEqual(["RefusedCommandError", "RefusedCommandError"]);
    await expect(redis.multi().set("untouched", 1).select(2).exec()).rejects.toThrow(RefusedCommandError);
    expect(await redis.exists("untouched")).toBe(0);
  });
});
