/** The middleware changes Express's requests and responses as little as possible. */
import { createServer, IncomingMessage, ServerResponse } from "node:http";
import express5, { type Express, type Request, type RequestHandler, type Response } from "express";
import { describe, expect, it, vi } from "vitest";
import { cookie, readYourWrites } from "../../../src/http/frameworks/express.js";
import { ask, exchange, serve } from "../../support/http/exchange.js";
import { expresses } from "../../support/http/replies.js";
import { endWrite, HandMadeSessions } from "../../support/stages/hand-made-sessions.js";
import { startWrite } from "../../support/stages/open-writes.js";

const secret = "a secret of this test";
const copies = Object.entries(expresses);

const methods = ["writeHead", "write", "end", "flushHeaders"];

function appOf(make: typeof express5, sessions: HandMadeSessions, ...more: RequestHandler[]): Express {
  const app = make().set("env", "test");
  for (const one of [readYourWrites(sessions, { secret }), ...more]) app.use(one);
  return app;
}

/** Answers at once, and acknowledges its write only after that. */
const writing: RequestHandler = ({ consistency }, response) => {
  startWrite(consistency);
  response.send("a body");
  setImmediate(endWrite, consistency, 7);
};

describe.each(copies)("A request of %s that writes nothing", (_name, express) => {
  it("gets no new property, and neither does its response", async () => {
    const seen: string[][] = [];
    const app = express().set("env", "test");
    const note: RequestHandler = (request, response, next) => {
      seen.push([...Object.getOwnPropertyNames(request), ...Object.getOwnPropertyNames(response)]);
      seen.push([...Reflect.ownKeys(request), ...Reflect.ownKeys(response)].map(String));
      next();
    };
    app.use(note, readYourWrites(new HandMadeSessions(), { secret }), note);
    app.use((request, response) => response.send(String(request.consistency.wrote)));
    expect((await exchange(app)).body).toBe("false");
    expect(seen).toHaveLength(4);
    expect(seen.slice(2)).toEqual(seen.slice(0, 2));
  });

  it("also gives its session to objects that inherit from it", async () => {
    const sessions = new HandMadeSessions();
    const app = appOf(express, sessions, (request, response) => {
      const derived: Request = Object.create(request);
      response.send(String(derived.consistency === sessions.made[0]));
    });
    expect((await exchange(app)).body).toBe("true");
  });

  it("keeps its session when code assigns to the property", async () => {
    const app = appOf(express, new HandMadeSessions(), (request, response) => {
      expect(() => Object.assign(request, { consistency: 1 })).toThrow(TypeError);
      response.send(typeof request.consistency);
    });
    expect((await exchange(app)).body).toBe("object");
  });
});

describe.each(copies)("An app of %s without the middleware, beside one with it", (_name, express) => {
  it("behaves as if the middleware did not exist", async () => {
    await exchange(appOf(express, new HandMadeSessions(), (_request, response) => response.end()));
    const app = express().set("env", "test");
    app.use((request, response) => {
      expect(request.consistency).toBeUndefined();
      Object.assign(request, { consistency: "mine" });
      request.on("mine", () => response.write(String(Object.keys(request).includes("consistency"))));
      request.emit("mine");
      response.end(` ${request.consistency}`);
    });
    expect(await exchange(app)).toMatchObject({ body: "true mine", status: 200 });
  });

  it("uses methods that are added to Node's prototypes later", async () => {
    await exchange(appOf(express, new HandMadeSessions(), (_request, response) => response.end()));
    const spies = [vi.spyOn(ServerResponse.prototype, "end"), vi.spyOn(IncomingMessage.prototype, "emit")];
    await exchange(express().use((_request, response) => response.end("a body")));
    for (const spy of spies) expect(spy).toHaveBeenCalled();
    vi.restoreAllMocks();
  });
});

describe.each(copies)("When %s or other code overrides a property or method", (_name, express) => {
  const hidden: readonly (readonly [string, (request: IncomingMessage, response: Response) => void])[] = [
    ["a property of the request", (request) => Object.assign(request, { consistency: "theirs" })],
    ["an emit of the request", (request) => Object.assign(request, { emit: request.emit })],
    ...methods.map((name): (typeof hidden)[number] => [
      `a ${name} of the response`,
      (_request, response) => Object.assign(response, { [name]: Reflect.get(response, name) }),
    ]),
  ];

  it.each(hidden)("%s, the response still waits for its writes", async (_what, hide) => {
    const sessions = new HandMadeSessions();
    const app = express().set("env", "test");
    app.use((request, response, next) => {
      hide(request, response);
      next();
    });
    app.use(readYourWrites(sessions, { secret }), writing);
    expect((await exchange(app)).headers["set-cookie"]).toHaveLength(1);
  });

  it.each(["request", "response"] as const)(
    "on the app's %s, the response still waits for its writes",
    async (side) => {
      const app = express().set("env", "test");
      Object.assign(app[side], {
        consistency: "theirs",
        end(this: Response, ...args: unknown[]) {
          return Reflect.apply(ServerResponse.prototype.end, this, args);
        },
      });
      app.use(readYourWrites(new HandMadeSessions(), { secret }), writing);
      expect((await exchange(app)).headers["set-cookie"]).toHaveLength(1);
    },
  );
});

