/** Levels with options on every framework: the errors that users get and the tokens that reads send. */
import { request } from "node:http";
import express from "express";
import fastify from "fastify";
import Koa from "koa";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { cookie } from "../../src/http/carriers/cookie.js";
import { header } from "../../src/http/carriers/header.js";
import * as onExpressEntry from "../../src/http/frameworks/express.js";
import * as onFastifyEntry from "../../src/http/frameworks/fastify.js";
import * as onKoaEntry from "../../src/http/frameworks/koa.js";
import { AbortedError, type Session, type Tidemark } from "../../src/index.js";
import { doors, listening } from "../support/http/door.js";
import { ask, serve } from "../support/http/exchange.js";
import type { Scene } from "../support/http/framework-app.js";
import { TokenHolder } from "../support/http/token-holder.js";
import { holdReplicas, releaseReplicas } from "../support/servers/held-replicas.js";
import { type ReplicationGroup, startReplicationGroup } from "../support/servers/replication-group.js";
import { replicasAreEligible } from "../support/stages/eligible-replicas.js";
import { openTidemark } from "../support/stages/open-tidemark.js";
import { waitUntil } from "../support/wait-until.js";

let group: ReplicationGroup;
let here: Tidemark;
let there: Tidemark;
let keys = 0;

beforeAll(async () => {
  group = await startReplicationGroup({ replicas: 2 });
  [here, there] = [
    openTidemark(group, { monotonicReads: true }),
    openTidemark(group, { monotonicReads: true }),
  ];
  await Promise.all([replicasAreEligible(here), replicasAreEligible(there)]);
});

afterEach(() => releaseReplicas(group));

afterAll(async () => {
  await Promise.all([here.close(), there.close()]);
  await group.stop();
});

/** `?set=text` writes, anything else reads, both the key that `key` names. */
function notes(scene: Partial<Scene> = {}): Scene {
  return {
    ...scene,
    handler: async ({ session, query }) => {
      const [key, text] = [query.get("key") ?? "", query.get("set")];
      if (text !== null) await session.redis.set(key, text);
      return { body: text ?? String(await session.redis.get(key)) };
    },
  };
}

/** All whose own error handling answers, not the app. */
const answering = Object.entries(doors).filter(([name]) => name !== "node:http");

describe.each(answering)("a read that no replica may answer, on %s", (name, open) => {
  it("is answered with 503, Retry-After and no internals", async () => {
    await using door = await open(here, notes({ levels: { route: { fallback: "error" } } }));
    const key = `k${keys++}`;
    const user = new TokenHolder(door);
    holdReplicas(group);
    expect((await user.ask({ method: "POST", query: `key=${key}&set=new` })).status).toBe(200);
    const { status, headers, body } = await user.ask({ query: `key=${key}` });
    expect([status, headers["retry-after"]]).toEqual([503, expect.stringMatching(/^[1-9]\d?$/)]);
    // Express shows the stack itself, but in production.
    if (!name.startsWith("Express")) expect(body).not.toMatch(/at .*\.[jt]s:\d/);
    await releaseReplicas(group);
    const again = async (): Promise<boolean> => {
      const { status, body } = await user.ask({ query: `key=${key}` });
      if (status === 200) expect(body).toBe("new");
      return status === 200;
    };
    await waitUntil(again, { what: "the request is answered again" });
  });
});

describe.each(Object.entries(doors))("levels with options, on %s", (_name, open) => {
  it("are merged from the app to the route", async () => {
    const levels = { app: { maxStalenessMs: 9_000, waitMs: 7 }, route: { confirmMisses: true } } as const;
    await using door = await open(here, {
      levels,
      handler: ({ session }) => ({ body: JSON.stringify(session.level) }),
    });
    expect(JSON.parse((await door.ask()).body)).toEqual({
      level: { maxStalenessMs: 9_000 },
      waitMs: 7,
      confirmMisses: true,
    });
  });
});

const carriers = { cookie: cookie(), header: header() };

