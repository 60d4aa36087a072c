/** Requests and responses that are over, while their sessions live on. */
import { once } from "node:events";
import { createServer, type IncomingMessage, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import express from "express";
import Fastify from "fastify";
import Koa from "koa";
import { describe, expect, it } from "vitest";
import { readYourWrites as onExpress } from "../../src/http/frameworks/express.js";
import { readYourWrites as onFastify } from "../../src/http/frameworks/fastify.js";
import { readYourWrites as onKoa } from "../../src/http/frameworks/koa.js";
import type { Session } from "../../src/session/session.js";
import { endWrite, HandMadeSessions } from "../support/stages/hand-made-sessions.js";
import { startWrite } from "../support/stages/open-writes.js";
import { waitUntil } from "../support/wait-until.js";

const secret = "a secret of this test";

setFlagsFromString("--expose-gc");
const collect: () => void = runInNewContext("gc");

/** Handles a request of one framework. */
type Handle = (message: IncomingMessage, session: Session) => void;

const listeners: Record<string, (sessions: HandMadeSessions, handle: Handle) => Promise<RequestListener>> = {
  Express: async (sessions, handle) =>
    express()
      .use(onExpress(sessions, { secret }))
      .use((request, response) => {
        handle(request, request.consistency);
        response.send("a body");
      }),
  Koa: async (sessions, handle) =>
    new Koa()
      .use(onKoa(sessions, { secret }))
      .use((ctx) => {
        handle(ctx.req, ctx.consistency);
        ctx.body = "a body";
      })
      .callback(),
  Fastify: async (sessions, handle) => {
    const app = Fastify();
    await app.register(onFastify, { tidemark: sessions, secret });
    app.get("/", async (request) => {
      handle(request.raw, request.consistency);
      return "a body";
    });
    await app.ready();
    return app.routing;
  },
};

/** Sends one request with `cookie` and returns the cookie of the response. */
async function ask(listener: RequestListener, cookie = ""): Promise<string> {
  const server = createServer(listener).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  try {
    const response = await fetch(`http://127.0.0.1:${port}/`, { headers: { cookie, connection: "close" } });
    await response.text();
    return response.headers.getSetCookie()[0]?.split(";", 1)[0] ?? "";
  } finally {
    server.close();
    await once(server, "close");
  }
}

describe.each(Object.entries(listeners))("on %s", (_framework, listenerOf) => {
  it("a session that outlives its response does not keep the request alive", async () => {
    let request: WeakRef<IncomingMessage> | undefined;
    let kept: Session | undefined;
    const listener = await listenerOf(new HandMadeSessions(), (message, session) => {
      request = new WeakRef(message);
      kept = session;
      startWrite(session);
      endWrite(session, 7);
    });
    await ask(listener);
    await waitUntil(
      () => {
        collect();
        return request !== undefined && request.deref() === undefined;
      },
      { what: "the request was collected" },
    );
    expect(kept?.positions).toHaveLength(1);
  });

  it("a session reads its tokens after the response, if nothing has read them before", async () => {
    let kept: Session | undefined;
    const cookie = await ask(
      await listenerOf(new HandMadeSessions(), (_message, session) => {
        startWrite(session);
        endWrite(session, 7);
      }),
    );
    await ask(
      await listenerOf(new HandMadeSessions(), (_message, session) => {
        kept = session;
      }),
      cookie,
    );
    expect(kept?.pinned).toBe(false);
    expect(kept?.positions).toMatchObject([{ offset: 7 }]);
  });
});
