/** The end of an app: a Tidemark that is closed lets work in progress finish. */
import { once } from "node:events";
import { Agent, get, type IncomingMessage, type RequestListener, type Server } from "node:http";
import { connect } from "node:net";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { readYourWrites } from "../../src/http/frameworks/express.js";
import { ClosedError, InvalidOptionError, type Tidemark } from "../../src/index.js";
import { type Door, listening } from "../support/http/door.js";
import { serve } from "../support/http/exchange.js";
import type { Reply, Turn } from "../support/http/framework-app.js";
import { TcpProxy } from "../support/proxies/tcp-proxy.js";
import { blockedClients } from "../support/servers/blocked-clients.js";
import { type ReplicationGroup, startReplicationGroup } from "../support/servers/replication-group.js";
import { openTidemark } from "../support/stages/open-tidemark.js";
import { waitUntil } from "../support/wait-until.js";

let group: ReplicationGroup;
let proxy: TcpProxy;
let tidemark: Tidemark;

beforeAll(async () => {
  group = await startReplicationGroup({ replicas: 1 });
});

afterAll(() => group.stop());

beforeEach(async () => {
  proxy = await TcpProxy.start({ targetPort: group.primary.port });
  tidemark = openTidemark(group, { primary: `redis://127.0.0.1:${proxy.port}` });
  await tidemark.ready();
});

afterEach(async () => {
  await tidemark.close({ timeoutMs: 0 });
  await proxy.stop();
});

/** A gate that holds handlers back. */
class Gate {
  begun = 0;
  open: () => void = () => {};
  readonly opened = new Promise<void>((resolve) => {
    this.open = resolve;
  });

  /** Counts a handler in, and waits. */
  pass(): Promise<void> {
    this.begun += 1;
    return this.opened;
  }
}

function portOf({ server }: Door): number {
  const address = server?.address();
  if (typeof address !== "object" || address === null) throw new Error("the server has no port");
  return address.port;
}

async function ask(port: number, agent?: Agent, path = "/"): Promise<IncomingMessage & { body: string }> {
  const [response] = await once(get({ port, path, agent }), "response");
  response.body = "";
  for await (const chunk of response) response.body += chunk;
  return response;
}

/** Writes and reads after a gate, like a request that has not called Redis yet when the app begins to close. */
const slowly =
  (gate: Gate) =>
  async ({ session: { redis }, query }: Turn): Promise<Reply> => {
    if (query.has("quick")) return { body: "quick" };
    await gate.pass();
    const key = `user:${query.get("user")}`;
    await redis.set(key, "1");
    const value = await redis.get(key);
    await redis.multi().incr(key).exec();
    return { body: `${value} ${await redis.get(key)}` };
  };

