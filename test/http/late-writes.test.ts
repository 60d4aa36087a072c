/** Writes that begin after their response was sent. */
import compression from "compression";
import express, { type Express, type RequestHandler } from "express";
import session, { MemoryStore } from "express-session";
import supertest from "supertest";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type LateWriteMessage, lateWriteChannel } from "../../src/diagnostics/channels.js";
import { readYourWrites } from "../../src/http/frameworks/express.js";
import { endWrite, HandMadeSessions } from "../support/stages/hand-made-sessions.js";
import { startWrite } from "../support/stages/open-writes.js";
import { waitUntil } from "../support/wait-until.js";

const secret = "a secret of this test";

let heard: LateWriteMessage[];
let warn: ReturnType<typeof vi.spyOn>;

const listener = (message: LateWriteMessage): void => {
  heard.push(message);
};

beforeEach(() => {
  heard = [];
  lateWriteChannel.subscribe(listener);
  warn = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
});

afterEach(() => {
  lateWriteChannel.unsubscribe(listener);
  vi.restoreAllMocks();
});

const writing: RequestHandler = ({ consistency }, _response, next) => {
  startWrite(consistency);
  endWrite(consistency, 7);
  next();
};

function write({ consistency }: express.Request): void {
  startWrite(consistency);
  endWrite(consistency, 8);
}

function appOf(sessions = new HandMadeSessions()): Express {
  return express().set("env", "test").use(readYourWrites(sessions, { secret }));
}

describe("a write", () => {
  const lates: Record<string, RequestHandler> = {
    "after the end": (request, response) => {
      response.send("a body");
      write(request);
    },
    "between two server-sent events": (request, response) => {
      response.type("text/event-stream").write("data: 1\n\n");
      write(request);
      response.end("data: 2\n\n");
    },
    "after flushed headers": (request, response) => {
      response.flushHeaders();
      write(request);
      response.end();
    },
    "some time after the end": (request, response) => {
      response.send("a body");
      setImmediate(() => write(request));
    },
  };

  it.each(Object.entries(lates))(
    "%s is reported each time, and causes one warning for its route",
    async (_when, handler) => {
      const sessions = new HandMadeSessions();
      const app = appOf(sessions).get("/items/:id", handler).get("/others/:id", handler);
      for (const path of ["/items/1", "/items/2", "/others/1"]) await supertest(app).get(path).expect(200);
      await waitUntil(() => heard.length >= 3, { what: "three late writes were reported" });
      const routes = ["GET /items/:id", "GET /items/:id", "GET /others/:id"];
      expect(heard).toEqual(
        sessions.made.map((session, i) => ({
          tidemark: session.statistics.counts.tidemark,
          session,
          route: routes[i],
        })),
      );
      expect(warn.mock.calls).toEqual(
        ["GET /items/:id", "GET /others/:id"].map((route) => [
          expect.stringContaining(route),
          expect.objectContaining({ code: "TIDEMARK_LATE_WRITE" }),
        ]),
      );
    },
  );

  it("before the first bytes is not late, and neither is one that the headers waited for", async () => {
    const app = appOf().use(writing);
    app.get("/awaited", (_request, response) => void response.send("a body"));
    app.get("/unawaited", ({ consistency }, response) => {
      startWrite(consistency);
      response.send("a body");
      setImmediate(() => endWrite(consistency, 9));
    });
    for (const path of ["/awaited", "/unawaited"]) {
      const { headers } = await supertest(app).get(path).expect(200);
      expect(headers["set-cookie"]).toHaveLength(1);
    }
    expect([heard, warn.mock.calls]).toEqual([[], []]);
  });

  it("with which earlier middleware ends the response is not late", async () => {
    const sessions = new HandMadeSessions();
    class Store extends MemoryStore {
      override set(...args: Parameters<MemoryStore["set"]>): void {
        startWrite(sessions.current);
        if (sessions.current) endWrite(sessions.current, 9);
        super.set(...args);
      }
    }
    const set = vi.spyOn(Store.prototype, "set");
    const app = express().use(
      session({ secret, store: new Store(), resave: false, saveUninitialized: true }),
    );
    app.use(readYourWrites(sessions, { secret }), (_request, response) => void response.send("a body"));
    await supertest(app).get("/").expect(200);
    expect(set).toHaveBeenCalledTimes(1);
    expect(heard).toEqual([]);
  });
});