describe.each(copies)("A hook of %s that writes just before the headers are sent", (_name, express) => {
  it("delays the headers until its write has ended", async () => {
    const sessions = new HandMadeSessions();
    const hook: RequestHandler = ({ consistency }, response, next) => {
      const { writeHead } = response;
      response.writeHead = (...args: unknown[]) => {
        if (!consistency.wrote) {
          startWrite(consistency);
          setImmediate(endWrite, consistency, 7);
        }
        return Reflect.apply(writeHead, response, args);
      };
      next();
    };
    const app = appOf(express, sessions, hook, (_request, response) => response.send("a body"));
    expect((await exchange(app)).headers["set-cookie"]).toHaveLength(1);
  });
});

describe.each(copies)("A response of %s without a reference to its request", (_name, express) => {
  const told = [undefined, null, "a text", {}, Object.create(null)];

  it.each(told)("but with %j, still carries the token", async (request) => {
    const untell: RequestHandler = (_request, response, next) => {
      Object.assign(response, { req: request });
      next();
    };
    const read = readYourWrites(new HandMadeSessions(), { secret });
    // Express's own methods would ask the request.
    const ending: RequestHandler = ({ consistency }, response) => {
      startWrite(consistency);
      response.end("a body");
      setImmediate(endWrite, consistency, 7);
    };
    const [before, behind] = [
      [untell, read],
      [read, untell],
    ].map((handlers) => {
      return express()
        .set("env", "test")
        .use(...handlers, ending);
    });
    for (const app of [before, behind]) {
      if (app === undefined) throw new Error("no app");
      expect(await exchange(app)).toMatchObject({ status: 200, body: "a body" });
      expect((await exchange(app)).headers["set-cookie"]).toHaveLength(1);
    }
  });

  it.each(told)("but with %j, still calls its carriers", async (request) => {
    const carrier = { read: () => [], write: vi.fn() };
    const app = express().set("env", "test");
    app.use((_request, response, next) => {
      Object.assign(response, { req: request });
      next();
    });
    app.use(readYourWrites(new HandMadeSessions(), { secret, carrier }));
    app.use((_request, response) => response.end("a body"));
    expect(await exchange(app)).toMatchObject({ status: 200, body: "a body" });
    expect(carrier.write).toHaveBeenCalledOnce();
  });

  it("but with another request, is answered by itself", async () => {
    let first: { request: Request; response: Response } | undefined;
    const app = appOf(express, new HandMadeSessions(), (request, response) => {
      if (first === undefined) {
        first = { request, response };
        return;
      }
      Object.assign(response, { req: first.request });
      response.send("the second body");
      startWrite(first.request.consistency);
      first.response.send("the first body");
      setImmediate(endWrite, first.request.consistency, 7);
    });
    await using server = await serve(app);
    const begun = ask(server.port);
    await vi.waitUntil(() => first !== undefined);
    expect((await ask(server.port)).body).toBe("the second body");
    const { body, headers } = await begun;
    expect(body).toBe("the first body");
    expect(headers["set-cookie"]).toHaveLength(1);
  });
});

describe("Prototypes that are not Express's", () => {
  it("stay unchanged", async () => {
    class Own extends ServerResponse {}
    const middleware = readYourWrites(new HandMadeSessions(), { secret });
    const server = createServer({ ServerResponse: Own }, (request, response) => {
      middleware(request, response, () => response.end());
    });
    await using listening = await serve(server);
    await ask(listening.port);
    expect(Object.getPrototypeOf(Own.prototype)).toBe(ServerResponse.prototype);
  });

  it("have property names that are reserved", async () => {
    for (const redis of ["resume", "headers", "constructor"]) {
      const options = { secret, properties: { redis } };
      const mounting = (): unknown => readYourWrites(new HandMadeSessions(), options);
      expect(mounting).toThrow(
        `properties: got "${redis}", which every request of Node.js already has. Choose another property name`,
      );
    }
  });
});

describe("Two Tidemarks on Express", () => {
  it("both have their own listeners and names", async () => {
    const [carts, logins] = [new HandMadeSessions(), new HandMadeSessions()];
    const named = { properties: { redis: "loginRedis", consistency: "loginSession" } };
    const carrier = cookie({ prefix: "login_" });
    const seen: unknown[] = [];
    const app = appOf(
      express5,
      carts,
      readYourWrites(logins, { secret, carrier, ...named }),
      (request, response) => {
        request.on("mine", () => seen.push(carts.current, logins.current));
        carts.run(carts.session({}), () => logins.run(logins.session({}), () => request.emit("mine")));
        seen.push(request.consistency, Reflect.get(request, "loginSession"));
        for (const { made } of [carts, logins]) startWrite(made[0]);
        response.send("a body");
        setImmediate(() => {
          for (const { made } of [carts, logins]) if (made[0]) endWrite(made[0], 7);
        });
      },
    );
    const { headers } = await exchange(app);
    expect(seen).toEqual([carts.made[0], logins.made[0], carts.made[0], logins.made[0]]);
    expect(headers["set-cookie"]).toHaveLength(2);
  });
});
