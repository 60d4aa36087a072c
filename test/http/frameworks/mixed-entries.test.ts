/** An entry of the package that is used with another framework is refused, and the error names the entry to import. */
import { once } from "node:events";
import type { RequestListener } from "node:http";
import { createRequire } from "node:module";
import express5 from "express";
import Fastify from "fastify";
import { Hono } from "hono";
import Koa from "koa";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import * as express from "../../../src/http/frameworks/express.js";
import * as fastify from "../../../src/http/frameworks/fastify.js";
import * as koa from "../../../src/http/frameworks/koa.js";
import * as web from "../../../src/http/frameworks/web.js";
import { Tidemark } from "../../../src/index.js";
import { serve } from "../../support/http/exchange.js";
import { RedisServer } from "../../support/servers/redis-server.js";
import { HandMadeSessions } from "../../support/stages/hand-made-sessions.js";

/** It has no types of its own. */
const express4: typeof express5 = createRequire(import.meta.url)("express4");
const source = new HandMadeSessions();
const secret = "a secret of this test";
const mounted: Readonly<Record<string, unknown>> = {
  express: express.readYourWrites(source, { secret }),
  koa: koa.readYourWrites(source, { secret }),
  fastify: fastify.readYourWrites,
  web: web.readYourWrites(source, { secret }),
};
const wrapped = web.readYourWrites(source, { secret })(() => new Response("answered"));

/** Calls a method with what its types do not allow. */
function call(target: object, method: string, ...args: unknown[]): unknown {
  return Reflect.apply(Reflect.get(target, method), target, args);
}

/** The error that an app answers a request with. */
async function failureOf(listener: RequestListener): Promise<string> {
  await using server = await serve(listener);
  return (await fetch(`http://127.0.0.1:${server.port}/`)).text();
}

type Mount = (middleware: unknown) => Promise<string>;

function onExpress(make: typeof express5): Mount {
  return (middleware) => {
    const app = make();
    call(app, "use", middleware);
    call(
      app,
      "use",
      (error: Error, _request: unknown, response: { end(text: string): void }, _next: unknown) =>
        response.end(error.message),
    );
    return failureOf(app);
  };
}

async function onKoa(middleware: unknown): Promise<string> {
  const app = new Koa();
  const failed = once(app, "error");
  call(app, "use", middleware);
  await failureOf(app.callback());
  const [error] = await failed;
  return error.message;
}

async function inFastify(middleware: unknown, options: object = {}): Promise<string> {
  const app = Fastify();
  try {
    await call(app, "register", middleware, options);
    await app.ready();
    return "";
  } catch (error) {
    return error instanceof Error ? error.message : "";
  } finally {
    await app.close();
  }
}

async function inHook(middleware: unknown): Promise<string> {
  const app = Fastify();
  call(app, "addHook", "onRequest", middleware);
  app.get("/", async () => "answered");
  const answer = await app.inject("/");
  await app.close();
  return answer.json().message;
}

async function inRoute(handler: unknown): Promise<string> {
  const app = Fastify();
  call(app, "get", "/", handler);
  const answer = await app.inject("/");
  await app.close();
  return answer.json().message;
}

async function onHono(middleware: unknown): Promise<string> {
  const app = new Hono();
  app.onError((error, context) => context.text(error.message));
  call(app, "use", middleware);
  return (await app.request("/")).text();
}

const places: Readonly<Record<string, readonly [entry: string, mount: Mount]>> = {
  "Express 5": ["express", onExpress(express5)],
  "Express 4": ["express", onExpress(express4)],
  Koa: ["koa", onKoa],
  "Fastify's register()": ["fastify", inFastify],
  "Fastify's hooks": ["fastify", inHook],
  Hono: ["web", onHono],
};

