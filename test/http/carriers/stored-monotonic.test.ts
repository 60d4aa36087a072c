/** Monotonic reads whose tokens are kept in sessions on the server. */
import type { RequestListener } from "node:http";
import fastifyCookie from "@fastify/cookie";
import fastifySession from "@fastify/session";
import express from "express";
import expressSession, { MemoryStore } from "express-session";
import fastify from "fastify";
import Koa from "koa";
import koaSession from "koa-session";
import { describe, expect, it } from "vitest";
import { session as stored } from "../../../src/http/carriers/session.js";
import { readYourWrites as onExpress } from "../../../src/http/frameworks/express.js";
import { readYourWrites as onFastify } from "../../../src/http/frameworks/fastify.js";
import { readYourWrites as onKoa } from "../../../src/http/frameworks/koa.js";
import type { Tidemark } from "../../../src/index.js";
import { openDoor } from "../../support/http/door.js";
import { TokenHolder } from "../../support/http/token-holder.js";
import { inTurn, stageTornReplicas } from "../../support/stages/torn-replicas.js";

const stage = stageTornReplicas();
const secret = "a secret of this test that is long enough";

/** The stored sessions, by their ids. */
const kept = new Map<string, string>();
const memory = new MemoryStore();

/** Apps whose users have sessions that are shared by all processes. */
const apps: Readonly<
  Record<string, (tidemark: Tidemark, monotonicReads: boolean) => Promise<RequestListener>>
> = {
  Express: async (tidemark, monotonicReads) => {
    const app = express();
    app.use(expressSession({ secret, store: memory, resave: false, saveUninitialized: false }));
    app.use(onExpress(tidemark, { carrier: stored({ overlapMs: 0 }), monotonicReads }));
    return app.get("/", async ({ redis, query }, response) => {
      const value = String(await redis.get(String(query.key)));
      // Its head is built before it is known where this has been.
      if (query.hurry !== undefined) redis.get(String(query.key)).catch(() => {});
      response.send(value);
    });
  },
  Koa: async (tidemark, monotonicReads) => {
    const app = new Koa();
    app.keys = [secret];
    const store = {
      get: async (id: string) => JSON.parse(kept.get(id) ?? "null"),
      set: async (id: string, session: object) => void kept.set(id, JSON.stringify(session)),
      destroy: async (id: string) => void kept.delete(id),
    };
    app.use(koaSession({ store }, app));
    app.use(onKoa(tidemark, { carrier: stored({ overlapMs: 0 }), monotonicReads }));
    app.use(async (ctx) => {
      ctx.body = String(await ctx.redis.get(String(ctx.query.key)));
    });
    return app.callback();
  },
  Fastify: async (tidemark, monotonicReads) => {
    const app = fastify();
    const store = {
      get: (id: string, done: (error: unknown, session?: never) => void) =>
        done(null, JSON.parse(kept.get(id) ?? "null")),
      set: (id: string, session: object, done: () => void) => {
        kept.set(id, JSON.stringify(session));
        done();
      },
      destroy: (id: string, done: () => void) => {
        kept.delete(id);
        done();
      },
    };
    app.register(onFastify, { tidemark, carrier: stored({ overlapMs: 0 }), monotonicReads });
    app.register(fastifyCookie);
    app.register(fastifySession, { secret, store, saveUninitialized: false, cookie: { secure: false } });
    app.get<{ Querystring: { key: string } }>("/", async ({ redis, query }) =>
      String(await redis.get(query.key)),
    );
    await app.ready();
    return (request, response) => app.routing(request, response);
  },
};

describe.each(Object.entries(apps))("by sessions of %s", (_name, make) => {
  it.each([
    ["sees the data in the next, with monotonicReads", true, "new"],
    ["may see older data in the next, without monotonicReads", false, "old"],
  ])("a user who has read newer data in one process %s", async (_what, monotonicReads, expected) => {
    await using both = inTurn(
      await openDoor(await make(stage.here, monotonicReads)),
      await openDoor(await make(stage.there, monotonicReads)),
    );
    const user = new TokenHolder(both);
    const key = await stage.torn();
    expect((await user.ask({ query: `key=${key}` })).body).toBe("new");
    expect((await user.ask({ query: `key=${key}` })).body).toBe(expected);
  });
});

it("a session on the server keeps its token when a read returns no newer data", async () => {
  const tokens = (): unknown[] =>
    Object.values(Reflect.get(memory, "sessions")).map((text) => JSON.parse(String(text)).tidemark);
  memory.clear();
  const make = apps.Express;
  if (make === undefined) throw new Error("there is no such app");
  await using door = await openDoor(await make(stage.here, true));
  const user = new TokenHolder(door);
  const key = await stage.torn();
  await user.ask({ query: `key=${key}&hurry` });
  const before = tokens();
  expect(before).toEqual([expect.any(String)]);
  for (let n = 0; n < 5; n += 1) await user.ask({ query: `key=${key}&hurry` });
  expect(tokens()).toEqual(before);
});
