/** The warning of routes that only read by their method, and write with every request. */
import Router from "@koa/router";
import express, { type RequestHandler } from "express";
import fastify from "fastify";
import Koa from "koa";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { Touched } from "../../src/commands/touched-keys.js";
import { Counts } from "../../src/diagnostics/counts.js";
import { KeyPrefixes } from "../../src/diagnostics/key-prefix.js";
import { ScopeProposal } from "../../src/diagnostics/scope-proposal.js";
import { Statistics } from "../../src/diagnostics/statistics.js";
import { readYourWrites } from "../../src/http/frameworks/express.js";
import { readYourWrites as onFastify } from "../../src/http/frameworks/fastify.js";
import { readYourWrites as onKoa } from "../../src/http/frameworks/koa.js";
import { ReadingRoutes } from "../../src/http/reading-routes.js";
import type { Tidemark } from "../../src/index.js";
import { ask, type Listening, serve } from "../support/http/exchange.js";
import { listenToWarnings, optionsIn, type Warnings } from "../support/listeners/warnings.js";
import { type ReplicationGroup, startReplicationGroup } from "../support/servers/replication-group.js";
import { openTidemark } from "../support/stages/open-tidemark.js";
import { waitUntil } from "../support/wait-until.js";

const secret = "a secret of this test";
const code = "TIDEMARK_READING_ROUTE_WRITES";
const inARow = 50;
const usualScopes = ["sess:", "koa:sess:", "rl:", "rlflx:", "fastify-rate-limit-"];

let group: ReplicationGroup;
let tidemark: Tidemark;
let warnings: Warnings;

beforeAll(async () => {
  group = await startReplicationGroup({ replicas: 1 });
  tidemark = openTidemark(group, { untracked: ["views:"] });
  await tidemark.ready();
});

beforeEach(() => {
  warnings = listenToWarnings();
});

afterEach(() => warnings[Symbol.dispose]());

afterAll(async () => {
  await tidemark.close();
  await group.stop();
});

/** Warnings are emitted in the next turn. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function warned(count: number): Promise<string[]> {
  await waitUntil(() => warnings.of(code).length >= count, { what: `${count} warnings` });
  return warnings.of(code);
}

async function visit({ port }: Listening, times: number, path: string, method = "GET"): Promise<void> {
  for (let i = 0; i < times; i++) {
    const answer = await ask(port, { path: `${path}?visit=${i}`, method });
    expect(answer.status, answer.body).toBe(200);
  }
}

/** On each framework `/feed/:id` counts its hits, whatever the method. */
const frameworks: Readonly<Record<string, () => Promise<Listening>>> = {
  Express: () => {
    const app = express().use(readYourWrites(tidemark, { secret }));
    app.all("/feed/:id", async ({ redis, params }, response) => {
      await redis.incr(`hits:${params.id}`);
      response.json({});
    });
    return serve(app);
  },
  Fastify: async () => {
    const app = fastify();
    await app.register(onFastify, { tidemark, secret });
    app.route<{ Params: { id: string } }>({
      method: ["GET", "HEAD", "POST"],
      url: "/feed/:id",
      handler: async ({ redis, params }) => ({ hits: await redis.incr(`hits:${params.id}`) }),
    });
    await app.ready();
    return serve((request, response) => app.routing(request, response));
  },
  Koa: () => {
    const router = new Router().all("/feed/:id", async (ctx) => {
      ctx.body = { hits: await ctx.redis.incr(`hits:${ctx.params.id}`) };
    });
    return serve(new Koa().use(onKoa(tidemark, { secret })).use(router.routes()).callback());
  },
};

describe.each(Object.entries(frameworks))("on %s", (_name, open) => {
  it("is emitted once, at the 50th request, and names the route and the prefix", async () => {
    await using listening = await open();
    await visit(listening, inARow - 1, "/feed/a-secret");
    await turn();
    expect(warnings.of(code)).toEqual([]);
    await visit(listening, 1, "/feed/a-secret");
    await warned(1);
    await visit(listening, 2 * inARow, "/feed/a-secret");
    await turn();
    expect(warnings.of(code)).toEqual([
      'GET /feed/:id wrote keys that begin with "hits:" in 50 requests in a row. Until a replica has these writes, the ' +
        "primary answers later reads of the same request and the user's next reads of the written keys.",
    ]);
    expect(warnings.inFull(code).join()).toMatch(/redis\.untracked.*untracked.*scopes.*docs\/guarantees\.md/);
    expect(optionsIn(warnings.inFull(code).join())).toEqual({
      untracked: ["views:", "hits:"],
      scopes: [...usualScopes, "hits:"],
    });
    expect(warnings.inFull(code).join()).not.toMatch(/a-secret|visit/);
  });

  it("is emitted separately for HEAD, and never for POST", async () => {
    await using listening = await open();
    await visit(listening, inARow, "/feed/1", "POST");
    await visit(listening, inARow, "/feed/1", "HEAD");
    expect(await warned(1)).toEqual([expect.stringMatching(/^HEAD \/feed\/:id wrote/)]);
  });
});

async function onExpress(handler: RequestHandler, of = tidemark): Promise<Listening> {
  const app = express().use(readYourWrites(of, { secret }));
  app.get("/feed", handler).get("/other", (_request, response) => void response.json({}));
  return serve(app);
}