describe.each(Object.entries(listening))("close() with requests in flight, on %s", (name, open) => {
  const isWeb = /Web|Hono/.test(name);

  it("lets them finish when it is called together with the server's close()", async () => {
    const gate = new Gate();
    await using door = await open(tidemark, { handler: slowly(gate) });
    const agent = new Agent({ keepAlive: true });
    const port = portOf(door);
    await ask(port, agent, "/?quick");
    const asked = [1, 2, 3, 4].map((user) => ask(port, agent, `/?user=${user}`));
    await waitUntil(() => gate.begun === 4, { what: "all handlers have begun" });
    const serverClosed = once(door.server as Server, "close");
    door.server?.close();
    let isClosed = false;
    const closed = tidemark.close().then(() => {
      isClosed = true;
    });
    await tidemark.redis.ping();
    expect(isClosed).toBe(false);
    gate.open();
    const answers = await Promise.all(asked);
    expect(answers.map(({ statusCode, body }) => [statusCode, body])).toEqual(Array(4).fill([200, "1 2"]));
    await closed;
    await expect(tidemark.redis.get("k")).rejects.toThrow(ClosedError);
    // Nothing keeps clients from sending more than the end of their connections.
    if (!isWeb) {
      expect(answers.map(({ headers }) => headers.connection)).toEqual(Array(4).fill("close"));
      await serverClosed;
    }
    agent.destroy();
  });

  it("also lets one finish that arrives meanwhile on an open connection", async () => {
    const gate = new Gate();
    await using door = await open(tidemark, { handler: slowly(gate) });
    const port = portOf(door);
    await ask(port, undefined, "/?quick");
    const client = connect(port, "127.0.0.1");
    await once(client, "connect");
    await waitUntil(async () => (await connectionsOf(door)) > 0, {
      what: "the server has accepted the connection",
    });
    door.server?.close();
    const closed = tidemark.close();
    gate.open();
    client.write("GET /?user=9 HTTP/1.1\r\nHost: a\r\n\r\n");
    const [answer] = await once(client, "data");
    expect(String(answer)).toMatch(/^HTTP\/1.1 200 /);
    client.destroy();
    await closed;
  });

  it("does not wait for idle connections or for clients that have disconnected", async () => {
    const gate = new Gate();
    await using door = await open(tidemark, { handler: slowly(gate) });
    const port = portOf(door);
    const agent = new Agent({ keepAlive: true });
    await ask(port, agent, "/?quick");
    const gone = connect(port, "127.0.0.1");
    gone.write("GET /?user=1 HTTP/1.1\r\nHost: a\r\n\r\n");
    await waitUntil(() => gate.begun === 1, { what: "its handler has begun" });
    gone.destroy();
    const before = performance.now();
    if (isWeb) gate.open();
    await tidemark.close({ timeoutMs: 20_000 });
    expect(performance.now() - before).toBeLessThan(10_000);
    gate.open();
    agent.destroy();
  });

  it("makes later requests fail with 503", async () => {
    await using door = await open(tidemark, {
      handler: async ({ session }) => ({ body: String(await session.redis.get("k")) }),
    });
    await tidemark.close();
    // The test's own app on node:http, and its Web handlers, answer every error with 500.
    const isOwn = name === "node:http" || name === "Web handlers";
    expect((await ask(portOf(door))).statusCode).toBe(isOwn ? 500 : 503);
  });

  it("ends after timeoutMs when a response does not end", async () => {
    const gate = new Gate();
    await using door = await open(tidemark, {
      handler: async ({ query }) => {
        if (query.has("quick")) return { body: "quick" };
        await gate.pass();
        return { body: "late" };
      },
    });
    const answer = ask(portOf(door));
    await waitUntil(() => gate.begun === 1, { what: "the handler has begun" });
    await tidemark.close({ timeoutMs: 100 });
    await expect(tidemark.redis.get("k")).rejects.toThrow(ClosedError);
    gate.open();
    expect((await answer).statusCode).toBe(200);
  });
});

function connectionsOf({ server }: Door): Promise<number> {
  return new Promise((resolve) => server?.getConnections((_error, count) => resolve(count)));
}

describe("close() with a response that streams", () => {
  it.each(["Express 5", "Koa", "Fastify", "node:http"])("lets the stream end, on %s", async (name) => {
    const gate = new Gate();
    async function* parts(redis: Turn["session"]["redis"]): AsyncGenerator<string> {
      yield "first ";
      await gate.pass();
      for (let i = 0; i < 3; i++) yield `${await redis.incr("n")} `;
    }
    await tidemark.redis.del("n");
    const open = listening[name];
    await using door = await open?.(tidemark, {
      handler: ({ session }) => ({ chunks: parts(session.redis) }),
    });
    const answer = ask(portOf(door as Door));
    await waitUntil(() => gate.begun === 1, { what: "the response streams" });
    const closed = tidemark.close();
    const later = performance.now() + 150;
    await waitUntil(() => performance.now() > later, { what: "150 ms have passed" });
    gate.open();
    expect((await answer).body).toBe("first 1 2 3 ");
    await closed;
  });
});

