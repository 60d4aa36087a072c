/** Pipelines and transactions, with the calls and results of ioredis. */
import type { ChainableCommander, Redis } from "ioredis";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type RouteMessage, routeChannel } from "../../src/index.js";
import { type Face, type Faces, openFaces } from "../support/commands/client-faces.js";
import { outcomeOf } from "../support/commands/outcome.js";
import { type ReplicationGroup, startReplicationGroup } from "../support/servers/replication-group.js";
import { waitUntil } from "../support/wait-until.js";

let group: ReplicationGroup;
let faces: Faces;

beforeAll(async () => {
  group = await startReplicationGroup({ replicas: 2 });
  faces = await openFaces(group);
});

afterAll(async () => {
  await faces?.[Symbol.asyncDispose]();
  await group?.stop();
});

beforeEach(() =>
  faces.refill((redis) => redis.pipeline().set("str", "text").hset("h", "f", 1).rpush("l", "a").exec()),
);

function invoke(target: object, name: string, ...args: readonly unknown[]): ChainableCommander {
  return Reflect.get(target, name).apply(target, args);
}

/** The results in the callback of each command, in the order of the commands. */
function noting(): {
  readonly noted: unknown[];
  at: (index: number) => (error: unknown, reply: unknown) => void;
} {
  const noted: unknown[] = [];
  return {
    noted,
    at: (index) => (error, reply) => {
      noted[index] = error instanceof Error ? error.message : reply;
    },
  };
}

const reply = 1;
const failures: Readonly<Record<string, (redis: Redis) => unknown>> = {
  "a command that fails in a pipeline": (redis) => redis.pipeline().set("a", 1).lpush("a", 1).get("a").exec(),
  "a command that fails in a pipeline of reads": (redis) =>
    redis.pipeline().get("str").get("h").hgetall("h").exec(),
  "too few arguments in a pipeline": (redis) => redis.pipeline([["get"], ["set", "a", 1]]).exec(),
  "a command that fails in a transaction": (redis) => redis.multi().set("a", 1).lpush("a", 1).get("a").exec(),
  "too few arguments in a transaction": (redis) =>
    redis.multi([["set", "a", 1], ["set", "b"], ["get"]]).exec(),
  "an unknown command in a transaction": (redis) => redis.multi().call("frobnicate", "a").get("str").exec(),
  "an error for the callback of a transaction": (redis) =>
    new Promise((resolve) => redis.multi([["set", "a"]]).exec((...all) => resolve(all))),
  "a transaction that is discarded": (redis) => redis.multi().set("a", 1).discard().exec(),
  "an unknown name in a list": (redis) => redis.pipeline([["frobnicate", "a"]]),
};