describe("a route", () => {
  it("with one request that writes nothing is never reported", async () => {
    let count = 0;
    await using listening = await onExpress(async ({ redis }, response) => {
      count += 1;
      if (count !== 20) await redis.incr("hits:1");
      response.json({});
    });
    await visit(listening, 3 * inARow, "/feed");
    await turn();
    expect(warnings.of(code)).toEqual([]);
  });

  it("is reported whatever other routes do meanwhile", async () => {
    await using listening = await onExpress(async ({ redis }, response) => {
      await redis.incr("hits:1");
      response.json({});
    });
    for (let i = 0; i < inARow; i++) {
      await visit(listening, 1, "/feed");
      await visit(listening, 1, "/other");
    }
    expect(await warned(1)).toHaveLength(1);
  });

  it.each<[string, RequestHandler]>([
    ["to scopes alone", ({ redis }, response) => void redis.set("sess:1", 1).then(() => response.json({}))],
    ["what is untracked", ({ redis }, response) => void redis.incr("views:1").then(() => response.json({}))],
    [
      "by the untracked client",
      ({ redis }, response) => void redis.untracked.incr("hits:1").then(() => response.json({})),
    ],
  ])("that writes %s is not reported", async (_what, handler) => {
    await using listening = await onExpress(handler);
    await visit(listening, inARow, "/feed");
    await turn();
    expect(warnings.of(code)).toEqual([]);
  });

  it.each<[string, RequestHandler]>([
    [
      "by scripts that declare no keys",
      ({ redis }, response) => void redis.eval("return 1", 0).then(() => response.json({})),
    ],
    [
      "to keys without a prefix",
      ({ redis }, response) => void redis.set("bare", 1).then(() => response.json({})),
    ],
    ["that it does not await", ({ redis }, response) => void [redis.set("bare", 1), response.json({})]],
  ])("that makes writes %s is reported without a prefix", async (_what, handler) => {
    await using listening = await onExpress(handler);
    await visit(listening, inARow, "/feed");
    expect(await warned(1)).toEqual([expect.stringMatching(/^GET \/feed wrote to Redis in 50 requests/)]);
    const [warning = ""] = warnings.inFull(code);
    expect(optionsIn(warning)).toEqual({
      untracked: ["views:", "your-prefix:"],
      scopes: [...usualScopes, "your-prefix:"],
    });
    expect(warning).toContain('Replace "your-prefix:" by the prefix of the keys.');
  });

  it("that runs scripts is reported with the prefix of the keys that they declare", async () => {
    await using listening = await onExpress(({ redis }, response) => {
      void redis
        .call("EVAL", "return redis.call('incr', KEYS[1])", "1", "limit:1")
        .then(() => response.json({}));
    });
    await visit(listening, inARow, "/feed");
    expect(await warned(1)).toEqual([
      'GET /feed wrote keys that begin with "limit:" in 50 requests in a row. Until a replica has these writes, the primary ' +
        "answers later reads of the same request and the user's next reads.",
    ]);
  });

  it("is reported without a list for `untracked` when that option is a function", async () => {
    await using other = openTidemark(group, { untracked: () => false });
    await other.ready();
    await using listening = await onExpress(async ({ redis }, response) => {
      await redis.incr("hits:1");
      response.json({});
    }, other);
    await visit(listening, inARow, "/feed");
    await warned(1);
    expect(warnings.inFull(code).join()).toContain(
      "or return true for them in your function `untracked`. If",
    );
  });

  it("that the framework does not know is not reported", async () => {
    const app = express().use(readYourWrites(tidemark, { secret }), async ({ redis }, response) => {
      await redis.incr("hits:1");
      response.json({});
    });
    await using listening = await serve(app);
    await visit(listening, inARow, "/feed");
    await turn();
    expect(warnings.of(code)).toEqual([]);
  });
});

describe("many routes", () => {
  const prefixes = new KeyPrefixes("", [], []);
  const statistics = new Statistics(new Counts({}), prefixes, new ScopeProposal(prefixes));
  const writing = { unscopedWrite: new Touched("", ["hits:1"]), statistics };
  const reading = { unscopedWrite: undefined, statistics };
  const route = (pattern: string) => ({ method: "GET", pattern, path: pattern });
  const ask50 = (routes: ReadingRoutes, pattern: string): void => {
    for (let i = 0; i < inARow; i++) if (routes.concerns(writing)) routes.count(route(pattern), writing);
  };

  it("cause five warnings at most, and are not tracked after that", async () => {
    const routes = new ReadingRoutes();
    for (let i = 0; i < 8; i++) ask50(routes, `/${i}`);
    expect(await warned(5)).toHaveLength(5);
    expect(routes.concerns(writing)).toBe(false);
  });

  it("are tracked up to 100", async () => {
    const routes = new ReadingRoutes();
    for (let i = 0; i < 101; i++) routes.count(route(`/${i}`), writing);
    for (let i = 1; i < inARow; i++)
      for (const pattern of ["/99", "/100"]) routes.count(route(pattern), writing);
    await warned(1);
    await turn();
    expect(warnings.of(code)).toEqual([expect.stringMatching(/^GET \/99 wrote/)]);
  });

  it("are forgotten when none has written 50 times by the 10,000th request that writes nothing", () => {
    const routes = new ReadingRoutes();
    expect(routes.concerns(reading)).toBe(false);
    routes.count(route("/rare"), writing);
    let looks = 0;
    while (routes.concerns(reading) && looks <= 10_000) {
      routes.count(route("/often"), reading);
      looks += 1;
    }
    expect(looks).toBe(10_000);
    expect(routes.concerns(writing)).toBe(false);
  });
});
