/** Requests whose clients disconnect during a read, on every framework and real servers. */
import { once } from "node:events";
import { type RequestListener, request } from "node:http";
import { connect, constants, createServer as createServer2, type Http2Server } from "node:http2";
import type { AddressInfo, Server } from "node:net";
import { setImmediate as turn } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Session, Tidemark } from "../../src/index.js";
import { listening } from "../support/http/door.js";
import type { Scene } from "../support/http/framework-app.js";
import { fastifyApp, frameworks } from "../support/http/frameworks.js";
import type { Routes } from "../support/listeners/routes.js";
import { holdReplicas, releaseReplicas } from "../support/servers/held-replicas.js";
import type { ReplicationGroup } from "../support/servers/replication-group.js";
import { sentCommands } from "../support/stages/sent-commands.js";
import { stageTidemark } from "../support/stages/staged-tidemark.js";
import { isWaiting } from "../support/stages/waiting-reads.js";
import { waitUntil } from "../support/wait-until.js";

let group: ReplicationGroup;
let tidemark: Tidemark;
let routes: Routes;

stageTidemark({ replicas: 2 }, (stage) => {
  ({ group, tidemark, routes } = stage);
});

const failed = vi.fn();

beforeEach(() => {
  failed.mockClear();
  process.on("unhandledRejection", failed).on("uncaughtException", failed).on("warning", failed);
});

afterEach(() => {
  process.off("unhandledRejection", failed).off("uncaughtException", failed).off("warning", failed);
});

/** An app, one request to it, and a client that may leave before it is answered. */
interface Place extends AsyncDisposable {
  /** Sends it, and gives what has the client leave. */
  send(): () => void;
  /** How many requests are over for the server, whichever way they ended. */
  readonly over: number;
}

/** Counts what `server` has done with; `each` is the name of what begins there. */
function countOver(server: Server, each: "request" | "stream"): { readonly over: number } {
  const count = { over: 0 };
  server.on(each, (first, second) => {
    const ending = each === "request" ? second : first;
    ending.once("close", () => {
      count.over += 1;
    });
  });
  return count;
}

async function openHttp1(name: string, scene: Scene): Promise<Place> {
  const door = await listening[name]?.(tidemark, scene);
  const server = door?.server;
  if (door === undefined || server === undefined) throw new Error(`nothing listens for ${name}`);
  const count = countOver(server, "request");
  const { port } = server.address() as AddressInfo;
  return {
    get over() {
      return count.over;
    },
    send: () => {
      const sent = request({ host: "127.0.0.1", port, agent: false }, (response) => response.resume());
      sent.on("error", () => {}).end();
      return () => sent.destroy();
    },
    [Symbol.asyncDispose]: () => door[Symbol.asyncDispose](),
  };
}

async function openHttp2(server: Http2Server): Promise<Place> {
  const count = countOver(server, "stream");
  const client = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  return {
    get over() {
      return count.over;
    },
    send: () => {
      const sent = client.request({ ":path": "/" }).resume();
      return () => sent.close(constants.NGHTTP2_CANCEL);
    },
    [Symbol.asyncDispose]: async () => {
      client.destroy();
      server.close();
    },
  };
}

async function koaOver2(scene: Scene): Promise<Place> {
  const listener: RequestListener | undefined = await frameworks.Koa?.(tidemark, scene);
  const server: Http2Server = Reflect.apply(createServer2, undefined, [listener]);
  await once(server.listen(0, "127.0.0.1"), "listening");
  return openHttp2(server);
}

async function fastifyOver2(scene: Scene): Promise<Place> {
  const app = await fastifyApp(tidemark, scene, { http2: true });
  await app.listen({ host: "127.0.0.1", port: 0 });
  return openHttp2(app.server as unknown as Http2Server);
}

const places: Readonly<Record<string, (scene: Scene) => Promise<Place>>> = {
  ...Object.fromEntries(
    Object.keys(listening).map((name) => [name, (scene: Scene) => openHttp1(name, scene)]),
  ),
  "Koa, over HTTP/2": koaOver2,
  "Fastify, over HTTP/2": fastifyOver2,
};

