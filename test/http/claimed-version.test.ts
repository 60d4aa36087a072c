/** Requests over HTTP/1 that claim another version: the claimed version changes nothing. */
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import fastify from "fastify";
import Koa from "koa";
import { describe, expect, it } from "vitest";
import * as onFastify from "../../src/http/frameworks/fastify.js";
import * as onKoa from "../../src/http/frameworks/koa.js";
import type { Session } from "../../src/session/session.js";
import { listening, type Opener, openDoor } from "../support/http/door.js";
import { secret } from "../support/http/framework-app.js";
import { endWrite, HandMadeSessions } from "../support/stages/hand-made-sessions.js";
import { startWrite } from "../support/stages/open-writes.js";

function write(session: Session): void {
  startWrite(session);
  setImmediate(() => endWrite(session, 7));
}

/** Apps that answer past their frameworks. */
const raw: Readonly<Record<string, Opener>> = {
  "Koa without its own response": async (tidemark) => {
    const app = new Koa().use(onKoa.readYourWrites(tidemark, { secret }));
    app.use((ctx) => {
      write(ctx.consistency);
      ctx.respond = false;
      ctx.res.writeHead(200).end("a body");
    });
    return openDoor(app.callback());
  },
  "Fastify, hijacked": async (tidemark) => {
    const app = fastify();
    await app.register(onFastify.readYourWrites, { tidemark, secret });
    app.get("/", (request, reply) => {
      write(request.consistency);
      reply.hijack();
      reply.raw.end("a body");
    });
    await app.ready();
    return openDoor((request, response) => app.routing(request, response));
  },
  "Fastify's raw response": async (tidemark) => {
    const app = fastify();
    await app.register(onFastify.readYourWrites, { tidemark, secret });
    app.get("/", (request, reply) => {
      write(request.consistency);
      reply.raw.writeHead(200, { "X-A": "1" }).end("a body");
      return reply;
    });
    await app.ready();
    return openDoor((request, response) => app.routing(request, response));
  },
};

describe.each(Object.entries({ ...listening, ...raw }))("on %s", (_name, open) => {
  it.each(["1.0", "1.1", "2.0", "0.9"])(
    "the response to a request of HTTP/%s carries its token",
    async (version) => {
      await using door = await open(new HandMadeSessions(), {
        handler: ({ session }) => {
          write(session);
          return { body: "a body" };
        },
      });
      const address = door.server?.address();
      if (typeof address !== "object" || address === null) throw new Error("the server has no port");
      const client = connect(address.port, "127.0.0.1");
      client.write(`GET / HTTP/${version}\r\nHost: a\r\nConnection: close\r\n\r\n`);
      const answer = await text(client);
      expect(answer).toMatch(/^HTTP\/1.1 200 OK\r\n/);
      expect(answer).toMatch(/\r\nset-cookie: tm_/i);
      expect(answer).toContain("a body");
    },
  );
});
