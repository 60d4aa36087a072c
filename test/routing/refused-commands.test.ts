/** Commands that reach a server after its demotion, before Tidemark has noticed. */
import { setImmediate } from "node:timers/promises";
import type { Redis } from "ioredis";
import { beforeEach, describe, expect, it } from "vitest";
import { NotPrimaryError, type Tidemark } from "../../src/index.js";
import { hasDoublings } from "../support/doublings.js";
import { TcpProxy } from "../support/proxies/tcp-proxy.js";
import { failOver, follows, replicaOf } from "../support/servers/failover.js";
import type { RedisServer } from "../support/servers/redis-server.js";
import { type StagedGroup, stageGroup } from "../support/stages/staged-group.js";
import { waitUntil } from "../support/wait-until.js";

const stage: StagedGroup = stageGroup({ replicas: 2 });
/** Nothing but the commands of a test finds out about a change. */
const unnoticed = { probeIntervalMs: 20_000, maxStalenessMs: 50_000 } as const;

/** The replica that becomes the primary. */
function heir(): RedisServer {
  return replicaOf(stage.group);
}

beforeEach(async () => {
  await stage.group.primary.admin().mset("k", "old", "n", "0");
  await stage.group.caughtUp();
});

/** Makes the first replica the primary, and changes the data there. */
async function demote(): Promise<void> {
  await failOver(stage.group, heir());
  await heir().admin().mset("k", "new", "n", "10");
}

const incr = "return redis.call('incr', KEYS[1])";
const get = "return redis.call('get', KEYS[1])";

/** A user's calls, and their results when the new primary carries everything out once, in order. */
const uses: Readonly<
  Record<string, { give: (redis: Redis) => Promise<unknown>; brings: unknown; n: string }>
> = {
  "a pipeline": {
    give: (redis) => redis.pipeline().incr("n").get("n").incr("n").exec(),
    brings: [
      [null, 11],
      [null, "11"],
      [null, 12],
    ],
    n: "12",
  },
  "a pipeline that begins with a read": {
    give: (redis) => redis.pipeline().get("n").get("k").publish("c", "m").incr("n").get("n").exec(),
    brings: [
      [null, "10"],
      [null, "new"],
      [null, 0],
      [null, 11],
      [null, "11"],
    ],
    n: "11",
  },
  "a pipeline with another error": {
    give: async (redis) => {
      const replies = await redis.pipeline().incr("n").incr("k").get("n").exec();
      return replies?.map(([error, reply]) => error?.message ?? reply);
    },
    brings: [11, "ERR value is not an integer or out of range", "11"],
    n: "11",
  },
  "a transaction": {
    give: (redis) => redis.multi().get("n").incr("n").get("n").exec(),
    brings: [
      [null, "10"],
      [null, 11],
      [null, "11"],
    ],
    n: "11",
  },
  "a transaction in a pipeline": {
    give: (redis) => redis.pipeline([["get", "n"], ["multi"], ["incr", "n"], ["exec"], ["get", "n"]]).exec(),
    brings: [
      [null, "10"],
      [null, "OK"],
      [null, "QUEUED"],
      [null, [11]],
      [null, "11"],
    ],
    n: "11",
  },
  "a script": { give: (redis) => redis.eval(incr, 1, "n"), brings: 11, n: "11" },
  "a script in a pipeline": {
    give: (redis) => redis.pipeline().eval(incr, 1, "n").get("n").exec(),
    brings: [
      [null, 11],
      [null, "11"],
    ],
    n: "11",
  },
  "a script in a transaction": {
    give: (redis) => redis.multi().get("k").eval(incr, 1, "n").exec(),
    brings: [
      [null, "new"],
      [null, 11],
    ],
    n: "11",
  },
  "a custom command in a pipeline": {
    give: (redis) => {
      const pipeline = redis.pipeline();
      Reflect.get(pipeline, "raise").call(pipeline, "n");
      return pipeline.get("n").exec();
    },
    brings: [
      [null, 11],
      [null, "11"],
    ],
    n: "11",
  },
  "a write and a later read": {
    give: (redis) => Promise.all([redis.incr("n"), redis.get("n"), redis.get("k")]),
    brings: [11, "11", "new"],
    n: "11",
  },
  "a script that reads after a write": {
    give: (redis) => Promise.all([redis.set("n", "20"), redis.eval(get, 1, "n"), redis.get("n")]),
    brings: ["OK", "20", "20"],
    n: "20",
  },
  "a script that reads after a write in a pipeline": {
    give: (redis) => redis.pipeline().set("n", "20").eval(get, 1, "n").get("n").exec(),
    brings: [
      [null, "OK"],
      [null, "20"],
      [null, "20"],
    ],
    n: "20",
  },
  "a transaction with a script that reads after a write": {
    give: (redis) => Promise.all([redis.set("n", "20"), redis.multi().get("n").eval(get, 1, "n").exec()]),
    brings: [
      "OK",
      [
        [null, "20"],
        [null, "20"],
      ],
    ],
    n: "20",
  },
  "reads before a script that reads": {
    give: (redis) => redis.pipeline().get("n").incr("n").eval(get, 1, "n").get("k").exec(),
    brings: [
      [null, "10"],
      [null, 11],
      [null, "11"],
      [null, "new"],
    ],
    n: "11",
  },
  "writes, batches and reads in turn": {
    give: (redis) =>
      Promise.all([
        redis.set("n", "20"),
        redis.pipeline().get("n").incr("n").exec(),
        redis.get("n"),
        redis.multi().incr("n").exec(),
        redis.incr("n"),
        redis.get("n"),
      ]),
    brings: [
      "OK",
      [
        [null, "20"],
        [null, 21],
      ],
      "21",
      [[null, 22]],
      23,
      "23",
    ],
    n: "23",
  },
};