describe("close() beside middleware that acts on responses before readYourWrites", () => {
  const secret = "a secret of this test";

  it("does not wait for a response that closed before it got a session", async () => {
    const middleware = readYourWrites(tidemark, { secret });
    let [isGone, next] = [false, 0];
    await using server = await serve(async (request, response) => {
      await once(response, "close");
      isGone = true;
      middleware(request, response, () => {
        next += 1;
      });
    });
    const client = connect(server.port, "127.0.0.1");
    client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    await once(server.server, "request");
    client.destroy();
    await waitUntil(() => isGone && next === 1, { what: "the middleware has run" });
    const before = performance.now();
    await tidemark.close({ timeoutMs: 20_000 });
    expect(performance.now() - before).toBeLessThan(10_000);
  });

  const answers: Readonly<Record<string, RequestListener>> = {
    "that has already begun": (_request, response) => response.end("end"),
    "whose connection header the app has set": (_request, response) => {
      response.setHeader("Connection", "Upgrade").end("end");
    },
  };

  it.each(Object.entries(answers))("does not change a response %s", async (name, answer) => {
    const middleware = readYourWrites(tidemark, { secret });
    const gate = new Gate();
    const failed: unknown[] = [];
    await using server = await serve(async (request, response) => {
      if (name === "that has already begun") response.write("begun ");
      middleware(request, response, async () => {
        await gate.pass();
        try {
          answer(request, response);
        } catch (error) {
          failed.push(error);
          response.destroy();
        }
      });
    });
    const asked = ask(server.port, new Agent({ keepAlive: true }));
    await waitUntil(() => gate.begun === 1, { what: "the handler has begun" });
    const closed = tidemark.close();
    gate.open();
    const { headers, body } = await asked;
    expect(failed).toEqual([]);
    if (name === "that has already begun") expect(body).toBe("begun end");
    else expect(headers.connection).toBe("Upgrade");
    await closed;
  });
});

const ends: Readonly<Record<string, (tidemark: Tidemark) => Promise<unknown>>> = {
  "close()": (own) => own.close(),
  "quit()": (own) => own.redis.quit(),
  "await using": (own) => own[Symbol.asyncDispose](),
};

describe.each(Object.entries(ends))("%s", (_name, end) => {
  it("waits for commands in every stage", async () => {
    await tidemark.redis.rpush("queue", "a");
    const { redis } = tidemark.session();
    proxy.stall();
    const replies = [
      redis.set("k", "1"),
      tidemark.redis.get("k"),
      redis.pipeline().incr("k").get("k").exec(),
      redis.at("session", { waitMs: 5_000 }).get("k"),
      redis.blpop("queue", 5),
    ];
    const over = end(tidemark);
    proxy.unstall();
    expect(await Promise.all(replies)).toEqual([
      "OK",
      "1",
      [
        [null, 2],
        [null, "2"],
      ],
      "2",
      ["queue", "a"],
    ]);
    await over;
    await expect(tidemark.redis.get("k")).rejects.toThrow(ClosedError);
  });

  it("waits for commands without a connection", async () => {
    await using own = openTidemark(group);
    const writes = [own.redis.set("early", "1"), own.session().redis.get("early")];
    await end(own);
    expect(await Promise.all(writes)).toEqual(["OK", "1"]);
  });

  it("does not wait for a command that blocks without limit", async () => {
    const waits = expect(tidemark.session().redis.blpop("nothing", 0)).rejects.toThrow(/closed/);
    await waitUntil(async () => (await blockedClients(group.primary)) === 1, { what: "the command blocks" });
    const before = performance.now();
    await Promise.all([waits, end(tidemark)]);
    expect(performance.now() - before).toBeLessThan(5_000);
  });

  it("rejects commands that arrive after the last request has ended", async () => {
    proxy.stall();
    const first = tidemark.redis.set("k", "1");
    const over = end(tidemark);
    await waitUntil(() => Object.hasOwn(tidemark.redis, "sendCommand"), { what: "no request is open" });
    await expect(tidemark.redis.set("k", "2")).rejects.toThrow(ClosedError);
    await expect(tidemark.session().redis.set("k", "2")).rejects.toThrow(ClosedError);
    proxy.unstall();
    expect(await first).toBe("OK");
    await over;
    expect(await group.primary.admin().get("k")).toBe("1");
  });
});