const batches: Readonly<Record<string, (redis: Redis) => unknown>> = {
  "a list": (redis) =>
    redis
      .pipeline([
        ["set", "a", 1],
        ["get", "a"],
        ["hgetall", "h"],
        ["call", "GET", "a"],
      ])
      .exec(),
  "a list of reads": (redis) =>
    redis
      .pipeline([
        ["get", "str"],
        ["hgetall", "h"],
        ["lrangeBuffer", "l", 0, -1],
      ])
      .exec(),
  "a transaction in a list": (redis) =>
    redis
      .multi([
        ["set", "a", 1],
        ["hgetall", "h"],
        ["getBuffer", "a"],
      ])
      .exec(),
  "a list that grows": (redis) =>
    invoke(redis.pipeline([["get", "str"]]), "addBatch", [["incr", "n"]]).exec(),
  "a callback for all": (redis) =>
    new Promise((resolve) =>
      redis
        .pipeline()
        .get("str")
        .incr("n")
        .exec((...all) => resolve(all)),
    ),
  "a callback for each": async (redis) => {
    const { noted, at } = noting();
    const pipeline = redis
      .pipeline()
      .set("a", 1, at(0))
      .lpush("a", "x", at(1))
      .get("a", at(2))
      .getBuffer("a", at(3));
    return [await pipeline.exec(), noted];
  },
  "a callback for each of a transaction": async (redis) => {
    const { noted, at } = noting();
    return [await redis.multi().set("a", 1, at(0)).get("a", at(1)).exec(), noted];
  },
  "a callback for all of a transaction": (redis) =>
    new Promise((resolve) =>
      redis
        .multi()
        .set("a", 1)
        .get("a")
        .exec((...all) => resolve(all)),
    ),
  lengths: (redis) => [
    redis.pipeline().length,
    redis.pipeline().get("a").set("b", 1).length,
    redis.multi().length,
  ],
  "execBuffer of a transaction": (redis) => invoke(redis.multi().set("a", 1).getBuffer("a"), "execBuffer"),
  nothing: (redis) => redis.pipeline().exec(),
  "nothing in a transaction": (redis) => redis.multi().exec(),
  "an empty list": async (redis) => [await redis.pipeline([]).exec(), await redis.multi([]).exec()],
  "a transaction within a pipeline": async (redis) => {
    const pipeline = invoke(redis.pipeline().set("a", 1), "multi").incr("a").hgetall("h").get("h");
    await pipeline.exec();
    return pipeline.get("a").exec();
  },
  "a command behind exec": async (redis) => {
    const pipeline = redis.pipeline().incr("n");
    const given = pipeline.exec();
    return [pipeline.incr("n").length, await given];
  },
  "commands of the app": async (redis) => {
    redis.defineCommand("echoed", {
      numberOfKeys: 1,
      lua: "return {KEYS[1], ARGV[1], redis.call('incr', KEYS[1])}",
    });
    const pipeline = redis.pipeline().get("n");
    invoke(invoke(pipeline, "echoed", "n", "x"), "echoedBuffer", "n", "x").get("n");
    return [await pipeline.exec(), await invoke(redis.multi(), "echoed", "n", "y").exec()];
  },
  "a command of the app that fails": (redis) => {
    redis.defineCommand("failing", { numberOfKeys: 0, lua: "return redis.error_reply('MINE ' .. ARGV[1])" });
    return invoke(redis.pipeline().get("str"), "failing", "x").exec();
  },
  "bytes of every kind": (redis) => {
    const bytes = Buffer.from([0, 13, 10, 255]);
    return redis
      .pipeline()
      .set(bytes, bytes)
      .getBuffer(bytes)
      .hset("b", bytes, "x")
      .hgetallBuffer("b")
      .del(bytes)
      .exec();
  },
  "more than fits into a packet": async (redis) => {
    const pipeline = redis.pipeline();
    for (let i = 0; i < 5_000; i++) pipeline.set(`k${i}`, i).get(`k${i}`);
    const results = await pipeline.exec();
    return results?.reduce((sum, result) => sum + (Number(result[reply]) || 0), 0);
  },
};

describe.each([...Object.entries(batches), ...Object.entries(failures)])("%s", (_what, give) => {
  it("returns the same as ioredis", async () => {
    const expected = await outcomeOf(() => faces.plain(give));
    for (const [name, face] of faces.ours) {
      expect(await outcomeOf(() => face(give)), name).toStrictEqual(expected);
    }
  });
});

it("an aborted transaction's error names the commands that caused it", async () => {
  const error = await faces
    .session((redis) => redis.multi().set("a", 1).call("set", "b").exec())
    .catch((reason: unknown) => reason);
  expect(error).toMatchObject({
    name: "ReplyError",
    message: expect.stringMatching(/^EXECABORT/),
    command: { name: "exec", args: [] },
    previousErrors: [
      { message: expect.stringMatching(/wrong number/), command: { name: "set", args: ["b"] } },
    ],
  });
  expect(await faces.session((redis) => redis.multi().exists("a").exec())).toEqual([[null, 0]]);
});

describe("a pipeline of reads with one error in it", () => {
  /** The nodes that were asked, in order. */
  async function nodesOf(face: Face, give: (redis: Redis) => unknown): Promise<readonly RouteMessage[]> {
    const heard: RouteMessage[] = [];
    const listener = (message: unknown): void => {
      heard.push(message as RouteMessage);
    };
    routeChannel.subscribe(listener);
    try {
      await face(give);
    } finally {
      routeChannel.unsubscribe(listener);
    }
    return heard;
  }

  it("goes to one replica as a whole, and only the failed command is sent again", async () => {
    await waitUntil(
      async () => (await nodesOf(faces.session, (redis) => redis.get("str"))).at(-1)?.role === "replica",
      { what: "a replica may answer" },
    );
    const heard = await nodesOf(faces.session, (redis) =>
      redis.pipeline().get("str").get("h").hgetall("h").strlen("str").exec(),
    );
    const [first, ...others] = heard.slice(0, 4);
    expect(first?.role).toBe("replica");
    expect(others.map(({ node }) => node)).toEqual(others.map(() => first?.node));
    expect(heard.slice(4).map(({ command, role, reason }) => [command, role, reason])).toEqual([
      ["get", "primary", "replica-failed"],
    ]);
  });
});
