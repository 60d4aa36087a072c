/** The warning that proposes a scope: apps whose session store sends their pages' reads to the primary. */
import { RedisStore as SessionStore } from "connect-redis";
import express from "express";
import { rateLimit } from "express-rate-limit";
import session from "express-session";
import Koa from "koa";
import koaSession from "koa-session";
import { RedisStore as LimitStore, type RedisReply } from "rate-limit-redis";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { readYourWrites } from "../../src/http/frameworks/express.js";
import { readYourWrites as onKoa } from "../../src/http/frameworks/koa.js";
import type { CommonOptions, Tidemark } from "../../src/index.js";
import { CookieJar } from "../support/http/cookie-jar.js";
import { ask, type Listening, serve } from "../support/http/exchange.js";
import { listenToRoutes } from "../support/listeners/routes.js";
import { listenToWarnings, optionsIn, type Warnings } from "../support/listeners/warnings.js";
import { holdReplicas, releaseReplicas } from "../support/servers/held-replicas.js";
import { type ReplicationGroup, startReplicationGroup } from "../support/servers/replication-group.js";
import { replicasAreEligible } from "../support/stages/eligible-replicas.js";
import { openTidemark } from "../support/stages/open-tidemark.js";
import { waitUntil } from "../support/wait-until.js";

const secret = "a secret of this test";
const code = "TIDEMARK_PROPOSED_SCOPE";
/** The reads of a page, all at once. */
const pageKeys = Array.from({ length: 25 }, (_, i) => `page:${i}`);
/** So many visits take 1,000 reads of pages, beside the first, which brings no session yet. */
const enough = 1_000 / pageKeys.length + 1;

declare module "express-session" {
  interface SessionData {
    visits: number;
  }
}

let group: ReplicationGroup;
let warnings: Warnings;

beforeAll(async () => {
  group = await startReplicationGroup({ replicas: 2 });
});

beforeEach(() => {
  warnings = listenToWarnings();
});

afterEach(async () => {
  warnings[Symbol.dispose]();
  await releaseReplicas(group);
});

afterAll(() => group.stop());

async function open(options: Partial<CommonOptions> = {}): Promise<Tidemark> {
  // Neither the age of a held replica may decide, nor how many reads the primary takes.
  const patient = { maxStalenessMs: 600_000, tokenTtlMs: 1_200_000, fallbackLimit: false } as const;
  const tidemark = openTidemark(group, { ...patient, ...options });
  await replicasAreEligible(tidemark);
  return tidemark;
}

/** Sessions under `prefix`, which each request extends, and a rate limiter that counts each request. */
function onExpress(tidemark: Tidemark, prefix: string): express.Express {
  const { redis } = tidemark;
  const limits = rateLimit({
    windowMs: 60_000,
    limit: 1_000,
    legacyHeaders: false,
    store: new LimitStore({
      sendCommand: (command: string, ...args: string[]) =>
        redis.call(command, ...args) as Promise<RedisReply>,
    }),
  });
  const sessions = session({
    secret,
    store: new SessionStore({ client: redis, prefix }),
    resave: false,
    saveUninitialized: false,
    rolling: true,
  });
  const app = express().use(readYourWrites(tidemark, { secret }), limits, sessions);
  return app.get("/page", async (request, response) => {
    request.session.visits = (request.session.visits ?? 0) + 1;
    await Promise.all(pageKeys.map((key) => request.redis.get(key)));
    response.json({ visits: request.session.visits });
  });
}

/** Sessions whose keys are their bare ids, or ids behind `prefix`. */
function onKoaSession(tidemark: Tidemark, prefix?: string): ReturnType<Koa["callback"]> {
  const { redis } = tidemark;
  const store = {
    get: async (id: string) => JSON.parse((await redis.get(id)) ?? "null"),
    set: async (id: string, data: object) => void (await redis.set(id, JSON.stringify(data))),
    destroy: async (id: string) => void (await redis.del(id)),
  };
  const app = new Koa();
  app.keys = [secret];
  app.use(onKoa(tidemark, { secret })).use(koaSession({ store, rolling: true, prefix }, app));
  app.use(async (ctx) => {
    const visits = Number(ctx.session?.visits ?? 0) + 1;
    ctx.session = { ...ctx.session?.toJSON(), visits };
    await Promise.all(pageKeys.map((key) => redis.get(key)));
    ctx.body = { visits };
  });
  return app.callback();
}

