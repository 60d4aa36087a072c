/** Compiled, never run: which requests the markers of each framework take, and what they return. */
import { createServer } from "node:http";
import Router from "@koa/router";
import type { Express, Request } from "express";
import Fastify, { type FastifyInstance, type FastifyRequest } from "fastify";
import type Koa from "koa";
import type { ParameterizedContext } from "koa";
import * as onExpress from "../../src/http/frameworks/express.js";
import * as onFastify from "../../src/http/frameworks/fastify.js";
import * as onKoa from "../../src/http/frameworks/koa.js";
import * as onWeb from "../../src/http/frameworks/web.js";
import type { Tidemark } from "../../src/index.js";

declare const express: Express;
declare const koa: Koa;
declare const fastify: FastifyInstance;

type Fresh = FastifyRequest<{ Querystring: { fresh?: string } }>;
type SignedIn = ParameterizedContext<{ user: string }>;

export function onEachFramework(): void {
  const byId = (request: Request<{ id: string }>) => (request.params.id === "1" ? "strong" : "eventual");
  onExpress.consistency(byId) satisfies onExpress.ExpressMiddleware<Request<{ id: string }>>;
  onExpress.consistency(({ headers, complete }) => (headers.host && complete ? "strong" : "session"));
  // @ts-expect-error a request of Node has no parameters
  onExpress.consistency(({ params }) => params.level);
  // @ts-expect-error Koa calls its middleware with a context
  koa.use(onExpress.consistency("strong"));
  express.get("/", onExpress.strong(), onExpress.eventual(), onExpress.bounded(5), onExpress.replicated(1));
  // @ts-expect-error a marker has to be called
  express.get("/", onExpress.strong, (_request, response) => void response.end());

  const byUser = ({ state }: SignedIn) => (state.user === "1" ? "strong" : "eventual");
  onKoa.consistency(byUser) satisfies onKoa.KoaMiddleware<SignedIn>;
  onKoa.consistency(({ path, secure }) => (path === "/" && secure ? "strong" : "session"));
  // @ts-expect-error a context has no such property
  onKoa.consistency(({ level }) => level);
  // @ts-expect-error Express calls its middleware with a request and a response
  express.use(onKoa.consistency("strong"));
  koa.use(onKoa.strong()).use(onKoa.eventual()).use(onKoa.bounded(5)).use(onKoa.replicated(1));

  const byQuery = ({ query }: Fresh) => (query.fresh === "1" ? "strong" : "eventual");
  onFastify.consistency(byQuery) satisfies onFastify.Hook<Fresh>;
  onFastify.consistency(({ ip, routeOptions }) => (ip === routeOptions.url ? "strong" : "session"));
  // @ts-expect-error a request has no such property
  onFastify.consistency(({ level }) => level);
  const preHandler = [
    onFastify.strong(),
    onFastify.eventual(),
    onFastify.bounded(5),
    onFastify.replicated(1),
  ];
  fastify.get("/", { preHandler }, () => "answered");
  const onRequest = onFastify.consistency("strong");
  fastify.get("/", { onRequest }, () => "answered");
  // @ts-expect-error Fastify's hooks take a callback, and no context
  fastify.get("/", { preHandler: onKoa.strong() }, () => "answered");
}

declare const tidemark: Tidemark;

/** The same of dashboards. */
export function dashboardsOnEachFramework(): void {
  express.get("/", onExpress.dashboard(tidemark));
  express.use("/", onExpress.dashboard(tidemark, { allow: ({ headers }) => headers.key === "1" }));
  const byParameter = async (request: Request<{ id: string }>) => request.params.id === "1";
  express.get("/:id", onExpress.dashboard<Request<{ id: string }>>(tidemark, { allow: byParameter }));
  createServer(onExpress.dashboard(tidemark));
  // @ts-expect-error `allow` says yes or no
  onExpress.dashboard(tidemark, { allow: () => "yes" });
  // @ts-expect-error Koa calls its middleware with a context
  koa.use(onExpress.dashboard(tidemark));

  koa.use(onKoa.dashboard(tidemark, { allow: ({ path, secure }) => path === "/" && secure }));
  new Router().get("/", onKoa.dashboard(tidemark));
  const byUser = ({ state }: SignedIn) => state.user === "1";
  onKoa.dashboard(tidemark, { allow: byUser }) satisfies onKoa.KoaHandler<SignedIn>;

  fastify.get("/", onFastify.dashboard(tidemark));
  fastify.get("/", onFastify.dashboard(tidemark, { allow: ({ ip, headers }) => ip === headers.key }));
  Fastify({ http2: true }).get("/", onFastify.dashboard(tidemark));
  const byQuery = ({ query }: Fresh) => query.fresh === "1";
  fastify.get<{ Querystring: { fresh?: string } }>(
    "/",
    onFastify.dashboard<Fresh>(tidemark, { allow: byQuery }),
  );

  onWeb.dashboard(tidemark, { allow: ({ headers }) => headers.get("key") === "1" }) satisfies (
    request: globalThis.Request,
  ) => Promise<Response>;
  // @ts-expect-error a Tidemark is needed
  onWeb.dashboard({});
}
