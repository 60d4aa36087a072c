/** What Fastify alone does: scopes, routes with a level in their config, plugins that write when a reply is sent, HTTP/2. */
import { AsyncResource } from "node:async_hooks";
import { once } from "node:events";
import { connect } from "node:http2";
import type { AddressInfo } from "node:net";
import fastifyCookie from "@fastify/cookie";
import fastifySession from "@fastify/session";
import fastify, { type FastifyInstance } from "fastify";
import { describe, expect, it } from "vitest";
import { cookie, eventual, readYourWrites, strong } from "../src/http/fastify.js";
import type { Session } from "../src/session.js";
import { endWrite, HandMadeSessions } from "./support/hand-made-sessions.js";

const secret = "a secret of this test";
const cookieSecret = "a secret of this test, made long enough";

/** What only JavaScript can pass. */
const untyped = (json: string) => JSON.parse(json);

function write({ consistency }: { consistency: Session }): void {
  consistency.writeStarted();
  setImmediate(() => endWrite(consistency, 7));
}

/** What is kept is written as a Redis store does it: by the session of the request that saves. */
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
    ["no Tidemark", { secret }, /^tidemark: got undefined; call app\.register/],
    ["no secret", { tidemark: new HandMadeSessions() }, /^secret: got undefined/],
  ])("rejects %s", async (_what, options, message) => {
    const app = fastify();
    await expect(async () => Reflect.apply(app.register, app, [readYourWrites, options])).rejects.toThrow(
      message,
    );
  });

  it("serves only the scope it is registered in", async () => {
    const app = fastify();
    app.register(async (scope) => {
      await scope.register(readYourWrites, { tidemark: new HandMadeSessions(), secret });
      scope.get("/in", async (request) => ({ has: request.consistency !== undefined }));
    });
    app.get("/out", async (request) => ({ has: "consistency" in request }));
    expect((await app.inject("/in")).json()).toEqual({ has: true });
    expect((await app.inject("/out")).json()).toEqual({ has: false });
  });

  it("serves two Tidemarks under names of their own, and refuses names that are taken", async () => {
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

it("keeps the context where a parser of bodies leaves it", async () => {
  const sessions = new HandMadeSessions();
  const app = fastify();
  await app.register(readYourWrites, { tidemark: sessions, secret });
  const elsewhere = new AsyncResource("a pool's");
  app.addContentTypeParser("text/plain", (_request, payload, done) => {
    payload.resume().on("end", () => elsewhere.runInAsyncScope(() => done(null, "")));
  });
  app.post("/", async ({ consistency }) => ({ kept: sessions.current === consistency }));
  const headers = { "Content-Type": "text/plain" };
  const answered = await app.inject({ method: "POST", url: "/", headers, payload: "a" });
  expect(answered.json()).toEqual({ kept: true });
});

describe("the level of a route's config", () => {
  it("counts more than hooks, whenever they are called, and refuses what is none at once", async () => {
    const app = fastify();
    await app.register(readYourWrites, { tidemark: new HandMadeSessions(), secret, level: "eventual" });
    app.addHook("preHandler", eventual());
    app.get("/config", { config: { consistency: "strong" } }, async ({ consistency }) => consistency.level);
    app.get("/hook", { preHandler: strong() }, async ({ consistency }) => consistency.level);
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
      /^config\.consistency: got 'fast'/,
    );
    for (const path of ["/config", "/hook", "/function"])
      expect((await app.inject(path)).body).toBe("strong");
    expect((await app.inject({ method: "POST", url: "/function" })).statusCode).toBe(500);
  });
});

describe("a head waits for the write and brings its token", () => {
  it("where the reply is hijacked", async () => {
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

  it("where there is no route", async () => {
    const app = fastify();
    await app.register(readYourWrites, { tidemark: new HandMadeSessions(), secret });
    app.setNotFoundHandler(async (request, reply) => {
      write(request);
      return reply.code(404).send("none");
    });
    const { statusCode, cookies } = await app.inject("/");
    expect([statusCode, cookies.length]).toEqual([404, 1]);
  });

  it.each([false, true])(
    "where @fastify/session saves when the reply is sent; over HTTP/2: %s",
    async (http2) => {
      const sessions = new HandMadeSessions();
      const app: FastifyInstance = Reflect.apply(fastify, undefined, [{ http2 }]);
      await withSessions(app, sessions);
      app.get("/", async (request) => {
        Reflect.set(request.session, "user", "ada");
        return "a body";
      });
      await app.listen({ port: 0 });
      const { port } = app.server.address() as AddressInfo;
      const names = http2 ? await namesOver2(port) : await namesOf(port);
      await app.close();
      expect(names.sort()).toEqual(["sessionId", "tm_"]);
    },
  );
});

const nameOf = (line: string) => line.replace(/=.*/, "").replace(/^(tm_).*/, "$1");

async function namesOf(port: number): Promise<string[]> {
  const { headers } = await fetch(`http://localhost:${port}/`);
  return headers.getSetCookie().map(nameOf);
}

async function namesOver2(port: number): Promise<string[]> {
  const client = connect(`http://localhost:${port}`);
  const [headers]: { "set-cookie"?: string[] }[] = await once(
    client.request({ ":path": "/" }).resume(),
    "response",
  );
  client.destroy();
  return (headers?.["set-cookie"] ?? []).map(nameOf);
}
