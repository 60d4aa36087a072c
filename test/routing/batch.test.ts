/** Pipelines and transactions are sent in the turn of their call, in order with single commands. */
import type { IncomingMessage } from "node:http";
import type { Redis } from "ioredis";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { readYourWrites } from "../../src/http/frameworks/express.js";
import type { SessionClient, Tidemark } from "../../src/index.js";
import { ask, serve } from "../support/http/exchange.js";
import { holdReplicas, releaseReplicas } from "../support/servers/held-replicas.js";
import { type ReplicationGroup, startReplicationGroup } from "../support/servers/replication-group.js";
import { replicasAreEligible } from "../support/stages/eligible-replicas.js";
import { openTidemark } from "../support/stages/open-tidemark.js";

const setByScript = "return redis.call('set', KEYS[1], ARGV[1])";

let group: ReplicationGroup;
let tidemark: Tidemark;

beforeAll(async () => {
  group = await startReplicationGroup({ replicas: 1 });
});

afterAll(() => group.stop());

/** Every replica has the old value, may be read from, and gets nothing from now on. */
beforeEach(async () => {
  await group.primary.admin().set("k", "old");
  await group.caughtUp();
  tidemark = openTidemark(group);
  await replicasAreEligible(tidemark);
  holdReplicas(group);
});

afterEach(async () => {
  await tidemark.close();
  await releaseReplicas(group);
});

/** The value that a session reads with another session's token. */
function readWith(token: string): Promise<string | null> {
  return tidemark.session({ token }).redis.get("k");
}

const batches: Readonly<Record<string, (redis: Redis) => Promise<unknown>>> = {
  "a pipeline": (redis) => redis.pipeline().set("k", "new").exec(),
  "a pipeline that begins with reads": (redis) => redis.pipeline().get("k").set("k", "new").exec(),
  "a transaction": (redis) => redis.multi().set("k", "new").exec(),
  "a pipeline with a script": (redis) => redis.pipeline().eval(setByScript, 1, "k", "new").exec(),
};

describe.each(Object.entries(batches))("the write of %s", (_what, write) => {
  it("counts as a write in the turn of the call", async () => {
    const session = tidemark.session();
    const written = write(session.redis);
    const { wrote, writing } = session;
    const [settled, token] = [session.settled(), session.token()];
    expect({ wrote, writing }).toEqual({ wrote: true, writing: true });
    expect(settled).toBeInstanceOf(Promise);
    expect(token).not.toBe("");
    await written;
    expect(session.writing).toBe(false);
  });

  it("is visible to a session that starts with the token of that turn", async () => {
    const session = tidemark.session();
    const written = write(session.redis);
    const token = session.token();
    await written;
    expect(await readWith(token)).toBe("new");
  });

  it("is covered by the token once the session has settled", async () => {
    const session = tidemark.session();
    const written = write(session.redis);
    await session.settled();
    expect(await group.primary.admin().get("k")).toBe("new");
    expect(session.pinned).toBe(false);
    expect(await readWith(session.token())).toBe("new");
    await written;
  });

  it("comes before a single read that follows in the same turn", async () => {
    const session = tidemark.session();
    const written = write(session.redis);
    expect(await session.redis.get("k")).toBe("new");
    await written;
  });
});

describe("the write of a script by name in a pipeline", () => {
  it("counts as a write in the turn of the call", async () => {
    tidemark.redis.defineCommand("setbyscript", { numberOfKeys: 1, lua: setByScript });
    const session = tidemark.session();
    const pipeline = session.redis.pipeline();
    Reflect.get(pipeline, "setbyscript").call(pipeline, "k", "new");
    const written = pipeline.exec();
    const { wrote, writing } = session;
    const token = session.token();
    expect({ wrote, writing }).toEqual({ wrote: true, writing: true });
    await session.settled();
    await written;
    expect(await readWith(token)).toBe("new");
    expect(await readWith(session.token())).toBe("new");
  });
});

/** The properties that the middleware sets on a request of plain `node:http`. */
function redisOf(request: IncomingMessage): SessionClient {
  return Reflect.get(request, "redis");
}

describe("a response that ends in the turn of an unawaited batch", () => {
  it.each(Object.entries(batches))("carries the token of %s to the next request", async (_what, write) => {
    const middleware = readYourWrites(tidemark, { secret: "a secret of this test" });
    await using app = await serve((request, response) => {
      middleware(request, response, () => {
        const redis = redisOf(request);
        if (request.method === "POST") {
          void write(redis);
          response.end();
        } else redis.get("k").then((value) => response.end(value));
      });
    });
    const { headers } = await ask(app.port, { method: "POST" });
    const cookie = (headers["set-cookie"] ?? []).map((line) => line.split(";")[0]).join("; ");
    expect(cookie).not.toBe("");
    expect((await ask(app.port, { headers: { cookie } })).body).toBe("new");
  });
});

const lookups: Readonly<Record<string, (redis: Redis) => Promise<unknown>>> = {
  "a pipeline with a lookup": (redis) => redis.pipeline().get("k").dbsize().exec(),
  "a scan": (redis) => redis.scan(0, "COUNT", 1000),
  "a count of the keys": (redis) => redis.dbsize(),
};

describe("a read after a command that only the primary can answer", () => {
  beforeEach(async () => {
    await group.primary.admin().set("k", "new");
  });

  it.each(Object.entries(lookups))("sees at least the data that %s saw", async (_what, look) => {
    const session = tidemark.session();
    await look(session.redis);
    for (let i = 0; i < 10; i++) expect(await session.redis.get("k")).toBe("new");
  });
});

describe("reads after a pipeline of reads", () => {
  it("never see older data than the pipeline, whichever server answered it", async () => {
    for (let i = 1; i <= 20; i++) {
      await group.primary.admin().set("k", i);
      const { redis } = tidemark.session();
      const [[, first] = []] = (await redis.pipeline().get("k").exec()) ?? [];
      const then = [await redis.get("k"), await redis.at("strong").get("k"), await redis.get("k")];
      const seen = [first, ...then].map((value) => (value === "old" ? 0 : Number(value)));
      expect(seen).toEqual(seen.toSorted((a, b) => a - b));
    }
  });
});

describe("A transaction that takes long to send", () => {
  it("contains only the app's commands", async () => {
    await using own = openTidemark(group, { probeIntervalMs: 100 });
    await own.ready();
    const begin = performance.now();
    let calls = 0;
    const clock = vi.spyOn(performance, "now").mockImplementation(() => begin + ++calls / 4);
    for (const redis of [own.redis, own.session().redis]) {
      await redis.get("k");
      const multi = redis.multi();
      for (let i = 0; i < 1_000; i++) multi.get("k");
      expect(await multi.exec()).toHaveLength(1_000);
    }
    clock.mockRestore();
  });
});
