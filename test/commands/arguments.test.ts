/** Arguments and options mean the same as with ioredis, in every shape. */
import { Command, type Redis, type RedisOptions } from "ioredis";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type Faces, openFaces } from "../support/commands/client-faces.js";
import { outcomeOf } from "../support/commands/outcome.js";
import { type ReplicationGroup, startReplicationGroup } from "../support/servers/replication-group.js";

type Calls = Readonly<Record<string, (redis: Redis) => unknown>>;

let group: ReplicationGroup;
let faces: Faces | undefined;

beforeAll(async () => {
  group = await startReplicationGroup({ replicas: 1 });
});

afterEach(async () => {
  await faces?.[Symbol.asyncDispose]();
  faces = undefined;
});

afterAll(() => group.stop());

async function fill(redis: Redis): Promise<void> {
  await redis.mset("str", "text", "num", 41);
  await redis.hset("h", { f: 1, g: "two" });
  await redis.rpush("l", "c", "a", "b");
  await redis.zadd("z", 1.5, "a", 2, "b");
  await redis.xadd("x", "1-1", "f", "v");
}

/** Expects every face to say what ioredis says, and tells what that is. */
async function expectAlike(calls: Calls, options: RedisOptions = {}): Promise<Record<string, unknown>> {
  faces = await openFaces(group, options);
  await faces.refill(fill);
  const expected: Record<string, unknown> = {};
  for (const [what, call] of Object.entries(calls)) {
    const { plain, ours } = faces;
    expected[what] = await outcomeOf(() => plain(call));
    for (const [name, face] of ours) {
      const outcome = await outcomeOf(() => face(call));
      expect(outcome, `${what}: ${name}`).toStrictEqual(expected[what]);
    }
  }
  return expected;
}

/** A call that only the declarations of ioredis forbid; at run time ioredis accepts it. */
function loosely(redis: Redis, name: string, ...args: readonly unknown[]): unknown {
  return Reflect.get(redis, name).apply(redis, args);
}

const bytes = Buffer.from([0, 255, 13, 10, 128]);

const shapes: Calls = {
  "a list": (redis) => redis.mget(["str", "num", "nope"]),
  "a list behind a key": (redis) => loosely(redis, "hmget", "h", ["f", "g"]),
  "a list among others": (redis) => loosely(redis, "zadd", "z2", [1, "a", 2, "b"]),
  "a list within a list": (redis) => outcomeOf(() => loosely(redis, "del", [["nope"]])),
  "an object for HSET": (redis) => redis.hset("h2", { a: 1, b: Buffer.from("x"), c: "d" }),
  "a Map for HSET": (redis) => redis.hset("h3", new Map<string, number>([["a", 1]])),
  "an object for HMSET": (redis) => redis.hmset("h4", { a: 1 }),
  "a Map for MSET": (redis) => redis.mset(new Map([["m1", "a"]])),
  "an object for MSETNX": (redis) => redis.msetnx({ m2: "a", m3: "b" }),
  "what these have left": (redis) =>
    Promise.all([redis.hgetall("h2"), redis.hgetall("h3"), redis.mget("m1", "m2")]),
  "an object for SET": (redis) => loosely(redis, "set", "object", { a: 1 }),
  "null and undefined": async (redis) => [
    await loosely(redis, "mset", "n", null, "u", undefined),
    await redis.mget("n", "u"),
  ],
  "numbers, also fractions": (redis) =>
    redis
      .pipeline()
      .set("f", 0.1)
      .set("big", 2 ** 60)
      .mget("f", "big")
      .exec(),
  "a bigint and a boolean": (redis) => loosely(redis, "mset", "i", 10n, "t", true),
  "bytes as a value": async (redis) => [await redis.set("bytes", bytes), await redis.getBuffer("bytes")],
  "bytes as a key": async (redis) => [
    await redis.set(bytes, "v"),
    await redis.get(bytes),
    await redis.exists(bytes),
  ],
  "bytes in a transaction": (redis) => redis.multi().set(bytes, bytes).getBuffer(bytes).exec(),
  "an empty text": async (redis) => [await redis.set("", ""), await redis.get("")],
  "a text of several bytes a letter": async (redis) => [await redis.set("é", "日本€"), await redis.get("é")],
  "a value larger than a packet": async (redis) => {
    await redis.set("large", "x".repeat(300_000));
    return [await redis.strlen("large"), (await redis.getBuffer("large"))?.length];
  },
  "a word in another case": (redis) => redis.call("hGetAll", "h"),
  "a number for call": (redis) => redis.call("lrange", "l", 0, -1),
  "a list for call": (redis) => redis.call("MGET", ["str", "num"]),
  "the old name of call": (redis) => loosely(redis, "send_command", "GET", "str"),
  "call in a pipeline": (redis) => redis.pipeline().call("GET", "str").callBuffer("get", "str").exec(),
  "a command made by hand": (redis) =>
    redis.sendCommand(new Command("get", ["str"], { replyEncoding: "utf8" })),
  "no command at all": (redis) => loosely(redis, "call"),
};

it("accepts arguments in every shape that ioredis accepts", async () => {
  const expected = await expectAlike(shapes);
  expect(expected["what these have left"]).toEqual({
    value: [{ a: "1", b: "x", c: "d" }, { a: "1" }, ["a", "a"]],
  });
});