/** Reads what the session has written, `count` times at once, and waits for a replica that has it. */
function readPatiently(session: Session, count: number): Promise<PromiseSettledResult<number>[]> {
  const { redis } = session;
  return Promise.allSettled(Array.from({ length: count }, () => redis.at({ waitMs: 20_000 }).strlen("k")));
}

/** How often it was read on all servers. */
async function reads(): Promise<number> {
  const servers = [group.primary, ...group.replicas.map(({ server }) => server)];
  const calls = await Promise.all(servers.map((server) => server.commandCalls("strlen")));
  return calls.reduce((sum, one) => sum + one, 0);
}

/** Resolves when all that still waits has been sent, and answered. */
async function readsAreOver(): Promise<void> {
  const session = tidemark.session();
  await session.redis.set("k", "last");
  const last = session.redis.at({ waitMs: 20_000 }).get("k");
  await releaseReplicas(group);
  expect(await last).toBe("last");
}

describe.each(Object.entries(places))("on %s", (_name, open) => {
  it("waiting reads are rejected when their client disconnects, and are sent to no server", async () => {
    holdReplicas(group);
    let reading: Promise<PromiseSettledResult<number>[]> | undefined;
    await using place = await open({
      handler: async ({ session }) => {
        await session.redis.set("k", "new");
        // More than may listen to one response without a warning.
        reading = readPatiently(session, 12);
        const [first] = await reading;
        if (first?.status === "rejected") throw first.reason;
        return { body: "read" };
      },
    });
    const leave = place.send();
    await waitUntil(() => reading !== undefined, { what: "the handler reads" });
    await isWaiting(group);
    // Before it waits, a read may be tried on a replica that might have caught up.
    const before = [await reads(), sentCommands(tidemark)];
    leave();
    const outcomes = await reading;
    expect(new Set(outcomes?.map((one) => one.status === "rejected" && one.reason.code))).toEqual(
      new Set(["TIDEMARK_ABORTED"]),
    );
    await waitUntil(() => place.over === 1, { what: "the request has ended" });
    const sent = sentCommands(tidemark);
    await readsAreOver();
    expect([await reads(), sent]).toEqual(before);
    await turn();
    expect(failed.mock.calls).toEqual([]);
  });

  it("a read that would have to wait is rejected at once after its client has disconnected", async () => {
    holdReplicas(group);
    let outcomes: PromiseSettledResult<number>[] | undefined;
    let hasWritten = false;
    await using place = await open({
      handler: async ({ session }) => {
        await session.redis.set("k", "new");
        hasWritten = true;
        await waitUntil(() => place.over === 1, { what: "the client has disconnected" });
        outcomes = await readPatiently(session, 1);
        return { body: "read" };
      },
    });
    const leave = place.send();
    await waitUntil(() => hasWritten, { what: "the handler has written" });
    leave();
    await waitUntil(() => outcomes !== undefined, { what: "the read has ended" });
    expect(outcomes).toEqual([
      { status: "rejected", reason: expect.objectContaining({ code: "TIDEMARK_ABORTED" }) },
    ]);
    const onPrimary = routes.of("strlen").filter((route) => route.startsWith("primary:"));
    expect([onPrimary, failed.mock.calls]).toEqual([[], []]);
  });

  it("reads that continue after a complete response are answered", async () => {
    holdReplicas(group);
    let reading: Promise<PromiseSettledResult<number>[]> | undefined;
    let later: Promise<PromiseSettledResult<number>[]> | undefined;
    await using place = await open({
      handler: async ({ session }) => {
        await session.redis.set("k", "new");
        reading = readPatiently(session, 1);
        const isOver = waitUntil(() => place.over === 1, { what: "the response was sent" });
        later = isOver.then(() => readPatiently(session, 1));
        return { body: "read" };
      },
    });
    place.send();
    await waitUntil(() => place.over === 1, { what: "the response was sent" });
    await isWaiting(group);
    await releaseReplicas(group);
    const answered = { status: "fulfilled", value: 3 };
    expect([await reading, await later]).toEqual([[answered], [answered]]);
    expect(failed.mock.calls).toEqual([]);
  });
});