const ways: Readonly<Record<string, (tidemark: Tidemark) => Redis>> = {
  "outside any session": (tidemark) => tidemark.redis,
  "in a session": (tidemark) => tidemark.session().redis,
  "in a session that reads from the primary": (tidemark) => tidemark.session({ level: "strong" }).redis,
};

describe.concurrent.each(["when-needed", "always"] as const)(
  "with verify %s, after the primary was demoted",
  (verify) => {
    describe.each(Object.entries(ways))("%s", (_way, redisOf) => {
      it.each(Object.entries(uses))(
        "%s goes to the new primary, once and in order",
        async (_use, { give, brings, n }) => {
          const tidemark = await stage.open({ ...unnoticed, verify });
          tidemark.redis.defineCommand("raise", { numberOfKeys: 1, lua: incr });
          const redis = redisOf(tidemark);
          await redis.get("k");
          await Reflect.get(redis, "raise").call(redis, "other");
          await stage.group.caughtUp();
          await demote();
          expect(await give(redis)).toEqual(brings);
          expect(await heir().admin().get("n")).toBe(n);
        },
      );
    });
  },
);

describe.concurrent("a script that wrote before the primary was demoted", () => {
  it("is not repeated, and its session is pinned", async () => {
    const tidemark = await stage.open({ ...unnoticed, replicas: [] });
    const session = tidemark.session();
    await session.redis.get("k");
    await heir().replicate(undefined);
    const [counted, demoted] = await Promise.all([
      session.redis.eval(incr, 1, "n"),
      session.redis.call("REPLICAOF", heir().host, String(heir().port)),
    ]);
    expect([counted, demoted]).toEqual([1, "OK"]);
    expect(session.pinned).toBe(true);
    expect(await heir().admin().get("n")).toBe("0");
  });
});

function throwFirst(replies: [error: Error | null, reply: unknown][] | null): void {
  const failed = replies?.find(([error]) => error !== null);
  if (failed?.[0]) throw failed[0];
}

/** Numbers a list by every kind of command, with many of them in flight; gives the numbers acknowledged. */
async function number(redis: Redis, key: string, isOver: () => boolean): Promise<readonly number[]> {
  const given: Promise<unknown>[] = [];
  let [next, unanswered] = [0, 0];
  const push = (target: { rpush(key: string, value: number): unknown }): unknown => target.rpush(key, next++);
  while (!isOver()) {
    given.push(Promise.resolve(push(redis)));
    const pipeline = redis.pipeline().llen(key);
    for (let i = 0; i < 3; i++) push(pipeline);
    given.push(pipeline.exec().then((replies) => throwFirst(replies)));
    const multi = redis.multi();
    for (let i = 0; i < 2; i++) push(multi);
    given.push(multi.exec());
    given.push(redis.eval("return redis.call('rpush', KEYS[1], ARGV[1])", 1, key, next++));
    const latest = given.slice(-4);
    unanswered += latest.length;
    for (const one of latest) one.catch(() => {}).finally(() => unanswered--);
    do await setImmediate();
    while (unanswered > 2_000);
  }
  await Promise.all(given);
  return Array.from({ length: next }, (_, n) => n);
}