describe("a transformer that the app defines", () => {
  const transformers = Reflect.get(Command, "_transformer");

  afterEach(() => {
    delete transformers.argument.append;
    delete transformers.reply.append;
    delete transformers.reply.lrange;
  });

  it("changes arguments and replies as with ioredis, in batches too", async () => {
    Command.setArgumentTransformer("append", ([key, value]) => [key, `<${value}>`]);
    Command.setReplyTransformer("append", (length: number) => ({ length }));
    Command.setReplyTransformer("lrange", (list: readonly string[]) => new Set(list));
    const expected = await expectAlike({
      write: (redis) => redis.append("str", "x"),
      read: (redis) => redis.lrange("l", 0, -1),
      pipeline: (redis) => redis.pipeline().append("str", "x").lrange("l", 0, -1).exec(),
      reads: (redis) => redis.pipeline().lrange("l", 0, -1).get("str").exec(),
      transaction: (redis) => redis.multi().append("str", "x").lrange("l", 0, -1).exec(),
    });
    expect(expected).toMatchObject({
      write: { value: { length: 7 } },
      read: { value: new Set(["c", "a", "b"]) },
    });
  });
});

it("adds keyPrefix to every key, in every position", async () => {
  const calls: Calls = {
    set: (redis) => redis.set("k", 1),
    "a key in bytes": (redis) => redis.get(Buffer.from("str")),
    call: (redis) => redis.call("GET", "str"),
    eval: (redis) => redis.eval("return {KEYS[1], KEYS[2], ARGV[1]}", 2, "a", "b", "c"),
    eval_ro: (redis) => redis.eval_ro("return {KEYS[1], ARGV[1]}", 1, "a", "c"),
    sort: (redis) => redis.sort("l", "ALPHA", "STORE", "sorted"),
    zunionstore: (redis) => redis.zunionstore("z3", 2, "z", "z2"),
    lmpop: (redis) => redis.lmpop(2, "nope", "l", "LEFT"),
    xread: (redis) => redis.xread("COUNT", 1, "STREAMS", "x", "y", "0", "0"),
    pipeline: (redis) => redis.pipeline().get("str").eval("return KEYS", 1, "a").mget("str", "num").exec(),
    transaction: (redis) =>
      redis
        .multi([
          ["set", "m", 1],
          ["get", "m"],
        ])
        .exec(),
    "no pattern": (redis) => redis.keys("app:l"),
    script: async (redis) => {
      redis.defineCommand("keysOf", { numberOfKeys: 2, lua: "return {KEYS[1], KEYS[2], ARGV[1]}" });
      const pipeline = redis.pipeline();
      Reflect.get(pipeline, "keysOf").call(pipeline, "a", "b", "c");
      return [await loosely(redis, "keysOf", "a", "b", "c"), await pipeline.exec()];
    },
    "all there is": async (redis) => (await redis.keys("*")).sort(),
  };
  const expected = await expectAlike(calls, { keyPrefix: "app:" });
  expect(expected.script).toEqual({ value: [["app:a", "app:b", "c"], [[null, ["app:a", "app:b", "c"]]]] });
  expect(expected["all there is"]).toMatchObject({
    value: expect.arrayContaining(["app:k", "app:sorted", "app:z3"]),
  });
});

/** Replies of every kind that the options below give another shape. */
const replies: Calls = {
  integer: (redis) => redis.incr("num"),
  "a large integer": async (redis) => [await redis.set("huge", "9007199254740993"), await redis.incr("huge")],
  length: (redis) => redis.strlen("str"),
  map: (redis) => redis.hgetall("h"),
  "map of call": (redis) => redis.call("HGETALL", "h"),
  "map of bytes": (redis) => redis.hgetallBuffer("h"),
  config: (redis) => redis.config("GET", "maxmemory"),
  double: (redis) => redis.zscore("z", "a"),
  "members with scores": (redis) => redis.zrange("z", 0, "-1", "WITHSCORES"),
  "fields with values": (redis) => redis.hrandfield("h", 0, "WITHVALUES"),
  stream: (redis) => redis.xread("STREAMS", "x", "0"),
  nothing: (redis) => redis.xread("STREAMS", "nope", "0"),
  null: (redis) => redis.get("nope"),
  pipeline: (redis) =>
    redis.pipeline().hgetall("h").zscore("z", "a").incr("num").xread("STREAMS", "x", "0").exec(),
  reads: (redis) =>
    redis.pipeline().hgetall("h").zscore("z", "a").strlen("str").xread("STREAMS", "x", "0").exec(),
  transaction: (redis) => redis.multi().hgetall("h").zscore("z", "a").incr("num").exec(),
  script: (redis) => redis.eval("return {1, 'a', false, {2}}", 0),
  "script with maps": (redis) =>
    redis.eval("redis.setresp(3); return redis.call('HGETALL', KEYS[1])", 1, "h"),
};

/** ioredis 5 has one protocol and ignores what it does not know, and so do both sides then. */
const options: Readonly<Record<string, object>> = {
  "no options": {},
  stringNumbers: { stringNumbers: true },
  "protocol 2": { protocol: 2 },
  "protocol 2 with stringNumbers": { protocol: 2, stringNumbers: true },
  "protocol 3": { protocol: 3 },
  "replyMapping resp3": { protocol: 3, replyMapping: "resp3" },
  "replyMapping resp3 with stringNumbers": { protocol: 3, replyMapping: "resp3", stringNumbers: true },
  enableAutoPipelining: { enableAutoPipelining: true },
};

it.each(Object.entries(options))("shapes replies like ioredis with %s", async (_name, given) => {
  const expected = await expectAlike(replies, given);
  expect(expected.nothing).toEqual({ value: null });
});

it("applies the reply shape of an option", async () => {
  const numbers = await expectAlike({ length: (redis) => redis.strlen("str") }, { stringNumbers: true });
  expect(numbers.length).toEqual({ value: "4" });
});