describe.each(Object.entries(doors))("monotonic reads, on %s", (_name, open) => {
  it.each(Object.entries(carriers))(
    "by %s never go back in another process, and send a token only when it changed",
    async (_, carrier) => {
      const [first, second] = await Promise.all([
        open(here, notes({ carrier })),
        open(there, notes({ carrier })),
      ]);
      let process = 0;
      const key = `k${keys++}`;
      try {
        const both = { ask: (asked?: object) => (process++ % 2 === 0 ? first : second).ask(asked) };
        const user = new TokenHolder({ ...both, [Symbol.asyncDispose]: async () => {} });
        await here.session().redis.set(key, "1");
        await group.caughtUp();
        const seen = await user.ask({ query: `key=${key}` });
        expect(seen.body).toBe("1");
        expect(Boolean(seen.headers["set-cookie"] ?? seen.headers["consistency-token"])).toBe(true);
        for (const _ of [1, 2]) {
          const again = await user.ask({ query: `key=${key}` });
          expect([again.body, again.headers["set-cookie"], again.headers["consistency-token"]]).toEqual([
            "1",
            undefined,
            undefined,
          ]);
        }
        // One replica goes ahead, and the user has seen what it has.
        for (const value of ["2", "3", "4"]) {
          holdReplicas(group, Number(value) % 2);
          await here.session().redis.set(key, value);
          await waitUntil(async () => (await user.ask({ query: `key=${key}` })).body === value, {
            what: "the new value is seen",
          });
          for (let i = 0; i < 8; i++) expect((await user.ask({ query: `key=${key}` })).body).toBe(value);
          await releaseReplicas(group);
        }
      } finally {
        await Promise.all([first, second].map((door) => door[Symbol.asyncDispose]()));
      }
    },
  );
});

describe.each(Object.entries(listening))("a request whose client has disconnected, on %s", (_name, open) => {
  it("no longer waits for a replica", async () => {
    const failures: unknown[] = [];
    await using door = await open(here, {
      handler: async ({ session, query }) => {
        const key = query.get("key") ?? "";
        await session.redis.set(key, "new");
        const { redis } = here.session({
          token: session.token(),
          signal: () => session.signal ?? AbortSignal.abort(),
        });
        await redis
          .at({ waitMs: 60_000 })
          .get(key)
          .catch((error) => failures.push(error));
        return { body: "" };
      },
    });
    const address = door.server?.address();
    if (typeof address !== "object" || address === null) throw new Error("the server does not listen");
    holdReplicas(group);
    const looks = () => group.replicas[0]?.server.commandCalls("info") ?? Promise.resolve(0);
    const sent = request({ port: address.port, path: `/?key=k${keys++}` }).on("error", () => {});
    const before = await looks();
    sent.end();
    await waitUntil(async () => (await looks()) > before + 8, { what: "the read waits" });
    expect(failures).toEqual([]);
    sent.destroy();
    await waitUntil(() => Promise.resolve(failures.length > 0), { what: "the read was rejected" });
    expect(failures[0]).toBeInstanceOf(AbortedError);
  });
});

describe("replicated(n)", () => {
  const secret = "a secret of this test";

  it("is a marker on Express, Koa and Fastify that makes writes wait for replicas or reject", async () => {
    const wanted = [2, { timeoutMs: 60 }] as const;
    const key = `k${keys++}`;
    const outcomes: unknown[] = [];
    const write = async ({ redis }: Pick<Session, "redis">): Promise<void> => {
      await redis.set(key, "v").then(
        (reply) => outcomes.push(reply),
        (error) => outcomes.push(error.code),
      );
    };
    const onExpress = express()
      .use(onExpressEntry.readYourWrites(here, { secret }))
      .get("/", onExpressEntry.replicated(...wanted), async (request, response) => {
        await write({ redis: request.redis });
        response.end();
      });
    const onKoa = new Koa()
      .use(onKoaEntry.readYourWrites(here, { secret }))
      .use(onKoaEntry.replicated(...wanted))
      .use(async (ctx) => {
        await write({ redis: ctx.redis });
        ctx.body = "";
      });
    const onFastify = fastify();
    await onFastify.register(onFastifyEntry.readYourWrites, { tidemark: here, secret });
    onFastify.get("/", { onRequest: onFastifyEntry.replicated(...wanted) }, async (request) => {
      await write({ redis: request.redis });
      return "";
    });
    await onFastify.ready();
    const listeners = [onExpress, onKoa.callback(), onFastify.routing.bind(onFastify)];
    for (const listener of listeners) {
      await using served = await serve(listener);
      await ask(served.port);
      holdReplicas(group, 0);
      await ask(served.port);
      await releaseReplicas(group);
    }
    expect(outcomes).toEqual(listeners.flatMap(() => ["OK", "TIDEMARK_NOT_REPLICATED"]));
    await onFastify.close();
  });

  it.each([
    ["Express", onExpressEntry.replicated],
    ["Koa", onKoaEntry.replicated],
    ["Fastify", onFastifyEntry.replicated],
  ])("throws immediately on %s for invalid values", (_, replicated) => {
    expect(() => replicated(0)).toThrow(/replicated: got 0\. Pass a whole number of replicas/);
    expect(() => replicated("all", { timeoutMs: -1 })).toThrow(/replicated timeoutMs: got -1/);
  });
});
