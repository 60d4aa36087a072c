/** The middleware for Express, Connect and plain `node:http`, with sessions that need no Redis. */
import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { connect, createServer } from "node:http2";
import { text } from "node:stream/consumers";
import express, { type Express } from "express";
import supertest from "supertest";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { Carrier } from "../../../src/http/carriers/carrier.js";
import { cookie, readYourWrites } from "../../../src/http/frameworks/express.js";
import { Keyring } from "../../../src/http/keyring.js";
import type { SessionSource } from "../../../src/http/request-session.js";
import { exchange } from "../../support/http/exchange.js";
import { hosts } from "../../support/http/replies.js";
import { endWrite, HandMadeSessions, tokenAt } from "../../support/stages/hand-made-sessions.js";
import { startWrite } from "../../support/stages/open-writes.js";

const secret = "a secret of this test";
const sealed = new Keyring(secret).seal(tokenAt(7));
const carried = `tm_${sealed.slice(-12)}=${sealed}`;

/** Values that only JavaScript can pass. */
const untyped = (json: string) => JSON.parse(json);

function appOf(sessions: SessionSource, options: Parameters<typeof readYourWrites>[1] = { secret }): Express {
  return express().set("env", "test").use(readYourWrites(sessions, options));
}

afterEach(() => {
  vi.restoreAllMocks();
});