/** Opens the page so many times as one user, who is known from visit to visit. */
async function visit(
  tidemark: Tidemark,
  { port }: Listening,
  times: number,
  jar = new CookieJar(),
): Promise<void> {
  const url = `http://127.0.0.1:${port}/page`;
  for (let i = 0; i < times; i++) {
    // After a pause it knows nothing recent of the replicas, and would read from the primary for that reason.
    await replicasAreEligible(tidemark);
    const cookie = jar.header(url);
    const answer = await ask(port, {
      path: "/page",
      headers: cookie === undefined ? {} : { Cookie: cookie },
    });
    expect(answer.status, answer.body).toBe(200);
    jar.receive(url, answer.headers["set-cookie"]);
  }
}

/** Warnings are emitted in the next turn. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe("sessions under a prefix that is not a scope", () => {
  it("cause one warning, and replicas answer the page once its advice is applied", async () => {
    await using tidemark = await open();
    await using listening = await serve(onExpress(tidemark, "mysess:"));
    holdReplicas(group);
    const jar = new CookieJar();
    await visit(tidemark, listening, enough - 1, jar);
    await turn();
    expect(warnings.of(code)).toEqual([]);
    await visit(tidemark, listening, 1, jar);
    await waitUntil(() => warnings.of(code).length > 0, { what: "the warning" });
    await visit(tidemark, listening, enough, jar);
    await turn();
    const [warning = "", ...more] = warnings.inFull(code);
    expect(more).toEqual([]);
    expect(warning).toMatch(
      /^Writes to keys that begin with "mysess:" sent 1000 reads of other keys to the primary/,
    );
    expect(tidemark.stats().keptOnPrimary).toEqual([
      {
        prefix: "mysess:",
        reads: (2 * enough - 1) * (pageKeys.length + 1),
        others: (2 * enough - 1) * pageKeys.length,
      },
    ]);

    const { scopes } = optionsIn(warning);
    expect(scopes).toEqual(["sess:", "koa:sess:", "rl:", "rlflx:", "fastify-rate-limit-", "mysess:"]);
    await releaseReplicas(group);
    await using advised = await open({ scopes });
    await using again = await serve(onExpress(advised, "mysess:"));
    holdReplicas(group);
    using routes = listenToRoutes();
    await visit(advised, again, 10);
    expect(advised.stats().keptOnPrimary).toEqual([{ prefix: "mysess:", reads: 9, others: 0 }]);
    const onPrimary = routes.of("get").filter((route) => route.startsWith("primary:"));
    expect(onPrimary).toHaveLength(9);
  });
});

describe("a limiter under a prefix that is not a scope", () => {
  /** The limiter and the reads of a page, whose user is known from visit to visit. */
  async function limited(
    tidemark: Tidemark,
    redis: Pick<Tidemark["redis"], "call"> = tidemark.redis,
  ): Promise<Listening> {
    const limits = rateLimit({
      windowMs: 60_000,
      limit: 1_000,
      legacyHeaders: false,
      store: new LimitStore({
        prefix: "limit:",
        sendCommand: (command: string, ...args: string[]) =>
          redis.call(command, ...args) as Promise<RedisReply>,
      }),
    });
    const app = express().use(readYourWrites(tidemark, { secret }), limits);
    app.get("/page", async (request, response) => {
      await Promise.all(pageKeys.map((key) => request.redis.get(key)));
      response.json({});
    });
    return serve(app);
  }

  it("causes the warning, and replicas answer the page with either advice", async () => {
    await using tidemark = await open();
    await using listening = await limited(tidemark);
    holdReplicas(group);
    await visit(tidemark, listening, enough);
    await waitUntil(() => warnings.of(code).length > 0, { what: "the warning" });
    const [warning = "", ...more] = warnings.inFull(code);
    expect(more).toEqual([]);
    expect(warning).toMatch(
      /^Writes to keys that begin with "limit:" sent 1000 reads of other keys to the primary/,
    );
    const reads = enough * pageKeys.length;
    expect(tidemark.stats().keptOnPrimary).toEqual([{ prefix: "limit:", reads, others: reads }]);
    const { scopes, untracked } = optionsIn(warning);
    expect(scopes?.at(-1)).toBe("limit:");
    expect(untracked).toEqual(["rl:", "fastify-rate-limit-", "limit:"]);

    for (const advice of [{ scopes }, { untracked }]) {
      await releaseReplicas(group);
      await using advised = await open(advice);
      await using again = await limited(advised);
      holdReplicas(group);
      using routes = listenToRoutes();
      await visit(advised, again, 10);
      expect(advised.stats().keptOnPrimary).toEqual([]);
      expect(routes.of("get").filter((route) => route.startsWith("primary:"))).toEqual([]);
    }
  });

  it("keeps no page on the primary with an untracked client", async () => {
    await using tidemark = await open();
    await using listening = await limited(tidemark, tidemark.redis.untracked);
    holdReplicas(group);
    await visit(tidemark, listening, 10);
    expect(tidemark.stats()).toMatchObject({ untrackedWrites: 10, keptOnPrimary: [] });
  });
});