describe("a shutdown with several callers", () => {
  type Calls = (own: Tidemark) => Promise<unknown>[];
  const short = { timeoutMs: 100 };
  const calls: Readonly<Record<string, Calls>> = {
    "close() and a shorter close()": (own) => [own.close(), own.close(short)],
    "a short close() and quit()": (own) => [own.close(short), own.redis.quit()],
    "quit() and a short close()": (own) => [own.redis.quit(), own.close(short)],
    "close({ timeoutMs: 0 }) and quit()": (own) => [own.close({ timeoutMs: 0 }), own.redis.quit()],
    "quit() and close({ timeoutMs: 0 })": (own) => [own.redis.quit(), own.close({ timeoutMs: 0 })],
    "close() and disconnect()": (own) => [own.close(), Promise.resolve(own.redis.disconnect())],
  };

  it.each(Object.entries(calls))("happens once for %s while a request hangs", async (_name, end) => {
    const gate = new Gate();
    const handler = async (): Promise<Reply> => {
      await gate.pass();
      return { body: "late" };
    };
    await using door = await listening["Express 5"]?.(tidemark, { handler });
    const answer = ask(portOf(door as Door));
    await waitUntil(() => gate.begun === 1, { what: "the handler has begun" });
    const before = performance.now();
    const results = await Promise.all(end(tidemark));
    expect(performance.now() - before).toBeLessThan(5_000);
    expect(results.every((result) => result === undefined || result === "OK")).toBe(true);
    expect(await tidemark.redis.quit()).toBe("OK");
    gate.open();
    await answer;
  });

  it("makes quit() wait for it even when new commands are already rejected", async () => {
    proxy.stall();
    const written = tidemark.redis.set("k", "1");
    const closed = tidemark.close();
    await waitUntil(() => Object.hasOwn(tidemark.redis, "sendCommand"), { what: "no request is open" });
    const quit = tidemark.redis.quit();
    await expect(tidemark.session().redis.quit()).rejects.toThrow(ClosedError);
    proxy.unstall();
    expect(await Promise.all([quit, written])).toEqual(["OK", "OK"]);
    await closed;
  });

  it("does not affect a Tidemark that reconnects before a caller has seen the end", async () => {
    proxy.stall();
    const written = Promise.allSettled([tidemark.redis.set("k", "1")]);
    const closed = tidemark.close();
    await waitUntil(() => Object.hasOwn(tidemark.redis, "sendCommand"), { what: "no request is open" });
    await tidemark.close({ timeoutMs: 0 });
    const connected = tidemark.redis.connect();
    proxy.unstall();
    await Promise.all([closed, connected, written]);
    expect(await tidemark.redis.ping()).toBe("PONG");
  });
});

describe("close()", () => {
  it("can be called again, to end sooner", async () => {
    proxy.stall();
    const written = expect(tidemark.redis.set("k", "1")).rejects.toThrow();
    const first = tidemark.close();
    await tidemark.close({ timeoutMs: 0 });
    proxy.cut();
    await Promise.all([first, written]);
    await tidemark.close();
  });

  it("lets a Tidemark reconnect as before", async () => {
    await tidemark.close();
    await tidemark.redis.connect();
    expect(await tidemark.redis.set("k", "1")).toBe("OK");
    expect(await tidemark.session().redis.get("k")).toBe("1");
  });

  it.each([-1, Number.NaN, "1000", null])("rejects timeoutMs: %s", async (timeoutMs) => {
    const options: object = { timeoutMs };
    await expect(tidemark.close(options)).rejects.toThrow(InvalidOptionError);
    expect(await tidemark.redis.ping()).toBe("PONG");
  });
});
