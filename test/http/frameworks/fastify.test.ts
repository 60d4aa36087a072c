/** Behaviour of Fastify only: scopes, routes with a level in their config, plugins that write on send, HTTP/2. */
import { AsyncResource } from "node:async_hooks";
import { once } from "node:events";
import { connect } from "node:http2";
import type { AddressInfo } from "node:net";
import fastifyCookie from "@fastify/cookie";
import fastifySession from "@fastify/session";
import fastify, { type FastifyInstance } from "fastify";
import { describe, expect, it } from "vitest";
import {
  consistency,
  cookie,
  eventual,
  readYourWrites,
  strong,
} from "../../../src/http/frameworks/fastify.js";
import type { Session } from "../../../src/session/session.js";
import { endWrite, HandMadeSessions } from "../../support/stages/hand-made-sessions.js";
import { startWrite } from "../../support/stages/open-writes.js";

const secret = "a secret of this test";
const cookieSecret = "a secret of this test, made long enough";

/** Values that only JavaScript can pass. */
const untyped = (json: string) => JSON.parse(json);

function write({ consistency }: { consistency: Session }): void {
  startWrite(consistency);
  setImmediate(() => endWrite(consistency, 7));
}

/** The store writes as a Redis store does: in the session of the request that saves. */
function storeOf(sessions: HandMadeSessions): NonNullable<Parameters<typeof fastifySession>[1]>["store"] {
  return {
    get: (_id, done) => done(null, null),
    destroy: (_id, done) => done(),
    set: (_id, _data, done) => {
      if (sessions.current !== undefined) write({ consistency: sessions.current });
      done();
    },
  };
}

async function withSessions(app: FastifyInstance, sessions: HandMadeSessions): Promise<void> {
  await app.register(readYourWrites, { tidemark: sessions, secret });
  await app.register(fastifyCookie);
  const options = { secret: cookieSecret, cookie: { secure: false }, store: storeOf(sessions) };
  await app.register(fastifySession, options);
}

describe("app.register(readYourWrites, options)", () => {
  it.each([
    ["no Tidemark", { secret }, /^tidemark: got undefined\. Call app\.register/],
    ["no secret", { tidemark: new HandMadeSessions() }, /^secret: got undefined/],
  ])("rejects %s", async (_what, options, message) => {
    const app = fastify();
    await expect(async () => Reflect.apply(app.register, app, [readYourWrites, options])).rejects.toThrow(
      message,
    );
  });

  it("serves only its own scope", async () => {
    const app = fastify();
    app.register(async (scope) => {
      await scope.register(readYourWrites, { tidemark: new HandMadeSessions(), secret });
      scope.get("/in", async (request) => ({ has: request.consistency !== undefined }));
    });
    app.get("/out", async (request) => ({ has: "consistency" in request }));
    expect((await app.inject("/in")).json()).toEqual({ has: true });
    expect((await app.inject("/out")).json()).toEqual({ has: false });
  });

  it("serves two Tidemarks under different names, and refuses names that are taken", async () => {
    const [carts, users] = [new HandMadeSessions(), new HandMadeSessions()];
    const app = fastify();
    await app.register(readYourWrites, { tidemark: carts, secret });
    await expect(async () => app.register(readYourWrites, { tidemark: users, secret })).rejects.toThrow(
      /taken/,
    );
    const second = fastify();
    await second.register(readYourWrites, { tidemark: carts, secret });
    const properties = { redis: "users", consistency: "userConsistency" };
    await second.register(readYourWrites, {
      tidemark: users,
      secret,
      properties,
      carrier: cookie({ prefix: "user_" }),
    });
    second.get("/", { config: { consistency: "strong" } }, async (request) => {
      write(request);
      return { level: users.made[0]?.level, own: Reflect.get(request, "userConsistency") === users.made[0] };
    });
    const answered = await second.inject("/");
    expect(answered.json()).toEqual({ level: "strong", own: true });
    expect(answered.cookies).toEqual([expect.objectContaining({ name: expect.stringMatching(/^tm_/) })]);
  });
});

