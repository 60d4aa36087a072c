/** express-rate-limit with rate-limit-redis, and rate-limiter-flexible: a limit of N admits N requests, not one more. */
import express, { type Express } from "express";
import { rateLimit } from "express-rate-limit";
import type { Redis } from "ioredis";
import { type RedisReply, RedisStore } from "rate-limit-redis";
import { RateLimiterRedis } from "rate-limiter-flexible";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { readYourWrites } from "../../src/http/frameworks/express.js";
import type { Tidemark } from "../../src/index.js";
import { ask, serve } from "../support/http/exchange.js";
import { holdReplicas, releaseReplicas } from "../support/servers/held-replicas.js";
import { type ReplicationGroup, startReplicationGroup } from "../support/servers/replication-group.js";
import { replicasAreEligible } from "../support/stages/eligible-replicas.js";
import { openTidemark } from "../support/stages/open-tidemark.js";
import { waitUntil } from "../support/wait-until.js";
import { countServed, type Served } from "./support/served.js";

const limit = 10;
const requests = 25;
const users = ["ada", "grace", "edith"];

let group: ReplicationGroup;
let tidemark: Tidemark;
/** Another process of the same app. */
let elsewhere: Tidemark;

beforeAll(async () => {
  group = await startReplicationGroup({ replicas: 2 });
  [tidemark, elsewhere] = [openTidemark(group), openTidemark(group)];
  await Promise.all([tidemark, elsewhere].map(replicasAreEligible));
});

afterEach(async () => {
  for (const { link } of group.replicas) link.delay(0);
  await releaseReplicas(group);
});

afterAll(async () => {
  await Promise.all([tidemark.close(), elsewhere.close()]);
  await group.stop();
});

const lags: [string, () => unknown][] = [
  ["replicas 50 ms behind", () => group.replicas.map(({ link }) => link.delay(50))],
  ["replicas that get nothing", () => holdReplicas(group)],
];

/** How often scripts were run, by hash or by text. */
async function scriptsRun(served: Awaited<ReturnType<typeof countServed>>): Promise<Served> {
  const [byHash, byText] = [await served("evalsha"), await served("eval")];
  return { primary: byHash.primary + byText.primary, replicas: byHash.replicas + byText.replicas };
}

describe("express-rate-limit with rate-limit-redis", () => {
  interface Limited {
    readonly app: Express;
    /** Requests of a user so far. */
    hitsOf(user: string): Promise<number | undefined>;
  }

  function limitedApp(routing: Tidemark, prefix: string, counter: Redis = routing.redis): Limited {
    const limiter = rateLimit({
      windowMs: 60_000,
      limit,
      legacyHeaders: false,
      standardHeaders: "draft-6",
      keyGenerator: ({ headers }) => String(headers["x-user"]),
      store: new RedisStore({
        prefix,
        sendCommand: (command, ...args) => counter.call(command, ...args) as Promise<RedisReply>,
      }),
    });
    const app = express().use(readYourWrites(routing, { secret: "a secret of this test" }), limiter);
    app.get("/page", ({ redis }, response, next) => {
      redis.get("page").then((page) => response.json({ page }), next);
    });
    return { app, hitsOf: async (user) => (await limiter.getKey(user))?.totalHits };
  }

  const visit = (port: number, user: string) => ask(port, { path: "/page", headers: { "x-user": user } });

  it.each(lags)(
    "admits each user as often as the limit says, in two processes, over %s",
    async (lag, beginToLag) => {
      const limited = [limitedApp(tidemark, lag), limitedApp(elsewhere, lag)] as const;
      await using first = await serve(limited[0].app);
      await using second = await serve(limited[1].app);
      const served = await countServed(group);
      beginToLag();
      for (const user of users) {
        const answers = await Promise.all(
          Array.from({ length: requests }, (_, i) => visit(i % 2 === 0 ? first.port : second.port, user)),
        );
        const welcome = answers.filter(({ status }) => status === 200);
        const remaining = welcome.map(({ headers }) => Number(headers["ratelimit-remaining"]));
        expect(remaining.sort((a, b) => b - a)).toEqual(
          Array.from({ length: limit }, (_, i) => limit - 1 - i),
        );
        expect(answers.filter(({ status }) => status === 429)).toHaveLength(requests - limit);
        expect(await Promise.all(limited.map(({ hitsOf }) => hitsOf(user)))).toEqual([requests, requests]);
      }
      const counted = users.length * (requests + limited.length);
      expect(await scriptsRun(served)).toEqual({ primary: counted, replicas: 0 });
    },
  );

  it("leaves later reads to replicas when it counts in a separate session", async () => {
    // In the request's session each count is a write that the reads behind it would have to see.
    const { app, hitsOf } = limitedApp(tidemark, "apart", tidemark.session().redis);
    await using listening = await serve(app);
    await tidemark.session().redis.set("page", "text");
    await group.caughtUp();
    for (const { link } of group.replicas) link.delay(50);
    let visitors = 0;
    await waitUntil(
      async () => {
        const served = await countServed(group);
        for (let visits = 1; visits <= limit; visits++) {
          expect((await visit(listening.port, `visitor-${visitors}`)).body).toBe('{"page":"text"}');
        }
        expect((await visit(listening.port, `visitor-${visitors}`)).status).toBe(429);
        expect(await hitsOf(`visitor-${visitors++}`)).toBe(limit + 1);
        const { primary, replicas } = await served("get");
        // The script that tells the hits calls GET on the primary.
        return primary <= 1 && replicas >= limit;
      },
      { what: "replicas serve the page to a visitor at every visit" },
    );
  });
});

describe("rate-limiter-flexible", () => {
  function limiterOn(routing: Tidemark, keyPrefix: string): RateLimiterRedis {
    const rejectIfRedisNotReady = true;
    return new RateLimiterRedis({
      storeClient: routing.redis,
      keyPrefix,
      rejectIfRedisNotReady,
      points: limit,
      duration: 60,
    });
  }

  it.each(lags)(
    "grants each user its points and not one more, in two processes, over %s",
    async (lag, beginToLag) => {
      const limiters = [limiterOn(tidemark, lag), limiterOn(elsewhere, lag)] as const;
      const served = await countServed(group);
      beginToLag();
      for (const user of users) {
        const turns = Array.from({ length: requests }, (_, i) => limiters[i % 2 === 0 ? 0 : 1].consume(user));
        const granted = (await Promise.allSettled(turns)).filter(({ status }) => status === "fulfilled");
        expect(granted).toHaveLength(limit);
        for (const limiter of limiters) {
          expect(await limiter.get(user)).toMatchObject({ consumedPoints: requests, remainingPoints: 0 });
        }
      }
      expect(await scriptsRun(served)).toEqual({ primary: users.length * requests, replicas: 0 });
    },
  );

  it("shows a session its own blocks, rewards and deletions", async () => {
    const limiter = limiterOn(tidemark, "session");
    holdReplicas(group);
    await tidemark.run(tidemark.session(), async () => {
      await limiter.consume("ada", 4);
      await limiter.reward("ada", 3);
      expect(await limiter.get("ada")).toMatchObject({ consumedPoints: 1, remainingPoints: limit - 1 });
      await limiter.block("ada", 60);
      await expect(limiter.consume("ada")).rejects.toMatchObject({ remainingPoints: 0 });
      await limiter.delete("ada");
      expect(await limiter.get("ada")).toBeNull();
    });
  });
});