it("sessions and limiters under the usual prefixes cause no warning", async () => {
  await using tidemark = await open();
  await using listening = await serve(onExpress(tidemark, "sess:"));
  holdReplicas(group);
  await visit(tidemark, listening, enough + 20);
  await turn();
  expect(warnings.heard.map(({ message }) => message)).toEqual([]);
  expect(tidemark.stats()).toMatchObject({
    untrackedWrites: enough + 20,
    keptOnPrimary: [{ prefix: "sess:", reads: enough + 19, others: 0 }],
  });
});

it("sessions without a prefix cause no warning, but are counted", async () => {
  await using tidemark = await open();
  await using listening = await serve(onKoaSession(tidemark));
  holdReplicas(group);
  await visit(tidemark, listening, enough + 5);
  await turn();
  expect(warnings.heard.map(({ message }) => message)).toEqual([]);
  const times = enough + 4;
  expect(tidemark.stats().keptOnPrimary).toEqual([
    { prefix: undefined, reads: times * (pageKeys.length + 1), others: times * pageKeys.length },
  ]);
});

it("sessions of koa-session keep no page on the primary once their prefix is a scope", async () => {
  await using tidemark = await open();
  await using listening = await serve(onKoaSession(tidemark, "koa:sess:"));
  holdReplicas(group);
  await visit(tidemark, listening, 10);
  expect(tidemark.stats().keptOnPrimary).toEqual([{ prefix: "koa:sess:", reads: 9, others: 0 }]);
});

describe("the warning, without HTTP,", () => {
  /** Sends so many reads of `other` to the primary by a write to `written`. */
  async function keep(tidemark: Tidemark, written: string, other: string, times: number): Promise<void> {
    const { redis } = tidemark.session();
    await redis.set(written, 1);
    await Promise.all(Array.from({ length: times }, () => redis.get(other)));
  }

  it("needs more than half of all reads to be kept on the primary by writes", async () => {
    await using tidemark = await open();
    holdReplicas(group);
    await keep(tidemark, "cart:1", "cart:2", 1_000);
    await keep(tidemark, "hits:1", "page:1", 1_000);
    await turn();
    expect(warnings.of(code)).toEqual([]);
    await keep(tidemark, "hits:1", "page:1", 1);
    await waitUntil(() => warnings.of(code).length > 0, { what: "the warning" });
    expect(warnings.of(code)).toEqual([expect.stringMatching(/"hits:" sent 1001 reads/)]);
  });

  it("proposes the prefix without keyPrefix, in addition to the app's scopes", async () => {
    await using tidemark = await open({ redis: { keyPrefix: "app:" }, scopes: ["cart:"] });
    holdReplicas(group);
    await keep(tidemark, "hits:1", "page:1", 1_000);
    await waitUntil(() => warnings.of(code).length > 0, { what: "the warning" });
    expect(warnings.inFull(code)).toEqual([expect.stringContaining('scopes: ["cart:", "hits:"]')]);
  });

  it("never proposes an existing scope, even when a command has joined the scopes", async () => {
    await using tidemark = await open();
    holdReplicas(group);
    const { redis } = tidemark.session();
    await redis.set("sess:1", 1);
    await redis.mget("sess:1", "page:1");
    await Promise.all(Array.from({ length: 1_001 }, () => redis.get("page:1")));
    await turn();
    expect(tidemark.stats().keptOnPrimary).toEqual([{ prefix: "sess:", reads: 1_002, others: 1_001 }]);
    expect(warnings.of(code)).toEqual([]);
  });
});
