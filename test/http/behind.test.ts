/** The errors that users get on each framework when no replica may answer and fallback to the primary is off. */
import type { RequestListener } from "node:http";
import { getRequestListener } from "@hono/node-server";
import fastify, { type FastifyInstance } from "fastify";
import { Hono } from "hono";
import Koa from "koa";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { readYourWrites as onExpress } from "../../src/http/frameworks/express.js";
import { readYourWrites as onFastify } from "../../src/http/frameworks/fastify.js";
import { readYourWrites as onKoa } from "../../src/http/frameworks/koa.js";
import { readYourWrites as onWeb, sessionOf } from "../../src/http/frameworks/web.js";
import type { Session, Tidemark } from "../../src/index.js";
import { type Door, openDoor } from "../support/http/door.js";
import { expresses } from "../support/http/replies.js";
import { TokenHolder } from "../support/http/token-holder.js";
import { holdReplicas } from "../support/servers/held-replicas.js";
import type { ReplicationGroup } from "../support/servers/replication-group.js";
import { stageTidemark } from "../support/stages/staged-tidemark.js";
import { waitUntil } from "../support/wait-until.js";

let group: ReplicationGroup;
let tidemark: Tidemark;

stageTidemark({ replicas: 2 }, (stage) => {
  ({ group, tidemark } = stage);
});

const secret = "a secret of this test";

/** By POST writes, and then reads what only the primary has, where that may not be asked; by GET reads where it may. */
async function work({ redis }: Session, method: string): Promise<string> {
  if (method === "POST") await redis.set("a-key", "a value");
  return String(await (method === "POST" ? redis.at({ fallback: "error" }) : redis).get("a-key"));
}

function expressApp(make: (typeof expresses)["Express 5"], env: string): RequestListener {
  const app = make().set("env", env).use(onExpress(tidemark, { secret }));
  return app.use(({ consistency, method }, response, next) => {
    work(consistency, method).then((text) => response.send(text), next);
  });
}

function koaApp(): RequestListener {
  const app = new Koa().use(onKoa(tidemark, { secret }));
  app.silent = true;
  app.use(async (ctx) => {
    ctx.body = await work(ctx.consistency, ctx.method);
  });
  return app.callback();
}

async function fastifyApp(): Promise<FastifyInstance> {
  const app = fastify();
  await app.register(onFastify, { tidemark, secret });
  app.route({
    method: ["GET", "POST"],
    url: "/",
    handler: ({ consistency, method }) => work(consistency, method),
  });
  await app.ready();
  return app;
}

async function respond(request: Request): Promise<Response> {
  return new Response(await work(sessionOf(request), request.method));
}

function honoApp(mount: (app: Hono, withConsistency: ReturnType<typeof onWeb>) => void): RequestListener {
  const app = new Hono();
  mount(app, onWeb(tidemark, { secret }));
  return getRequestListener((request) => app.fetch(request));
}

const apps: Readonly<Record<string, () => RequestListener | Promise<RequestListener>>> = {
  ...Object.fromEntries(
    Object.entries(expresses).flatMap(([name, make]) =>
      ["production", "development"].map((env) => [`${name}, in ${env}`, () => expressApp(make, env)]),
    ),
  ),
  Koa: koaApp,
  Fastify: async () => {
    const app = await fastifyApp();
    return (request, response) => app.routing(request, response);
  },
  "Web handlers": () => getRequestListener(onWeb(tidemark, { secret })(respond)),
  "Hono, as a whole": () => {
    const app = new Hono().all("/", ({ req }) => respond(req.raw));
    return getRequestListener(onWeb(tidemark, { secret })((request) => app.fetch(request)));
  },
  "Hono, by middleware": () =>
    honoApp((app, withConsistency) => {
      app.use(async (c, next) => {
        const passed = async () => {
          await next();
          return c.res;
        };
        c.res = await withConsistency(passed)(c.req.raw);
      });
      app.all("/", ({ req }) => respond(req.raw));
    }),
  "Hono, by routes": () =>
    honoApp((app, withConsistency) => app.all("/", ({ req }) => withConsistency(respond)(req.raw))),
};

const doors: Readonly<Record<string, () => Promise<Door>>> = {
  ...Object.fromEntries(
    Object.entries(apps).map(([name, open]) => [name, async () => openDoor(await open())]),
  ),
  "Fastify, by inject": async () => {
    const app = await fastifyApp();
    return {
      ask: async ({ method = "GET", headers = {} } = {}) => {
        const { statusCode, headers: heads, body } = await app.inject({ method, url: "/", headers });
        const setCookie = heads["set-cookie"] ?? [];
        const retryAfter = String(heads["retry-after"]);
        return {
          status: statusCode,
          headers: { "retry-after": retryAfter, "set-cookie": [setCookie].flat().map(String) },
          body,
        };
      },
      [Symbol.asyncDispose]: () => app.close(),
    };
  },
};

/** The error body for users, except for Express in development, which shows the stack of every error. */
const bodies: Readonly<Record<string, RegExp>> = {
  Fastify:
    /^\{"statusCode":503,"code":"TIDEMARK_REPLICAS_BEHIND","error":"Service Unavailable","message":"GET: no replica/,
  Express: /<pre>Service Unavailable<\/pre>/,
  Koa: /^Service Unavailable$/,
  Web: /^Service Unavailable$/,
  Hono: /^Service Unavailable$/,
};

beforeEach(() => {
  vi.spyOn(console, "error").mockImplementation(() => {});
});

afterEach(() => {
  vi.restoreAllMocks();
});

describe.each(Object.entries(doors))("on %s", (name, open) => {
  it("users get a Retry-After and no internals, and keep their earlier writes", async () => {
    await using door = await open();
    holdReplicas(group);
    const user = new TokenHolder(door);
    const { status, headers, body } = await user.ask({ method: "POST" });
    expect([status, headers["set-cookie"]?.length]).toEqual([503, 1]);
    expect(headers["retry-after"]).toMatch(/^[1-9]\d?$/);
    if (name.endsWith("development")) expect(body).toMatch(/ReplicasBehindError: GET: no replica/);
    else {
      expect(body).toMatch(bodies[name.split(/[ ,]/)[0] ?? ""] ?? /^$/);
      for (const inner of ["a-key", "a value", "127.0.0.1", group.primary.port, ".ts", ".js"])
        expect(body).not.toContain(String(inner));
    }
    expect(await user.ask({})).toMatchObject({ status: 200, body: "a value" });
  });
});

describe.each([
  "Express 4, in production",
  "Express 5, in production",
  "Koa",
  "Fastify",
  "Hono, by middleware",
])("on %s", (name) => {
  it("users get a longer Retry-After the longer replicas have stood still", async () => {
    const open = doors[name];
    if (open === undefined) throw new Error(`there is no ${name}`);
    await using door = await open();
    holdReplicas(group);
    const user = new TokenHolder(door);
    const isLater = async (): Promise<boolean> => {
      const { status, headers } = await user.ask({ method: "POST" });
      expect(status).toBe(503);
      return Number(headers["retry-after"]) > 1;
    };
    await waitUntil(isLater, { what: "Retry-After is longer than a second" });
  });
});