/** Parts of the one warning: its sentence and the detail. */
function warned(): { message: string; detail: string } {
  expect(warn).toHaveBeenCalledTimes(1);
  const [message, options] = warn.mock.calls[0] ?? [];
  return { message: String(message), detail: String(Object(options).detail) };
}

describe("the warning", () => {
  it("names the route, the command, the line that wrote, the remedy and where to read more", async () => {
    const app = appOf().get("/items/:id", ({ consistency }, response) => {
      response.send("a body");
      consistency.beginWrite("set");
    });
    await supertest(app).get("/items/a-secret?token=another").expect(200);
    const { message, detail } = warned();
    expect(message).toBe(
      "GET /items/:id wrote to Redis (SET) after its response headers were sent, so this user's next request may not " +
        "see the write.",
    );
    expect(detail).toMatch(/^The response had ended\. Await the write/);
    expect(detail).toMatch(/\nWritten at .*late-writes\.test\.ts:\d+/);
    expect(detail).toContain("docs/late-writes.md");
    expect(message + detail).not.toMatch(/a-secret|another/);
  });

  it("distinguishes a streaming body from a response that has ended", async () => {
    const app = appOf().get("/", (request, response) => {
      response.write("a ");
      write(request);
      response.end("body");
    });
    await supertest(app).get("/").expect(200);
    expect(warned().detail).toMatch(/^The body was being sent\. .*before the first bytes/);
  });

  it("names compression that is mounted after the session", async () => {
    const sessions = new HandMadeSessions();
    class Store extends MemoryStore {
      override set(...args: Parameters<MemoryStore["set"]>): void {
        startWrite(sessions.current, "set");
        if (sessions.current) endWrite(sessions.current, 9);
        super.set(...args);
      }
    }
    const saving = session({ secret, store: new Store(), resave: false, saveUninitialized: true });
    const answer: RequestHandler = (_request, response) => void response.send("a body ".repeat(1_000));
    const wrong = appOf(sessions).use(saving, compression()).get("/", answer);
    await supertest(wrong).get("/").set("Accept-Encoding", "gzip").expect(200);
    await waitUntil(() => warn.mock.calls.length > 0, { what: "a warning was emitted" });
    expect(warned().detail).toMatch(/mount compression before the session middleware/);
    warn.mockClear();
    const right = appOf(sessions).use(compression(), saving).get("/", answer);
    await supertest(right).get("/").set("Accept-Encoding", "gzip").expect(200);
    expect(warn).not.toHaveBeenCalled();
  });

  it.each<[string, () => unknown]>([
    ["returns call sites", () => []],
    [
      "throws",
      () => {
        throw new Error("no stack");
      },
    ],
  ])("omits the line when Error.prepareStackTrace %s", async (_what, prepareStackTrace) => {
    const { stackTraceLimit } = Error;
    let failed: unknown;
    let limit: unknown;
    const app = appOf().get("/items/:id", ({ consistency }, response) => {
      response.send("a body");
      const before = Error.prepareStackTrace;
      Error.prepareStackTrace = prepareStackTrace;
      try {
        consistency.beginWrite("set");
      } catch (error) {
        failed = error;
      } finally {
        Error.prepareStackTrace = before;
        limit = Error.stackTraceLimit;
        Error.stackTraceLimit = stackTraceLimit;
      }
    });
    await supertest(app).get("/items/1").expect(200);
    expect([failed, limit]).toEqual([undefined, stackTraceLimit]);
    expect(warned().detail).not.toMatch(/Written/);
  });

  it("omits a command with an invalid name", async () => {
    const app = appOf().get("/", ({ consistency }, response) => {
      response.send("a body");
      consistency.beginWrite("set\nforged line");
    });
    await supertest(app).get("/").expect(200);
    expect(warned().message).not.toMatch(/forged/);
  });
});

it("covers at most ten paths without a route, and every route", async () => {
  const app = appOf().get("/items/:id", (request, response) => {
    response.send("a body");
    write(request);
  });
  app.use((request, response) => {
    response.send("a body");
    write(request);
  });
  for (let i = 0; i < 120; i++)
    await supertest(app)
      .get(`/${i}${"x".repeat(1_000)}`)
      .expect(200);
  expect([heard.length, warn.mock.calls.length]).toEqual([120, 10]);
  for (const [message] of warn.mock.calls) expect(String(message).length).toBeLessThan(400);
  await supertest(app).get("/items/1").expect(200);
  expect(warn.mock.calls.at(-1)?.[0]).toMatch(/^GET \/items\/:id /);
});
