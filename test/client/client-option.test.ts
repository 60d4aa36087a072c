/** Options of ioredis that do not change replies have the same effect here as on a plain client. */
import { Redis, type RedisOptions } from "ioredis";
import { afterAll, beforeAll, expect, it } from "vitest";
import { Tidemark } from "../../src/index.js";
import { type Faces, openFaces } from "../support/commands/client-faces.js";
import { freePort } from "../support/servers/free-port.js";
import { type ReplicationGroup, startReplicationGroup } from "../support/servers/replication-group.js";

let group: ReplicationGroup;

beforeAll(async () => {
  group = await startReplicationGroup({ replicas: 1 });
});

afterAll(() => group.stop());

async function open(options: RedisOptions): Promise<Faces> {
  const faces = await openFaces(group, options);
  await faces.refill((redis) => redis.rpush("list", "x"));
  return faces;
}

/** The error a call is rejected with, or that is the first in a pipeline's results. */
async function errorOf(call: Promise<unknown>): Promise<Error> {
  const outcome = await call.catch((error: unknown) => error);
  const error = Array.isArray(outcome) ? outcome[0]?.[0] : outcome;
  if (error instanceof Error) return error;
  throw new Error("there is no error");
}

const failing: Readonly<Record<string, (redis: Redis) => Promise<unknown>>> = {
  "a read": (redis) => redis.get("list"),
  "a write": (redis) => redis.incr("list"),
  "a lookup": (redis) => redis.call("OBJECT", "NONSENSE"),
  "a read in a pipeline": (redis) => redis.pipeline().get("list").exec(),
  "a write in a pipeline": (redis) => redis.pipeline().incr("list").exec(),
};

it.each(Object.entries(failing))(
  "showFriendlyErrorStack names the line of the call: %s",
  async (_what, call) => {
    await using faces = await open({ showFriendlyErrorStack: true });
    const expected = await errorOf(faces.plain(call));
    const called = expected.stack?.split("\n")[1];
    expect(called).toMatch(/client-option\.test\.ts:\d+/);
    for (const [name, face] of faces.ours) {
      const { message, stack } = await errorOf(face(call));
      expect([message, stack?.split("\n")[1]], name).toEqual([expected.message, called]);
    }
  },
);

it("connectionName names every connection", async () => {
  await using faces = await open({ connectionName: "of-this-test" });
  for (const [name, face] of [["plain", faces.plain] as const, ...faces.ours]) {
    expect(await face((redis) => redis.client("GETNAME")), name).toBe("of-this-test");
  }
  const replica = await group.replicas[0]?.server.admin().client("LIST");
  expect(String(replica)).toMatch(/name=of-this-test/);
});

it("scripts are commands of every client, in batches too", async () => {
  const lua = "return {KEYS[1], ARGV[1]}";
  await using faces = await open({ keyPrefix: "p:", scripts: { given: { lua, numberOfKeys: 1 } } });
  const give = async (redis: Redis): Promise<unknown> => {
    const pipeline = redis.pipeline();
    Reflect.get(pipeline, "given").call(pipeline, "k", 1);
    return [await Reflect.get(redis, "given").call(redis, "k", 1), await pipeline.exec()];
  };
  for (const [name, face] of [["plain", faces.plain] as const, ...faces.ours]) {
    expect(await face(give), name).toEqual([["p:k", "1"], [[null, ["p:k", "1"]]]]);
  }
});

it("db is the database of every read and write", async () => {
  await using faces = await open({});
  for (const [index, [name, face]] of faces.ours.entries()) {
    expect(await face((redis) => redis.set("where", name))).toBe("OK");
    await group.caughtUp();
    expect(await face((redis) => redis.get("where"))).toBe(name);
    const found = await group.primary
      .admin()
      .pipeline()
      .select(index + 1)
      .get("where")
      .select(0)
      .get("where")
      .exec();
    expect(found?.map(([, value]) => value)).toEqual(["OK", name, "OK", null]);
  }
});

it("enableAutoPipelining is accepted, and commands of one turn return the same results with it", async () => {
  await using faces = await open({ enableAutoPipelining: true });
  const give = (redis: Redis): Promise<unknown> =>
    Promise.all([
      redis.set("a", 1),
      redis.get("a"),
      redis.incr("a"),
      redis.getBuffer("a"),
      redis.call("GET", "a"),
      errorOf(redis.lpush("a", 1)).then(({ message }) => message),
    ]);
  const expected = await faces.plain(give);
  expect(expected).toEqual(["OK", "1", 2, Buffer.from("2"), "2", expect.stringMatching(/^WRONGTYPE/)]);
  for (const [name, face] of faces.ours) expect(await face(give), name).toEqual(expected);
});

it("maxRetriesPerRequest rejects with ioredis's error class", async () => {
  const nowhere = { port: await freePort(), maxRetriesPerRequest: 1, retryStrategy: () => 1 };
  const plain = new Redis(nowhere);
  await using tidemark = new Tidemark({ primary: nowhere, replicas: [] });
  for (const redis of [plain, tidemark.redis]) redis.on("error", () => {});
  const [expected, ...found] = await Promise.all(
    [plain, tidemark.redis, tidemark.session().redis].map((redis) => errorOf(redis.get("k"))),
  );
  plain.disconnect();
  expect(expected?.name).toBe("MaxRetriesPerRequestError");
  for (const error of found) {
    expect(error).toBeInstanceOf(expected?.constructor);
    expect([error.name, error.message]).toEqual([expected?.name, expected?.message]);
    expect(String(error.cause)).toContain("ECONNREFUSED");
  }
});
