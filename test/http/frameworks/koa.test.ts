/** Behaviour of Koa only: its own error handling, replies that bypass it, and HTTP/2. */
import { once } from "node:events";
import { connect, createServer } from "node:http2";
import type { AddressInfo } from "node:net";
import Koa from "koa";
import supertest from "supertest";
import { describe, expect, it } from "vitest";
import { cookie, eventual, readYourWrites, strong } from "../../../src/http/frameworks/koa.js";
import { endWrite, HandMadeSessions } from "../../support/stages/hand-made-sessions.js";
import { startWrite } from "../../support/stages/open-writes.js";

const secret = "a secret of this test";

function appOf(sessions = new HandMadeSessions()): Koa {
  const app = new Koa();
  app.silent = true;
  return app.use(readYourWrites(sessions, { secret }));
}

function write({ consistency }: Koa.DefaultContext): void {
  startWrite(consistency);
  setImmediate(() => endWrite(consistency, 7));
}

it("has levels that name the mistake: no session, an invalid level, a marker that was not called", async () => {
  expect(() => Reflect.apply(strong, undefined, [{}, async () => {}])).toThrow(/Call it: strong\(\)/);
  const failed: unknown[] = [];
  const app = new Koa().use(eventual()).on("error", (error) => failed.push(error));
  await supertest(app.callback()).get("/").expect(500);
  expect(failed).toEqual([
    expect.objectContaining({ message: expect.stringMatching(/eventual\(\) found no session/) }),
  ]);
});

it("sends the token when a handler bypasses Koa", async () => {
  const app = appOf().use((ctx) => {
    ctx.respond = false;
    write(ctx);
    ctx.res.end("a body");
  });
  const { text, headers } = await supertest(app.callback()).get("/");
  expect([text, headers["set-cookie"]?.length]).toEqual(["a body", 1]);
});

it("keeps the headers that an error sets", async () => {
  const app = appOf().use((ctx) => {
    write(ctx);
    ctx.throw(401, { headers: { "WWW-Authenticate": "Basic", "Set-Cookie": "mine=1" } });
  });
  const { headers } = await supertest(app.callback()).get("/").expect(401);
  expect([headers["www-authenticate"], headers["set-cookie"]?.length]).toEqual(["Basic", 2]);
});

it("serves two Tidemarks under different names", async () => {
  const [carts, users] = [new HandMadeSessions(), new HandMadeSessions()];
  const properties = { redis: "users", consistency: "userConsistency" };
  const app = appOf(carts).use(
    readYourWrites(users, { secret, properties, carrier: cookie({ prefix: "user_" }) }),
  );
  app.use(strong()).use((ctx) => {
    write(ctx);
    ctx.body = [
      ctx.consistency === carts.made[0],
      ctx.userConsistency === users.made[0],
      carts.made[0]?.level,
      users.made[0]?.level,
    ];
  });
  const { body, headers } = await supertest(app.callback()).get("/");
  expect(body).toEqual([true, true, "strong", "strong"]);
  expect(headers["set-cookie"]).toEqual([expect.stringMatching(/^tm_/)]);
});

describe("over HTTP/2", () => {
  async function cookiesOf(app: Koa): Promise<{ status: unknown; cookies: readonly string[] }> {
    const server = createServer(app.callback()).listen(0);
    await once(server, "listening");
    const client = connect(`http://localhost:${(server.address() as AddressInfo).port}`);
    const [headers] = await once(client.request({ ":path": "/" }).resume(), "response");
    client.close();
    server.close();
    return { status: headers[":status"], cookies: headers["set-cookie"] ?? [] };
  }

  it("a reply waits for the write and carries its token", async () => {
    const app = appOf().use((ctx) => {
      write(ctx);
      ctx.body = "a body";
    });
    expect(await cookiesOf(app)).toEqual({ status: 200, cookies: [expect.stringMatching(/^tm_/)] });
  });

  it("so does an error, with its own headers", async () => {
    const app = appOf().use((ctx) => {
      write(ctx);
      ctx.throw(409, { headers: { "set-cookie": ["mine=1"] } });
    });
    const { status, cookies } = await cookiesOf(app);
    expect([status, ...cookies]).toEqual([409, "mine=1", expect.stringMatching(/^tm_/)]);
  });

  it("so does an error that earlier middleware answers", async () => {
    const app = new Koa();
    app.use(async (ctx, next) => {
      await next().catch(() => {
        ctx.body = "sorry";
      });
    });
    app.use(readYourWrites(new HandMadeSessions(), { secret })).use((ctx) => {
      write(ctx);
      throw new Error("no");
    });
    expect(await cookiesOf(app)).toEqual({ status: 200, cookies: [expect.stringMatching(/^tm_/)] });
  });
});
