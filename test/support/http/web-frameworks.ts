/** The app on what answers a Web `Request`. */
import { Readable } from "node:stream";
import { getRequestListener } from "@hono/node-server";
import { Hono } from "hono";
import { HTTPException } from "hono/http-exception";
import { ReplicasBehindError } from "../../../src/errors/errors.js";
import * as onWeb from "../../../src/http/frameworks/web.js";
import {
  cachingOf,
  chunked,
  type Framework,
  queryOf,
  Refusal,
  type Reply,
  secret,
  type Turn,
} from "./framework-app.js";

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
export const web: Framework = (
  source,
  { carrier, monotonicReads, serverTiming, rollout, levels = {}, handler, failed },
) => {
  const withConsistency = onWeb.readYourWrites(source, {
    secret,
    carrier,
    monotonicReads,
    serverTiming,
    rollout,
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

export const hono =
  (around: "app" | "routes"): Framework =>
  (source, { carrier, monotonicReads, serverTiming, rollout, levels = {}, handler, failed }) => {
    const withConsistency = onWeb.readYourWrites(source, {
      secret,
      carrier,
      monotonicReads,
      serverTiming,
      rollout,
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
