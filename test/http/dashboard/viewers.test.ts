/** Who looks at a dashboard: how many, for how long, and how the end comes. */
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { connect } from "node:net";
import { pipeline } from "node:stream";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import Koa from "koa";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { eventBytes, Viewer } from "../../../src/http/dashboard/viewer.js";
import { dashboard } from "../../../src/http/frameworks/express.js";
import { dashboard as onKoa } from "../../../src/http/frameworks/koa.js";
import { dashboard as onWeb } from "../../../src/http/frameworks/web.js";
import { routeChannel, Tidemark, topologyChannel } from "../../../src/index.js";
import { type DashboardApp, dashboards, fastifyDashboard } from "../../support/http/dashboards.js";
import { ask, serve } from "../../support/http/exchange.js";
import { FeedReader } from "../../support/http/feed-reader.js";
import { RedisServer } from "../../support/servers/redis-server.js";
import { waitUntil } from "../../support/wait-until.js";

const path = "/tidemark";
/** Where a response of Node is the only way to send a feed. */
const onNode = Object.entries(dashboards).filter(([name]) => !/Web|Hono/.test(name));
const allow = () => true;

let primary: RedisServer;
let warningListeners: number;

beforeAll(async () => {
  primary = await RedisServer.start();
});

afterAll(() => primary.stop());

beforeEach(() => {
  warningListeners = process.listenerCount("warning");
});

async function openTidemark(): Promise<Tidemark> {
  const tidemark = new Tidemark({ primary: primary.url, replicas: [] });
  await tidemark.ready();
  return tidemark;
}

/** Resolves when nobody looks any more. */
async function nobodyLooks(): Promise<void> {
  await waitUntil(() => !routeChannel.hasSubscribers, { what: "no viewer is left" });
}

describe.each(Object.entries(dashboards))("on %s", (_name, appOf: DashboardApp) => {
  it("a hundred pages that are opened and closed leave nothing behind", async () => {
    await using tidemark = await openTidemark();
    await using app = await serve(await appOf({ tidemark, allow, middleware: "before" }));
    expect(routeChannel.hasSubscribers).toBe(false);
    for (let round = 0; round < 10; round++) {
      const readers = await Promise.all(Array.from({ length: 10 }, () => FeedReader.open(app.port)));
      await Promise.all(readers.map((reader) => reader.next("history")));
      expect(routeChannel.hasSubscribers).toBe(true);
      for (const reader of readers) reader.leave();
      await nobodyLooks();
    }
    expect(process.listenerCount("warning")).toBe(warningListeners + 1);
  });

  it("twenty may look at the same time, and the next one is told why not", async () => {
    await using tidemark = await openTidemark();
    await using app = await serve(await appOf({ tidemark, allow }));
    const readers = await Promise.all(Array.from({ length: 20 }, () => FeedReader.open(app.port)));
    const refused = await ask(app.port, { path, headers: { accept: "text/event-stream" } });
    expect([refused.status, refused.headers["content-type"], refused.body]).toEqual([
      503,
      "text/plain; charset=utf-8",
      "20 pages show this dashboard already. Close one of them, and reload this page.\n",
    ]);
    expect((await ask(app.port, { path })).status).toBe(200);
    readers[0]?.leave();
    let late: FeedReader | undefined;
    await waitUntil(
      async () => {
        late = await FeedReader.open(app.port);
        return true;
      },
      { what: "there is room again" },
    );
    await late?.next("history");
    for (const reader of [...readers, late]) reader?.leave();
    await nobodyLooks();
  });

  it.each(["before", "behind", "none"] as const)(
    "close() ends the feed and does not wait for it, with readYourWrites mounted %s",
    async (middleware) => {
      const tidemark = await openTidemark();
      const server = createServer(await appOf({ tidemark, allow, middleware })).listen(0, "127.0.0.1");
      await once(server, "listening");
      const reader = await FeedReader.open(portOf(server));
      await reader.next("history");
      const serverClosed = once(server, "close");
      server.close();
      // If it waited for the feed, it would wait for ever.
      await tidemark.close({ timeoutMs: Number.POSITIVE_INFINITY });
      await waitUntil(() => reader.isOver, { what: "the feed has ended" });
      await nobodyLooks();
      expect(topologyChannel.hasSubscribers).toBe(false);
      expect(process.listenerCount("warning")).toBe(warningListeners);
      server.closeIdleConnections();
      await serverClosed;
    },
  );

  it("a page that asks after close() is told to ask again", async () => {
    const tidemark = await openTidemark();
    await using app = await serve(await appOf({ tidemark, allow }));
    await tidemark.close({ timeoutMs: 0 });
    const { status, body } = await ask(app.port, { path, headers: { accept: "text/event-stream" } });
    expect([status, body]).toEqual([200, "retry: 1000\n\n"]);
  });
});