describe("unawaited writes during a handover", () => {
  /** There and back; more rounds are the same again. */
  const rounds = hasDoublings ? 5 : 2;

  it.each(Object.entries(ways))("are carried out once and in order, %s", async (_way, redisOf) => {
    const tidemark = await stage.open({ redis: { noDelay: true } });
    let [primary, other] = [stage.group.primary, heir()];
    for (let round = 0; round < rounds; round++) {
      let isOver = false;
      const keys = ["a", "b", "c"].map((name) => `${name}:${round}`);
      const lists = keys.map((key) => number(redisOf(tidemark), key, () => isOver));
      const isBegun = async (): Promise<boolean> => (await primary.admin().llen(`a:${round}`)) > 100;
      await waitUntil(isBegun, { what: "writes are in flight" });
      await primary.admin().call("FAILOVER", "TO", other.host, String(other.port));
      const isEnough = async (): Promise<boolean> => {
        const role = (await other.info("replication")).role;
        return role === "master" && tidemark.topology()[0]?.address.endsWith(`:${other.port}`) === true;
      };
      await waitUntil(isEnough, { what: "the other server is the primary" });
      isOver = true;
      for (const [index, list] of lists.entries()) {
        const expected = (await list).map(String);
        expect(await other.admin().lrange(keys[index] ?? "", 0, -1)).toEqual(expected);
      }
      await follows(primary, other);
      [primary, other] = [other, primary];
    }
  });
});

describe.concurrent("a primary that is silent during a handover", () => {
  it("leaves the writes in flight to the new primary when its refusals arrive a little later", async () => {
    const proxy = await TcpProxy.start({ targetPort: stage.group.primary.port });
    stage.owe(proxy);
    const primary = { host: proxy.host, port: proxy.port };
    const tidemark = await stage.open({ primary, replicas: [heir().url] });
    const isLeft = (): boolean => tidemark.topology()[0]?.address.endsWith(`:${heir().port}`) === true;
    stage.group.replicas[0]?.link.hold();
    await tidemark.redis.set("k", "ahead");
    await stage.group.primary.admin().call("FAILOVER", "TO", heir().host, String(heir().port));
    const writes = Promise.all([tidemark.redis.incr("n"), tidemark.session().redis.incr("n")]);
    writes.catch(() => {});
    await setImmediate();
    proxy.stall();
    await stage.group.replicas[0]?.link.release();
    await waitUntil(isLeft, { what: "Tidemark has left the silent primary" });
    proxy.unstall();
    expect(await writes).toEqual([1, 2]);
    expect(await heir().admin().mget("k", "n")).toEqual(["ahead", "2"]);
  });
});

describe.concurrent("when no other server is the primary", () => {
  const commands: Readonly<Record<string, (redis: Redis) => Promise<unknown>>> = {
    "a write": (redis) => redis.set("k", "v"),
    "a script": (redis) => redis.eval(incr, 1, "n"),
    "a transaction": (redis) => redis.multi().get("k").incr("n").exec(),
    "a pipeline": async (redis) => {
      const replies = await redis.pipeline().get("k").incr("n").get("n").exec();
      const errors = replies?.map(([error]) => error) ?? [];
      for (const error of errors) expect(error).toBeInstanceOf(NotPrimaryError);
      throw errors[0];
    },
  };

  it.each([
    ["given", { replicas: [] }],
    ["discovered", { replicas: undefined }],
  ])("commands fail within seconds and name the reason, with replicas that are %s", async (_how, options) => {
    const tidemark = await stage.open({ ...unnoticed, ...options });
    await Promise.all(Object.values(ways).map((redisOf) => redisOf(tidemark).get("k")));
    await stage.group.primary.replicate(heir());
    const failures = Object.values(ways).flatMap((redisOf) =>
      Object.values(commands).map((give) => give(redisOf(tidemark)).catch((error: unknown) => error)),
    );
    const begun = performance.now();
    for (const error of await Promise.all(failures)) {
      expect(error).toBeInstanceOf(NotPrimaryError);
      expect(String(error)).toMatch(
        /is a replica now, and no other server has reported that it is the primary/,
      );
    }
    expect(performance.now() - begun).toBeLessThan(10_000);
    expect(await stage.group.primary.admin().mget("k", "n")).toEqual(["old", "0"]);
  });
});
