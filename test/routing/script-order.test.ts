/** Scripts that a server has forgotten keep their place among the commands around them. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { SessionClient, Tidemark } from "../../src/index.js";
import { type ReplicationGroup, startReplicationGroup } from "../support/servers/replication-group.js";
import { openTidemark } from "../support/stages/open-tidemark.js";

let group: ReplicationGroup;
let tidemark: Tidemark;
let redis: SessionClient;

const push = "return redis.call('rpush', KEYS[1], ARGV[1])";
const names = ["short", "long"] as const;

beforeAll(async () => {
  group = await startReplicationGroup({ replicas: 1 });
  tidemark = openTidemark(group);
  tidemark.redis.defineCommand("short", { numberOfKeys: 1, lua: push });
  tidemark.redis.defineCommand("long", { numberOfKeys: 1, lua: `${push} -- ${"-".repeat(2_000)}` });
});

afterAll(async () => {
  await tidemark.close();
  await group.stop();
});

beforeEach(async () => {
  redis = tidemark.session().redis;
  // Once for each connection, so that ioredis takes the scripts for known there.
  for (const name of names) {
    await own(redis, name, "other", "x");
    await byHand(redis, name, "other");
  }
  await redis.del("list");
  await group.primary.admin().script("FLUSH");
});

/** Calls a command that was defined by a test, on a client or a pipeline. */
function own(client: object, name: string, ...args: string[]): Promise<unknown> {
  return Reflect.get(client, name).apply(client, args);
}

async function byHand(client: SessionClient, name: string, key: string): Promise<unknown> {
  const replies = [
    client.multi({ pipeline: false }),
    client.rpush(key, "1"),
    own(client, name, key, "2"),
    client.rpush(key, "3"),
  ];
  const results = client.exec();
  await Promise.all(replies);
  return results;
}

const list = (): Promise<string[]> => group.primary.admin().lrange("list", 0, -1);

describe.each(names)("A %s script of defineCommand that the primary has forgotten", (name) => {
  it.each(["with a session", "outside of sessions"])("keeps its place in a pipeline %s", async (where) => {
    const client = where === "with a session" ? redis : tidemark.redis;
    const pipeline = client.pipeline().rpush("list", "1");
    own(pipeline, name, "list", "2");
    pipeline.rpush("list", "3");
    own(pipeline, name, "list", "4");
    const results = await pipeline.rpush("list", "5").exec();
    expect(results).toEqual([1, 2, 3, 4, 5].map((length) => [null, length]));
    expect(await list()).toEqual(["1", "2", "3", "4", "5"]);
  });

  it("runs in a transaction together with its other commands", async () => {
    const multi = redis.multi().rpush("list", "1");
    own(multi, name, "list", "2");
    own(multi, name, "list", "3");
    expect(await multi.rpush("list", "4").exec()).toEqual([1, 2, 3, 4].map((length) => [null, length]));
    expect(await list()).toEqual(["1", "2", "3", "4"]);
  });

  it("runs in a transaction by hand", async () => {
    expect(await byHand(redis, name, "list")).toEqual([1, 2, 3].map((length) => [null, length]));
    expect(await list()).toEqual(["1", "2", "3"]);
  });
});

describe("A short script of defineCommand that the primary has forgotten", () => {
  it.each(["with a session", "outside of sessions"])("keeps its place among commands %s", async (where) => {
    const client = where === "with a session" ? redis : tidemark.redis;
    const replies = [
      client.rpush("list", "1"),
      own(client, "short", "list", "2"),
      client.rpush("list", "3"),
      own(client, "short", "list", "4"),
      client.rpush("list", "5"),
    ];
    expect(await Promise.all(replies)).toEqual([1, 2, 3, 4, 5]);
    expect(await list()).toEqual(["1", "2", "3", "4", "5"]);
  });
});

describe("A long script of defineCommand", () => {
  it("runs once when the primary has forgotten it, and is sent by its hash when the primary knows it", async () => {
    expect(await own(redis, "long", "list", "1")).toBe(1);
    expect(await list()).toEqual(["1"]);
    const before = await calls();
    await own(redis, "long", "list", "2");
    expect(await calls()).toEqual({ ...before, evalsha: before.evalsha + 1 });
  });

  it("is sent with its text once for each pipeline or transaction", async () => {
    const before = await calls();
    for (const batch of [redis.pipeline(), redis.multi()]) {
      for (let i = 0; i < 20; i++) own(batch, "long", "list", `${i}`);
      await batch.exec();
    }
    expect(await calls()).toEqual({ eval: before.eval + 2, evalsha: before.evalsha + 38 });
  });
});

async function calls(): Promise<{ eval: number; evalsha: number }> {
  return {
    eval: await group.primary.commandCalls("eval"),
    evalsha: await group.primary.commandCalls("evalsha"),
  };
}