it.each(Object.entries(dashboards))(
  "nothing is left of a feed whose reader leaves while `allow` waits, on %s",
  async (_name, appOf) => {
    await using tidemark = await openTidemark();
    let leave: () => void = () => {};
    const left = new Promise<void>((resolve) => {
      leave = resolve;
    });
    let state: "asked" | "allowed" | undefined;
    const slowly = async (): Promise<boolean> => {
      state = "asked";
      await left;
      state = "allowed";
      return true;
    };
    await using app = await serve(await appOf({ tidemark, allow: slowly }));
    const socket = connect(app.port, "127.0.0.1");
    app.server.once("connection", (accepted) => accepted.once("close", leave));
    socket.write(`GET ${path} HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n`);
    await waitUntil(() => state === "asked", { what: "`allow` is asked" });
    socket.destroy();
    await waitUntil(() => state === "allowed", { what: "the answer of `allow` is there" });
    await new Promise((resolve) => setImmediate(resolve));
    await nobodyLooks();
  },
);

it("a feed of a Web handler ends with its request, if the server does not cancel the body", async () => {
  await using tidemark = await openTidemark();
  const controller = new AbortController();
  const request = new Request(`http://localhost${path}`, {
    headers: { accept: "text/event-stream" },
    signal: controller.signal,
  });
  const { body } = await onWeb(tidemark, { allow })(request);
  await body?.getReader().read();
  expect(routeChannel.hasSubscribers).toBe(true);
  controller.abort();
  await nobodyLooks();
});

it("a dashboard goes on when its Tidemark is opened again after close()", async () => {
  const tidemark = await openTidemark();
  await using app = await serve(dashboard(tidemark));
  await tidemark.close();
  await tidemark.redis.connect();
  await using reader = await FeedReader.open(app.port);
  await reader.next("sample");
  await tidemark.close();
});

