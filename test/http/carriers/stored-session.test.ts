/** Tokens in the sessions of the frameworks' own session middleware, on servers whose replicas are held back. */
import fastifyCookie from "@fastify/cookie";
import fastifySession from "@fastify/session";
import compression from "compression";
import express, { type RequestHandler } from "express";
import expressSession, { MemoryStore } from "express-session";
import fastify from "fastify";
import Koa from "koa";
import koaSession from "koa-session";
import supertest from "supertest";
import { describe, expect, it } from "vitest";
import {
  readYourWrites as onExpress,
  session as storedOnExpress,
} from "../../../src/http/frameworks/express.js";
import {
  readYourWrites as onFastify,
  session as storedOnFastify,
} from "../../../src/http/frameworks/fastify.js";
import { readYourWrites as onKoa, session as storedOnKoa } from "../../../src/http/frameworks/koa.js";
import type { Tidemark } from "../../../src/index.js";
import type { Routes } from "../../support/listeners/routes.js";
import { holdReplicas } from "../../support/servers/held-replicas.js";
import type { ReplicationGroup } from "../../support/servers/replication-group.js";
import { stageTidemark } from "../../support/stages/staged-tidemark.js";

const secret = "a secret of this test that is long enough";

let group: ReplicationGroup;
let tidemark: Tidemark;
let routes: Routes;

stageTidemark({ replicas: 2 }, (stage) => {
  ({ group, tidemark, routes } = stage);
});

/** The stored sessions, by their ids, as text like in a real store. */
const stored = new Map<string, string>();

function koaApp(): Koa {
  const app = new Koa();
  app.keys = [secret];
  const store = {
    get: async (id: string) => JSON.parse(stored.get(id) ?? "null"),
    set: async (id: string, session: object) => void stored.set(id, JSON.stringify(session)),
    destroy: async (id: string) => void stored.delete(id),
  };
  app.use(koaSession({ store }, app)).use(onKoa(tidemark, { carrier: storedOnKoa() }));
  return app.use(async (ctx) => {
    if (ctx.session !== null) ctx.session.visits = (ctx.session.visits ?? 0) + 1;
    if (ctx.method === "POST") await ctx.redis.set("k", ctx.path);
    ctx.body = { value: await ctx.redis.get("k") };
  });
}

async function fastifyApp() {
  const app = fastify();
  const store = {
    get: (id: string, done: (error: unknown, session?: never) => void) =>
      done(null, JSON.parse(stored.get(id) ?? "null")),
    set: (id: string, session: object, done: () => void) => {
      stored.set(id, JSON.stringify(session));
      done();
    },
    destroy: (id: string, done: () => void) => {
      stored.delete(id);
      done();
    },
  };
  app.register(onFastify, { tidemark, carrier: storedOnFastify() });
  app.register(fastifyCookie).register(fastifySession, { secret, store, cookie: { secure: false } });
  app.post("/:value", async ({ redis, url }) => {
    await redis.set("k", url);
    return { value: await redis.get("k") };
  });
  app.get("/", async ({ redis }) => ({ value: await redis.get("k") }));
  await app.ready();
  return app.server;
}

const apps = { Koa: async () => koaApp().callback(), Fastify: fastifyApp };

describe.each(Object.entries(apps))("on %s", (_name, open) => {
  it("users see their own writes, by a token that is saved with their sessions", async () => {
    stored.clear();
    holdReplicas(group);
    const user = supertest.agent(await open());
    for (const value of ["/first", "/second"]) {
      await user.post(value).expect(200, { value });
      expect([...stored.values()].map((text) => JSON.parse(text).tidemark)).toEqual([expect.any(String)]);
      routes.clear();
      await user.get("/").expect(200, { value });
      expect(routes.of("get")[0]).not.toMatch(/position-unknown/);
    }
  });
});

describe("on Express, for visitors without a session, when only used sessions are saved", () => {
  it.each<[what: string, behind: RequestHandler[], begin: boolean]>([
    ["without awaiting it", [], false],
    ["without awaiting it, before writeHead is called by hand", [], true],
    ["with later middleware that defers the headers", [compression({ threshold: 0 })], false],
  ])("a user who writes %s gets a session, and sees the write", async (_what, behind, begin) => {
    const store = new MemoryStore();
    const app = express().use(expressSession({ secret, store, resave: false, saveUninitialized: false }));
    app.use(onExpress(tidemark, { carrier: storedOnExpress() }), ...behind);
    app.post("/", ({ redis }, response) => {
      void redis.set("k", "new");
      if (begin) response.writeHead(200);
      response.end("written");
    });
    app.get("/", async ({ redis }, response) => void response.send(String(await redis.get("k"))));
    const user = supertest.agent(app);
    holdReplicas(group);
    await user.post("/").expect(200, "written");
    await user.get("/").expect(200, "new");
  });
});
