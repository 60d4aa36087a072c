/** An app with a dashboard at `/tidemark`, on every framework there is an entry for. */
import type { IncomingMessage, RequestListener } from "node:http";
import { getRequestListener } from "@hono/node-server";
import Router from "@koa/router";
import type express5 from "express";
import fastify, { type FastifyInstance, type FastifyRequest } from "fastify";
import { Hono } from "hono";
import Koa from "koa";
import * as onExpress from "../../../src/http/frameworks/express.js";
import * as onFastify from "../../../src/http/frameworks/fastify.js";
import * as onKoa from "../../../src/http/frameworks/koa.js";
import * as onWeb from "../../../src/http/frameworks/web.js";
import type { Tidemark } from "../../../src/index.js";
import { secret } from "./framework-app.js";
import { expresses } from "./replies.js";

export interface DashboardOf {
  readonly tidemark: Tidemark;
  /** The answer of the option `allow`, given the header `Key` of a request. Without it the option is not given. */
  readonly allow?: (key: string | undefined) => boolean | Promise<boolean>;
  /** Whether `readYourWrites` is mounted before the dashboard, behind it, or not at all. */
  readonly middleware?: "before" | "behind" | "none";
}

export type DashboardApp = (of: DashboardOf) => Promise<RequestListener> | RequestListener;

/** The option `allow` for requests of one framework. */
function optionsOf<Request>(
  { allow }: DashboardOf,
  keyOf: (request: Request) => string | string[] | null | undefined,
): { readonly allow?: (request: Request) => boolean | Promise<boolean> } {
  return allow === undefined ? {} : { allow: (request) => allow(keyOf(request)?.toString()) };
}

const express =
  (make: typeof express5, mount: "get" | "use"): DashboardApp =>
  (of) => {
    const app = make().set("env", "test");
    const middleware = onExpress.readYourWrites(of.tidemark, { secret });
    if (of.middleware === "before") app.use(middleware);
    const shown = onExpress.dashboard<express5.Request>(
      of.tidemark,
      optionsOf(of, (request) => request.get("key")),
    );
    if (mount === "get") app.get("/tidemark", shown);
    else app.use("/tidemark", shown);
    if (of.middleware === "behind") app.use(middleware);
    return app;
  };

const nodeHttp: DashboardApp = (of) => {
  const middleware = onExpress.readYourWrites(of.tidemark, { secret });
  const shown = onExpress.dashboard(
    of.tidemark,
    optionsOf<IncomingMessage>(of, ({ headers }) => headers.key),
  );
  return (request, response) => {
    if (of.middleware === "before") middleware(request, response, () => shown(request, response));
    else shown(request, response);
  };
};

const koa =
  (mount: "router" | "path"): DashboardApp =>
  (of) => {
    const app = new Koa();
    const middleware = onKoa.readYourWrites(of.tidemark, { secret });
    if (of.middleware === "before") app.use(middleware);
    const shown = onKoa.dashboard<Koa.ExtendableContext>(
      of.tidemark,
      optionsOf(of, (ctx) => ctx.get("key")),
    );
    if (mount === "router") app.use(new Router().get("/tidemark", shown).routes());
    else app.use((ctx, next) => (ctx.path === "/tidemark" ? shown(ctx) : next()));
    if (of.middleware === "behind") app.use(middleware);
    return app.callback();
  };

/** Ready to be asked, by `inject` or through a listener. */
export async function fastifyDashboard(of: DashboardOf, options: object = {}): Promise<FastifyInstance> {
  // Its type depends on the options, which nothing here does.
  const app: FastifyInstance = Reflect.apply(fastify, undefined, [options]);
  const mount = (): unknown =>
    app.get(
      "/tidemark",
      onFastify.dashboard(
        of.tidemark,
        optionsOf<FastifyRequest>(of, ({ headers }) => headers.key),
      ),
    );
  const register = async (): Promise<void> => {
    await app.register(onFastify.readYourWrites, { tidemark: of.tidemark, secret });
  };
  if (of.middleware === "before") await register();
  mount();
  if (of.middleware === "behind") await register();
  await app.ready();
  return app;
}

const web = (of: DashboardOf): ((request: Request) => Promise<Response>) => {
  const shown = onWeb.dashboard(
    of.tidemark,
    optionsOf<Request>(of, ({ headers }) => headers.get("key")),
  );
  return of.middleware === "before" ? onWeb.readYourWrites(of.tidemark, { secret })(shown) : shown;
};

/** By name. A request to `/tidemark` is answered by the dashboard. */
export const dashboards: Readonly<Record<string, DashboardApp>> = {
  ...Object.fromEntries(
    Object.entries(expresses).flatMap(([name, make]) => [
      [name, express(make, "get")],
      [`${name}, by app.use`, express(make, "use")],
    ]),
  ),
  "node:http": nodeHttp,
  "Koa, by a router": koa("router"),
  "Koa, without a router": koa("path"),
  Fastify: async (of) => {
    const app = await fastifyDashboard(of);
    return (request, response) => app.routing(request, response);
  },
  "Web handlers": (of) => getRequestListener(web(of)),
  Hono: (of) => {
    const shown = web(of);
    const app = new Hono().get("/tidemark", (c) => shown(c.req.raw));
    return getRequestListener((request) => app.fetch(request));
  },
};
