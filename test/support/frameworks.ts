/** One and the same app on every framework there is an entry for, each in its own way of doing things. */
import type { RequestListener } from "node:http";
import { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { getRequestListener } from "@hono/node-server";
import Router from "@koa/router";
import type express5 from "express";
import fastify, { type FastifyInstance } from "fastify";
import { Hono } from "hono";
import { HTTPException } from "hono/http-exception";
import Koa from "koa";
import { ReplicasBehindError } from "../../src/errors.js";
import type { Carrier } from "../../src/http/carrier.js";
import * as onExpress from "../../src/http/express.js";
import * as onFastify from "../../src/http/fastify.js";
import * as onKoa from "../../src/http/koa.js";
import type { SessionSource } from "../../src/http/request-session.js";
import * as onWeb from "../../src/http/web.js";
import type { Session } from "../../src/session.js";
import type { Consistency } from "../../src/terms.js";
import { expresses } from "./replies.js";

export const secret = "a secret of this test";

/** A level, or a function of what all frameworks say of a request alike. */
export type Choice = Consistency | ((request: { readonly method?: string | undefined }) => Consistency);

/** A request as a handler of no framework sees it. */
export interface Turn {
  readonly session: Session;
  readonly query: URLSearchParams;
  /** The body, by the framework's own way to read it. */
  body(): Promise<string>;
}

export interface Reply {
  readonly status?: number;
  readonly body?: string;
  readonly chunks?: AsyncIterable<string>;
  readonly redirect?: string;
  /** What a response that is no redirect says of caching. */
  readonly cacheControl?: string;
}

/** Throw it to have the framework answer an error. */
export class Refusal extends Error {
  readonly status: number;
  readonly statusCode: number;

  constructor(status: number) {
    super(`refused with ${status}`);
    this.status = status;
    this.statusCode = status;
  }
}

export interface Scene {
  readonly carrier?: Carrier | readonly Carrier[];
  readonly monotonicReads?: boolean;
  /** Of the app, of the scope or router that all routes are in, and of the route, which has a handler at `/`. */
  readonly levels?: { readonly app?: Choice; readonly scope?: Choice; readonly route?: Choice };
  readonly handler: (turn: Turn) => Promise<Reply> | Reply;
  /** Called by the framework's error handler, before it answers. */
  readonly failed?: (turn: Turn) => Promise<void> | void;
}

export type Framework = (source: SessionSource, scene: Scene) => Promise<RequestListener> | RequestListener;

function queryOf(url = ""): URLSearchParams {
  return new URL(url, "http://localhost").searchParams;
}

function chunked({ chunks }: Reply): Readable | undefined {
  return chunks === undefined ? undefined : Readable.from(chunks);
}

function cachingOf({ cacheControl }: Reply): Record<string, string> {
  return cacheControl === undefined ? {} : { "Cache-Control": cacheControl };
}

const express =
  (make: typeof express5): Framework =>
  (source, { carrier, monotonicReads, levels = {}, handler, failed }) => {
    const turnOf = (request: express5.Request): Turn => ({
      session: request.consistency,
      query: queryOf(request.url),
      body: async () => String(request.body),
    });
    const answer = (response: express5.Response, reply: Reply): unknown => {
      const { status = 200, body, redirect } = reply;
      if (redirect !== undefined) return response.redirect(redirect);
      response.status(status).type("text/plain").set(cachingOf(reply));
      return chunked(reply)?.pipe(response) ?? (body === undefined ? response.end() : response.send(body));
    };
    const app = make()
      .set("env", "test")
      .use(onExpress.readYourWrites(source, { secret, carrier, monotonicReads, level: levels.app }));
    app.use(make.text());
    const router = make.Router();
    if (levels.scope !== undefined) router.use(onExpress.consistency(levels.scope));
    const markers = levels.route === undefined ? [] : [onExpress.consistency(levels.route)];
    router.all("/", ...markers, (request, response, next) => {
      const replying = async () => answer(response, await handler(turnOf(request)));
      replying().catch(next);
    });
    const onError: express5.ErrorRequestHandler = (error, request, _response, next) => {
      const failing = async () => failed?.(turnOf(request));
      failing().then(() => next(error), next);
    };
    return app.use(router).use(onError);
  };

const koa: Framework = (source, { carrier, monotonicReads, levels = {}, handler, failed }) => {
  const turnOf = (ctx: Koa.Context): Turn => ({
    session: ctx.consistency,
    query: queryOf(ctx.url),
    body: () => text(ctx.req),
  });
  const app = new Koa();
  app.silent = true;
  app.use(onKoa.readYourWrites(source, { secret, carrier, monotonicReads, level: levels.app }));
  app.use(async (ctx, next) => {
    try {
      await next();
    } catch (error) {
      await failed?.(turnOf(ctx));
      throw error;
    }
  });
  const router = new Router();
  if (levels.scope !== undefined) router.use(onKoa.consistency(levels.scope));
  if (levels.route !== undefined) router.all("/", onKoa.consistency(levels.route));
  router.all("/", async (ctx) => {
    const reply = await handler(turnOf(ctx));
    const { status = 200, body, redirect } = reply;
    if (redirect !== undefined) return ctx.redirect(redirect);
    ctx.status = status;
    ctx.type = "text/plain";
    ctx.set(cachingOf(reply));
    ctx.body = chunked(reply) ?? body ?? null;
  });
  return app.use(router.routes()).callback();
};

/** Ready to be asked, by `inject` or through a listener. */
export async function fastifyApp(
  source: SessionSource,
  { carrier, monotonicReads, levels = {}, handler, failed }: Scene,
  options: { readonly http2?: boolean } = {},
): Promise<FastifyInstance> {
  const turnOf = (request: onFastifyRequest): Turn => ({
    session: request.consistency,
    query: queryOf(request.url),
    body: async () => String(request.body),
  });
  // Its type depends on the options, which nothing here does.
  const app: FastifyInstance = Reflect.apply(fastify, undefined, [options]);
  await app.register(onFastify.readYourWrites, {
    tidemark: source,
    secret,
    carrier,
    monotonicReads,
    level: levels.app,
  });
  app.setErrorHandler(async (error, request, reply) => {
    await failed?.(turnOf(request));
    return reply.send(error);
  });
  app.register(async (scope) => {
    if (levels.scope !== undefined) scope.addHook("onRequest", onFastify.consistency(levels.scope));
    scope.route({
      method: ["GET", "POST"],
      url: "/",
      config: { consistency: levels.route },
      handler: async (request, reply) => {
        const made = await handler(turnOf(request));
        const { status = 200, body, redirect } = made;
        if (redirect !== undefined) return reply.redirect(redirect);
        return reply
          .code(status)
          .type("text/plain")
          .headers(cachingOf(made))
          .send(chunked(made) ?? body);
      },
    });
  });
  await app.ready();
  return app;
}

type onFastifyRequest = Parameters<Parameters<FastifyInstance["setErrorHandler"]>[0]>[1];

const onFastifyServer: Framework = async (source, scene) => {
  const app = await fastifyApp(source, scene);
  return (request, response) => app.routing(request, response);
};

const nodeHttp: Framework = (source, { carrier, monotonicReads, levels = {}, handler, failed }) => {
  const layers = [
    onExpress.readYourWrites(source, { secret, carrier, monotonicReads, level: levels.app }),
    ...[levels.scope, levels.route].flatMap((level) =>
      level === undefined ? [] : [onExpress.consistency(level)],
    ),
  ];
  return (request, response) => {
    const session = () => Reflect.get(request, "consistency") as Session;
    const turn: Turn = {
      get session() {
        return session();
      },
      query: queryOf(request.url),
      body: () => text(request),
    };
    const fail = async (error: unknown) => {
      await failed?.(turn);
      response.writeHead(error instanceof Refusal ? error.status : 500).end(String(error));
    };
    const replying = async () => {
      const reply = await handler(turn);
      const { status = 200, body, redirect } = reply;
      if (redirect !== undefined) return response.writeHead(302, { Location: redirect }).end();
      response.writeHead(status, { "Content-Type": "text/plain", ...cachingOf(reply) });
      return chunked(reply)?.pipe(response) ?? response.end(body);
    };
    const run = ([first, ...rest]: typeof layers): unknown =>
      first === undefined
        ? replying().catch(fail)
        : first(request, response, (error) => (error === undefined ? run(rest) : fail(error)));
    run(layers);
  };
};

function turnOfWeb(request: Request): Turn {
  return { session: onWeb.sessionOf(request), query: queryOf(request.url), body: () => request.text() };
}

function webResponse(reply: Reply): Response {
  const { status = 200, body = null, redirect } = reply;
  if (redirect !== undefined) return Response.redirect(new URL(redirect, "http://localhost"), 302);
  const stream = chunked(reply);
  const headers = { "Content-Type": "text/plain", ...cachingOf(reply) };
  return new Response(stream === undefined ? body : (Readable.toWeb(stream) as ReadableStream), {
    status,
    headers,
  });
}

/** Handlers as Next.js and Remix have them, which answer their errors by themselves. */
const web: Framework = (source, { carrier, monotonicReads, levels = {}, handler, failed }) => {
  const withConsistency = onWeb.readYourWrites(source, {
    secret,
    carrier,
    monotonicReads,
    level: levels.app,
  });
  const answer = async (request: Request) => {
    try {
      return webResponse(await handler(turnOfWeb(request)));
    } catch (error) {
      if (error instanceof ReplicasBehindError) throw error;
      await failed?.(turnOfWeb(request));
      return new Response(String(error), { status: error instanceof Refusal ? error.status : 500 });
    }
  };
  const route = withConsistency(answer, { level: levels.route });
  return getRequestListener(withConsistency(route, { level: levels.scope }));
};

const hono =
  (around: "app" | "routes"): Framework =>
  (source, { carrier, monotonicReads, levels = {}, handler, failed }) => {
    const withConsistency = onWeb.readYourWrites(source, {
      secret,
      carrier,
      monotonicReads,
      level: levels.app,
    });
    const app = new Hono();
    app.onError(async (error, c) => {
      await failed?.(turnOfWeb(c.req.raw));
      // As Hono's own does.
      return "getResponse" in error ? error.getResponse() : c.text("Internal Server Error", 500);
    });
    app.use(async (c, next) => {
      const passed = async () => {
        await next();
        return c.res;
      };
      if (around === "routes" || levels.scope !== undefined) {
        c.res = await withConsistency(passed, { level: levels.scope })(c.req.raw);
      } else await next();
    });
    const answer = async (request: Request) => {
      try {
        return webResponse(await handler(turnOfWeb(request)));
      } catch (error) {
        if (!(error instanceof Refusal) || error.status === 500) throw error;
        throw new HTTPException(409, { message: error.message });
      }
    };
    app.all("/", (c) =>
      levels.route === undefined
        ? answer(c.req.raw)
        : withConsistency(answer, { level: levels.route })(c.req.raw),
    );
    const fetch = (request: Request) => app.fetch(request);
    return getRequestListener(around === "app" ? withConsistency(fetch) : fetch);
  };

/** By name; each is asked through a listener. */
export const frameworks: Readonly<Record<string, Framework>> = {
  ...Object.fromEntries(Object.entries(expresses).map(([name, make]) => [name, express(make)])),
  "node:http": nodeHttp,
  Koa: koa,
  Fastify: onFastifyServer,
  "Web handlers": web,
  "Hono, as a whole": hono("app"),
  "Hono, by middleware": hono("routes"),
};
