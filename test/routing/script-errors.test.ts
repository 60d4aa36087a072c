/** Scripts that return errors in a server's wording: they run once, and the errors reach the app. */
import type { Redis } from "ioredis";
import { describe, expect, it } from "vitest";
import type { Tidemark } from "../../src/index.js";
import { slotOf } from "../support/commands/hash-slot.js";
import { keyIn, stageCluster } from "../support/stages/staged-cluster.js";
import { stageGroup } from "../support/stages/staged-group.js";

const raise = "redis.call('incr', KEYS[1]) return redis.error_reply(ARGV[1])";

const texts = [
  "READONLY the shop is closed",
  "READONLY You can't write against a read only replica.",
  "READONLY Can not run script with write flag on readonly replica",
  "LOADING the shop",
  "LOADING Redis is loading the dataset in memory",
  "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
  "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)",
  "EXECABORT Transaction discarded because of: READONLY You can't write against a read only replica.",
  "MOVED 1000000000 127.0.0.1:1",
];

/** Each brings the text of the error that the script has returned. */
const uses: Readonly<Record<string, (redis: Redis, key: string, text: string) => Promise<unknown>>> = {
  "by itself": (redis, key, text) => redis.eval(raise, 1, key, text).catch(messageOf),
  "as a custom command": (redis, key, text) =>
    Reflect.get(redis, "raise").call(redis, key, text).catch(messageOf),
  "in a pipeline": async (redis, key, text) => {
    const replies = await redis.pipeline().get(key).eval(raise, 1, key, text).get(key).exec();
    expect([replies?.[0], replies?.[2]]).toEqual([
      [null, null],
      [null, "1"],
    ]);
    return messageOf(replies?.[1]?.[0]);
  },
  "in a transaction": async (redis, key, text) => {
    const replies = await redis.multi().eval(raise, 1, key, text).exec();
    return messageOf(replies?.[0]?.[0]);
  },
};

const ways: Readonly<Record<string, (tidemark: Tidemark) => Redis>> = {
  "outside any session": (tidemark) => tidemark.redis,
  "in a session": (tidemark) => tidemark.session().redis,
};

function messageOf(error: unknown): unknown {
  return error instanceof Error ? error.message : error;
}

describe("a script that returns an error in a server's wording", () => {
  const stage = stageGroup({ replicas: 1 });

  describe.each(Object.entries(ways))("%s", (_way, redisOf) => {
    it.each(Object.entries(uses))("runs once %s", async (_use, use) => {
      const tidemark = await stage.open({ maxStalenessMs: 50_000 });
      tidemark.redis.defineCommand("raise", { numberOfKeys: 1, lua: raise });
      for (const [index, text] of texts.entries()) {
        const key = `n:${index}`;
        expect(await use(redisOf(tidemark), key, text)).toBe(text);
        expect(await stage.group.primary.admin().get(key)).toBe("1");
      }
      expect(tidemark.topology()[0]?.address).toContain(`:${stage.group.primary.port}`);
    });
  });
});

describe("a script of a cluster that returns its own redirection", () => {
  const stage = stageCluster();
  const key = keyIn(1);
  const other = keyIn(12_000);

  const redirections: readonly ((to: string) => string)[] = [
    (to) => `MOVED 1000000000 ${to}`,
    (to) => `MOVED ${slotOf(other)} ${to}`,
    (to) => `ASK ${slotOf(other)} ${to}`,
    () => `MOVED ${slotOf(key)}`,
    () => "MOVED to the other street",
    () => "TRYAGAIN tomorrow",
    () => "TRYAGAIN Multiple keys request during rehashing of slot",
    () => "CLUSTERDOWN for today",
  ];

  describe.each(Object.entries(ways))("%s", (_way, redisOf) => {
    it("runs once, and redirects nothing", async () => {
      const tidemark = await stage.open();
      const redis = redisOf(tidemark);
      await redis.set(other, "there");
      for (const { server } of stage.group.nodes)
        for (const redirection of redirections) {
          await redis.del(key);
          const text = redirection(`${server.host}:${server.port}`);
          expect(await redis.eval(raise, 1, key, text).catch(messageOf)).toBe(text);
          expect(await redis.get(key)).toBe("1");
        }
      stage.routes.clear();
      expect(await redis.set(other, "still")).toBe("OK");
      expect(await redis.get(other)).toBe("still");
    });
  });
});