describe("a page that does not read", () => {
  const big = eventBytes("mark", { at: 0, kind: "warning", text: "x".repeat(100_000) });

  it("misses events above a bound and its stream ends, whatever is sent", async () => {
    let viewer: Viewer | undefined;
    const server = createServer((_request, response) => {
      viewer = new Viewer(big);
      pipeline(viewer, response, () => {});
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const socket = connect(portOf(server), "127.0.0.1").pause();
    socket.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    await waitUntil(() => viewer !== undefined, { what: "the request has arrived" });
    const sentTo = viewer as unknown as Viewer;
    let most = 0;
    await waitUntil(
      () => {
        sentTo.send(big);
        most = Math.max(most, sentTo.readableLength);
        return sentTo.destroyed;
      },
      { what: "the stream is ended" },
    );
    expect(most).toBeLessThan(600_000);
    socket.destroy();
    server.close();
    await once(server, "close");
  });

  it("gets every event again after it has read what was left, also if it was slow before", async () => {
    const viewer = new Viewer(big);
    for (let pause = 0; pause < 3; pause++) {
      for (let i = 0; i < 40; i++) viewer.send(big);
      viewer.resume();
      await waitUntil(() => viewer.readableLength === 0, { what: "everything is read" });
      const texts: string[] = [];
      const listener = (chunk: Buffer): void => {
        texts.push(chunk.toString());
      };
      viewer.on("data", listener);
      for (let i = 0; i < 100; i++) viewer.send(Buffer.from(`event ${i}`));
      expect(texts).toEqual(Array.from({ length: 100 }, (_, i) => `event ${i}`));
      viewer.off("data", listener).pause();
    }
    expect(viewer.destroyed).toBe(false);
    viewer.destroy();
  });

  it.each(onNode)("holds up neither close() nor the end of the server on %s", async (_name, appOf) => {
    const tidemark = await openTidemark();
    const server = createServer(await appOf({ tidemark, allow, middleware: "before" })).listen(
      0,
      "127.0.0.1",
    );
    await once(server, "listening");
    // More than the buffers of a connection hold.
    for (let i = 0; i < 20; i++) publishLong(tidemark);
    const socket = connect(portOf(server), "127.0.0.1").on("error", () => {});
    socket.write(`GET ${path} HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n`);
    await once(socket, "readable");
    const serverClosed = once(server, "close");
    server.close();
    await tidemark.close({ timeoutMs: Number.POSITIVE_INFINITY });
    await serverClosed;
    socket.destroy();
    await nobodyLooks();
  });
});

it.each(onNode)("close() does not wait for a feed whose response cannot end, on %s", async (_name, appOf) => {
  const tidemark = await openTidemark();
  const listener = await appOf({ tidemark, allow, middleware: "before" });
  await using app = await serve((request, response) => {
    response.end = () => response;
    listener(request, response);
  });
  const reader = await FeedReader.open(app.port);
  await reader.next("history");
  await tidemark.close({ timeoutMs: Number.POSITIVE_INFINITY });
  expect(reader.isOver).toBe(false);
  await reader[Symbol.asyncDispose]();
  await nobodyLooks();
});

it.each(onNode)(
  "nothing is left of a feed if something else answers while `allow` waits, on %s",
  async (_name, appOf) => {
    await using tidemark = await openTidemark();
    let answer: () => void = () => {};
    const answered = new Promise<void>((resolve) => {
      answer = resolve;
    });
    let isAllowed = false;
    const slowly = async (): Promise<boolean> => {
      await answered;
      isAllowed = true;
      return true;
    };
    const listener = await appOf({ tidemark, allow: slowly });
    await using app = await serve((request, response) => {
      listener(request, response);
      response.end("too slow", answer);
    });
    const { body } = await ask(app.port, { path, headers: { accept: "text/event-stream" } });
    expect(body).toBe("too slow");
    await waitUntil(() => isAllowed, { what: "the answer of `allow` is there" });
    await new Promise((resolve) => setImmediate(resolve));
    await nobodyLooks();
  },
);

it("a Fastify app closes with open pages, if a hook closes the Tidemark before the server", async () => {
  const tidemark = await openTidemark();
  const app = await fastifyDashboard({ tidemark, middleware: "before" });
  app.addHook("preClose", () => tidemark.close());
  await app.listen({ port: 0, host: "127.0.0.1" });
  const reader = await FeedReader.open(Number(new URL(app.listeningOrigin).port));
  await reader.next("history");
  await app.close();
  await waitUntil(() => reader.isOver, { what: "the feed has ended" });
});

it("a page that is closed is no error of a Koa app", async () => {
  await using tidemark = await openTidemark();
  const errors: unknown[] = [];
  const app = new Koa().use(onKoa(tidemark));
  app.on("error", (error) => errors.push(error));
  await using server = await serve(app.callback());
  const reader = await FeedReader.open(server.port);
  await reader.next("history");
  reader.leave();
  await nobodyLooks();
  await new Promise((resolve) => setImmediate(resolve));
  expect(errors).toEqual([]);
});

it("a closed Tidemark with a dashboard is garbage once the app has let it go", async () => {
  setFlagsFromString("--expose-gc");
  const collect: () => void = runInNewContext("gc");
  const closed = async (): Promise<WeakRef<Tidemark>> => {
    const tidemark = await openTidemark();
    await using app = await serve(dashboard(tidemark));
    const reader = await FeedReader.open(app.port);
    await reader.next("sample");
    await tidemark.close();
    await waitUntil(() => reader.isOver, { what: "the feed has ended" });
    return new WeakRef(tidemark);
  };
  const kept = await closed();
  await waitUntil(
    () => {
      collect();
      return kept.deref() === undefined;
    },
    { what: "the Tidemark was collected" },
  );
});

/** Publishes a message about a server whose reason is a megabyte long. */
function publishLong(tidemark: Tidemark): void {
  const reason = "x".repeat(1_000_000);
  const server = { node: "127.0.0.1:1", role: "replica", state: "silent", eligible: false } as const;
  topologyChannel.publish({ tidemark, change: "state", ...server, reason, cause: undefined });
}

function portOf(server: Server): number {
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("the server has no port");
  return address.port;
}