describe.each(Object.entries(places))("In %s", (_place, [entry, mount]) => {
  // A plugin of Fastify must not throw at once, and wrapping a handler can do nothing else.
  const isPlugin = mount === inFastify;
  it.each(Object.keys(mounted).filter((name) => name !== entry && !(isPlugin && name === "web")))(
    "readYourWrites of tidemark/%s is refused, and the error names the entry to import",
    async (name) => {
      expect(await mount(mounted[name])).toMatch(
        new RegExp(
          `the one from "tidemark/${name}" was called by .*\\. Import it from "tidemark/${entry}"\\.`,
        ),
      );
    },
  );
});

describe.each([
  ["Express 5", "express", onExpress(express5)],
  ["Koa", "koa", onKoa],
  ["Fastify's hooks", "fastify", inHook],
] as const)("In %s", (_place, entry, mount) => {
  it("a handler of tidemark/web is refused", async () => {
    expect(await mount(wrapped)).toMatch(
      new RegExp(
        `^withConsistency: the one from "tidemark/web" was called by .*\\. Import it from "tidemark/${entry}"`,
      ),
    );
  });
});

describe("A dashboard", () => {
  let primary: RedisServer;
  let tidemark: Tidemark;

  beforeAll(async () => {
    primary = await RedisServer.start();
    tidemark = new Tidemark({ primary: primary.url, replicas: [] });
    await tidemark.ready();
  });

  afterAll(async () => {
    await tidemark.close();
    await primary.stop();
  });

  const entries = { express, koa, fastify, web };
  const hosts: readonly (readonly [place: string, entry: keyof typeof entries, mount: Mount])[] = [
    ["Express 5", "express", onExpress(express5)],
    ["Express 4", "express", onExpress(express4)],
    ["Koa", "koa", onKoa],
    ["Fastify", "fastify", inRoute],
    ["Hono", "web", onHono],
  ];

  it.each(hosts)(
    "in %s is refused if it is that of another entry, and the error names the entry to import",
    async (_place, entry, mount) => {
      for (const [name, { dashboard }] of Object.entries(entries)) {
        if (name === entry) continue;
        expect(await mount(Reflect.apply(dashboard, undefined, [tidemark]))).toMatch(
          new RegExp(
            `^dashboard: the one from "tidemark/${name}" was called by .*\\. Import it from "tidemark/${entry}"\\.`,
          ),
        );
      }
    },
  );

  it("of tidemark/web called with the context of Hono says what to call it with", async () => {
    expect(await onHono(web.dashboard(tidemark))).toContain(
      "Call it with the Request, for example (c) => show(c.req.raw) on Hono",
    );
  });
});

describe("Markers", () => {
  it.each([
    ["Express's", "Koa", express, onKoa],
    ["Fastify's", "Koa", fastify, onKoa],
    ["Koa's", "Express 5", koa, onExpress(express5)],
    ["Koa's", "Express 4", koa, onExpress(express4)],
  ] as const)("of %s entry are refused in %s", async (_entry, _place, entry, mount) => {
    for (const marker of [entry.strong(), entry.replicated(1)])
      expect(await mount(marker)).toMatch(
        /^(strong|replicated)\(n?\): the one from "tidemark\/.*\. Import it from "tidemark\//,
      );
  });
});

describe("readYourWrites called directly, with options", () => {
  const options = { tidemark: source, secret };

  it.each(["express", "koa", "web"])("of tidemark/%s is refused in Fastify", async (name) => {
    const entry = { express, koa, web }[name];
    const app = Fastify();
    expect(() => Reflect.apply(entry?.readYourWrites ?? call, undefined, [app, options])).toThrow(
      '"tidemark/fastify"',
    );
    await app.close();
  });

  it("of tidemark/fastify is refused when it is called like that of another entry", () => {
    const make = (): unknown => Reflect.apply(fastify.readYourWrites, undefined, [source, { secret }]);
    expect(make).toThrow(
      "Call app.register(readYourWrites, { tidemark, secret }), or import it from the entry for your framework",
    );
  });
});