describe("readYourWrites(tidemark, options)", () => {
  it.each([
    [
      "no secret",
      () => readYourWrites(new HandMadeSessions(), { secret: process.env.NOT_SET }),
      /^secret: got undefined\. .*process\.env/,
    ],
    [
      "no options",
      () => Reflect.apply(readYourWrites, undefined, [new HandMadeSessions()]),
      /^secret: got undefined/,
    ],
    [
      "a short secret",
      () => readYourWrites(new HandMadeSessions(), { secret: "short" }),
      /^secret: got a string of 5/,
    ],
    [
      "an empty list of secrets",
      () => readYourWrites(new HandMadeSessions(), { secret: [] }),
      /^secret: got an empty array/,
    ],
    [
      "no Tidemark",
      () => Reflect.apply(readYourWrites, undefined, [{ secret }]),
      /^tidemark: got .*new Tidemark/,
    ],
    [
      "an invalid level",
      () => readYourWrites(new HandMadeSessions(), { secret, level: untyped('"fast"') }),
      /^level: got a string/,
    ],
    [
      "a carrier that was not called",
      () => Reflect.apply(readYourWrites, undefined, [new HandMadeSessions(), { secret, carrier: cookie }]),
      /^carrier: got .*cookie/,
    ],
    [
      "no carrier at all",
      () => readYourWrites(new HandMadeSessions(), { secret, carrier: [] }),
      /^carrier: got an empty array/,
    ],
  ])("throws at once for %s", (_what, act, message) => {
    expect(act).toThrow(
      expect.objectContaining({ code: "TIDEMARK_INVALID_OPTION", message: expect.stringMatching(message) }),
    );
  });

  it("needs no secret when the token stays on the server", () => {
    const carrier: Carrier = { serverSide: true, read: () => [], write: () => {} };
    expect(() => readYourWrites(new HandMadeSessions(), { carrier })).not.toThrow();
  });

  it.each(Object.entries(hosts))(
    "passes on a request with its session as the current one: %s",
    async (_name, host) => {
      const sessions = new HandMadeSessions();
      const middleware = readYourWrites(sessions, { secret, level: "strong" });
      const { body } = await exchange(
        host([middleware], (request, response) => {
          const session = "consistency" in request ? request.consistency : undefined;
          response.end(
            String(session !== undefined && session === sessions.current && session === sessions.made[0]),
          );
        }),
      );
      expect(body).toBe("true");
      expect(sessions.made.map(({ level }) => level)).toEqual(["strong"]);
    },
  );

  it("accepts a function as the level, and passes its errors to the error handler", async () => {
    const level = ({ url }: IncomingMessage) => untyped(url === "/feed" ? '{"maxStalenessMs":5}' : '"fast"');
    const app = appOf(new HandMadeSessions(), { secret, level });
    app.use(({ consistency }, response) => void response.json(consistency.level));
    await supertest(app).get("/feed").expect(200, { maxStalenessMs: 5 });
    await supertest(app)
      .get("/")
      .expect(500, /level: got a string/);
    const next = vi.fn();
    await exchange((request, response) => {
      readYourWrites(new HandMadeSessions(), { secret, level })(request, response, next);
      response.end();
    });
    expect(next.mock.calls).toEqual([[expect.objectContaining({ code: "TIDEMARK_INVALID_OPTION" })]]);
  });

  it("has no effect when it is mounted twice for one Tidemark, and works separately for another", async () => {
    const [sessions, others] = [new HandMadeSessions(), new HandMadeSessions()];
    const app = appOf(sessions).use(readYourWrites(sessions, { secret }));
    app.use("/other", readYourWrites(others, { secret, carrier: cookie({ prefix: "other_" }) }));
    app.use(({ consistency }, response) => {
      startWrite(consistency);
      endWrite(consistency, 7);
      response.send("a body");
    });
    const { headers } = await supertest(app).get("/");
    expect([sessions.made.length, headers["set-cookie"]?.length]).toEqual([1, 1]);
    const other = await supertest(app).get("/other");
    expect(others.made).toHaveLength(1);
    expect(other.headers["set-cookie"]).toEqual([expect.stringMatching(/^other_/)]);
  });

  it("sends the token with error responses too", async () => {
    const app = appOf(new HandMadeSessions()).use(({ consistency }) => {
      startWrite(consistency);
      endWrite(consistency, 7);
      throw Object.assign(new Error("no"), { status: 409 });
    });
    const { status, headers } = await supertest(app).get("/");
    expect([status, headers["set-cookie"]?.length]).toEqual([409, 1]);
  });

  it("accepts several carriers, and only warns, once, when one of them fails", async () => {
    const warn = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    const fail = () => {
      throw new Error("out of order");
    };
    const app = appOf(new HandMadeSessions(), { secret, carrier: [{ read: fail, write: fail }, cookie()] });
    app.use(({ consistency }, response) => {
      startWrite(consistency);
      endWrite(consistency, 9);
      response.json(consistency.positions);
    });
    for (let n = 0; n < 2; n += 1) {
      const { status, body, headers } = await supertest(app).get("/").set("Cookie", carried);
      expect([status, body[0].offset, headers["set-cookie"]?.length]).toEqual([200, 9, 2]);
    }
    expect(warn.mock.calls).toEqual([
      [expect.any(String), expect.objectContaining({ code: "TIDEMARK_CARRIER_FAILED" })],
    ]);
  });

  it("calls the listeners of a request within its session, too", async () => {
    const sessions = new HandMadeSessions();
    const app = appOf(sessions).post("/", (request, response) => {
      const current: boolean[] = [];
      request.on("data", () => current.push(sessions.current === request.consistency));
      request.on("end", () => response.json([...current, sessions.current === request.consistency]));
    });
    await supertest(app).post("/").type("text/plain").send("a body").expect(200, [true, true]);
  });

  it("refuses an HTTP/2 request, whose headers it cannot defer", async () => {
    const middleware = readYourWrites(new HandMadeSessions(), { secret });
    const server = createServer((request, response) => {
      Reflect.apply(middleware, undefined, [
        request,
        response,
        (error: unknown) => response.end(String(error)),
      ]);
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const client = connect(`http://127.0.0.1:${Object(server.address()).port}`);
    expect(await text(client.request({ ":path": "/" }))).toMatch(/HTTP\/2.*proxy/);
    client.close();
    server.close();
  });

  it("marks its cookies Secure behind a proxy that Express trusts", async () => {
    const app = appOf(new HandMadeSessions())
      .set("trust proxy", true)
      .use(({ consistency }, response) => {
        startWrite(consistency);
        endWrite(consistency, 7);
        response.sendStatus(204);
      });
    const cookieOf = async (protocol: string) =>
      (await supertest(app).get("/").set("X-Forwarded-Proto", protocol)).headers["set-cookie"]?.[0];
    expect(await cookieOf("https")).toMatch(/; Secure$/);
    expect(await cookieOf("http")).not.toMatch(/Secure/);
  });

  it("warns and still answers when other code has sent the headers", async () => {
    const warn = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    let flush = () => {};
    const app = express().use((_request, response, next) => {
      flush = response.flushHeaders.bind(response);
      next();
    });
    app.use(readYourWrites(new HandMadeSessions(), { secret })).use(({ consistency }, response) => {
      flush();
      startWrite(consistency);
      endWrite(consistency, 7);
      response.end("a body");
    });
    await supertest(app).get("/").expect(200, "a body");
    expect(warn).toHaveBeenCalledTimes(1);
  });
});
