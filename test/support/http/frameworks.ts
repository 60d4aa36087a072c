/** One and the same app on every framework there is an entry for, each in its own way of doing things. */
import { text } from "node:stream/consumers";
import Router from "@koa/router";
import type express5 from "express";
import fastify, { type FastifyInstance } from "fastify";
import Koa from "koa";
import * as onExpress from "../../../src/http/frameworks/express.js";
import * as onFastify from "../../../src/http/frameworks/fastify.js";
import * as onKoa from "../../../src/http/frameworks/koa.js";
import type { SessionSource } from "../../../src/http/request-session.js";
import type { Session } from "../../../src/session/session.js";
import {
  cachingOf,
  chunked,
  type Framework,
  queryOf,
  Refusal,
  type Reply,
  type Scene,
  secret,
  type Turn,
} from "./framework-app.js";
import { expresses } from "./replies.js";
import { hono, web } from "./web-frameworks.js";

const express =
  (make: typeof express5): Framework =>
  (source, { carrier, monotonicReads, serverTiming, rollout, levels = {}, handler, failed }) => {
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
      .use(
        onExpress.readYourWrites(source, {
          secret,
          carrier,
          monotonicReads,
          serverTiming,
          rollout,
          level: levels.app,
        }),
      );
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

const koa: Framework = (
  source,
  { carrier, monotonicReads, serverTiming, rollout, levels = {}, handler, failed },
) => {
  const turnOf = (ctx: Koa.Context): Turn => ({
    session: ctx.consistency,
    query: queryOf(ctx.url),
    body: () => text(ctx.req),
  });
  const app = new Koa();
  app.silent = true;
  app.use(
    onKoa.readYourWrites(source, {
      secret,
      carrier,
      monotonicReads,
      serverTiming,
      rollout,
      level: levels.app,
    }),
  );
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
  { carrier, monotonicReads, serverTiming, rollout, levels = {}, handler, failed }: Scene,
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
    serverTiming,
    rollout,
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

const nodeHttp: Framework = (
  source,
  { carrier, monotonicReads, serverTiming, rollout, levels = {}, handler, failed },
) => {
  const layers = [
    onExpress.readYourWrites(source, {
      secret,
      carrier,
      monotonicReads,
      serverTiming,
      rollout,
      level: levels.app,
    }),
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