it("keeps the context when hooks and handlers lose it, as callbacks of a pool do", async () => {
  const sessions = new HandMadeSessions();
  const app = fastify();
  await app.register(readYourWrites, { tidemark: sessions, secret });
  const [pool, other] = [new AsyncResource("a pool's"), new AsyncResource("another pool's")];
  const kept: boolean[] = [];
  const see = ({ consistency }: { consistency: Session }) => kept.push(sessions.current === consistency);
  app.addHook("onRequest", (_request, _reply, done) => pool.runInAsyncScope(() => done()));
  app.addHook("onSend", async (request) => void see(request));
  app.get("/", (request, reply) => {
    see(request);
    other.runInAsyncScope(() => reply.send("a body"));
  });
  expect((await app.inject("/")).body).toBe("a body");
  expect(kept).toEqual([true, true]);
});

describe("the level of a route's config", () => {
  it("overrides hooks, whenever they are called, and an invalid level is refused immediately", async () => {
    const app = fastify();
    await app.register(readYourWrites, { tidemark: new HandMadeSessions(), secret, level: "eventual" });
    app.addHook("preHandler", eventual());
    app.get("/config", { config: { consistency: "strong" } }, async ({ consistency }) => consistency.level);
    app.get("/hook", { preHandler: strong() }, async ({ consistency }) => consistency.level);
    app.get("/by-level", { preHandler: consistency("strong") }, async (request) => request.consistency.level);
    app.get(
      "/by-request",
      { preHandler: consistency(({ method }) => (method === "GET" ? "strong" : "eventual")) },
      async (request) => request.consistency.level,
    );
    const byMethod = {
      config: {
        consistency: ({ method }: { method: string }) => untyped(`"${method === "GET" ? "strong" : "fast"}"`),
      },
    };
    app.route({
      method: ["GET", "POST"],
      url: "/function",
      ...byMethod,
      handler: async ({ consistency }) => consistency.level,
    });
    expect(() => app.get("/bad", { config: { consistency: untyped('"fast"') } }, async () => "")).toThrow(
      /^config\.consistency: got a string/,
    );
    for (const path of ["/config", "/hook", "/by-level", "/by-request", "/function"])
      expect((await app.inject(path)).body).toBe("strong");
    expect((await app.inject({ method: "POST", url: "/function" })).statusCode).toBe(500);
  });
});

describe("the headers wait for the write and carry its token", () => {
  it("when the reply is hijacked", async () => {
    const app = fastify();
    await app.register(readYourWrites, { tidemark: new HandMadeSessions(), secret });
    app.get("/", (request, reply) => {
      reply.hijack();
      write(request);
      reply.raw.write("a ");
      reply.raw.end("body");
    });
    const { body, cookies } = await app.inject("/");
    expect([body, cookies.length]).toEqual(["a body", 1]);
  });

  it.each([false, true])("when there is no route; over HTTP/2: %s", async (http2) => {
    const app = appOver(http2);
    await app.register(readYourWrites, { tidemark: new HandMadeSessions(), secret });
    app.setNotFoundHandler(async (request, reply) => {
      write(request);
      return reply.code(404).send("none");
    });
    expect(await namesFrom(app, http2)).toEqual(["tm_"]);
  });

  it.each([false, true])(
    "when @fastify/session saves while the reply is sent; over HTTP/2: %s",
    async (http2) => {
      const sessions = new HandMadeSessions();
      const app = appOver(http2);
      await withSessions(app, sessions);
      app.get("/", async (request) => {
        Reflect.set(request.session, "user", "ada");
        write(request);
        return "a body";
      });
      expect((await namesFrom(app, http2)).sort()).toEqual(["sessionId", "tm_"]);
    },
  );
});

function appOver(http2: boolean): FastifyInstance {
  return Reflect.apply(fastify, undefined, [{ http2 }]);
}

/** The names of all cookies that the app sets when it is asked once, for tokens only how they begin. */
async function namesFrom(app: FastifyInstance, http2: boolean): Promise<string[]> {
  await app.listen({ port: 0 });
  const { port } = app.server.address() as AddressInfo;
  const lines = http2
    ? await cookiesOver2(port)
    : (await fetch(`http://localhost:${port}/`)).headers.getSetCookie();
  await app.close();
  return lines.map((line) => line.replace(/=.*/, "").replace(/^(tm_).*/, "$1"));
}

async function cookiesOver2(port: number): Promise<string[]> {
  const client = connect(`http://localhost:${port}`);
  const asked = client.request({ ":path": "/" }).resume();
  const [headers]: { "set-cookie"?: string[] }[] = await once(asked, "response");
  client.destroy();
  return headers?.["set-cookie"] ?? [];
}
