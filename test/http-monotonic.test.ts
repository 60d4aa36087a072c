/** Users of two processes whose replicas differ: what they have read is not taken back, and what that does to caching. */

import type { RequestListener } from "node:http";
import fastifyCookie from "@fastify/cookie";
import fastifySession from "@fastify/session";
import express from "express";
import expressSession, { MemoryStore } from "express-session";
import fastify from "fastify";
import Koa from "koa";
import koaSession from "koa-session";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { cookie } from "../src/http/cookie.js";
import { readYourWrites as onExpress } from "../src/http/express.js";
import { readYourWrites as onFastify } from "../src/http/fastify.js";
import { header } from "../src/http/header.js";
import { readYourWrites as onKoa } from "../src/http/koa.js";
import { session as stored } from "../src/http/stored-session.js";
import type { Tidemark } from "../src/index.js";
import { type Door, doors, openDoor } from "./support/door.js";
import { replicasAreEligible } from "./support/eligible-replicas.js";
import type { Scene } from "./support/frameworks.js";
import { holdReplicas, releaseReplicas } from "./support/held-replicas.js";
import { openTidemark } from "./support/open-tidemark.js";
import { type ReplicationGroup, startReplicationGroup } from "./support/replication-group.js";
import { stageGroup } from "./support/staged-group.js";
import { TokenHolder } from "./support/token-holder.js";
import { waitUntil } from "./support/wait-until.js";

let group: ReplicationGroup;
/** Reads the replica that gets everything. */
let here: Tidemark;
/** Reads the one that is held back. */
let there: Tidemark;
let keys = 0;

beforeAll(async () => {
  // What a primary sends its replicas now and then moves their positions like a write.
  const args = ["--repl-ping-replica-period", "600", "--repl-timeout", "1200"];
  group = await startReplicationGroup({ replicas: 2, args });
  const [first, second] = group.replicas.map(({ server }) => ({ replicas: [server.url] }));
  [here, there] = [openTidemark(group, first), openTidemark(group, second)];
});

afterEach(() => releaseReplicas(group));

afterAll(async () => {
  await Promise.all([here.close(), there.close()]);
  await group.stop();
});

/** A key that is new on the primary and one replica, and old on the other. */
async function torn(): Promise<string> {
  const key = `key-${keys++}`;
  await group.primary.admin().set(key, "old");
  await group.caughtUp();
  await Promise.all([replicasAreEligible(here), replicasAreEligible(there)]);
  holdReplicas(group, 1);
  await group.primary.admin().set(key, "new");
  await waitUntil(async () => (await group.replicas[0]?.server.admin().get(key)) === "new", {
    what: "one replica has it",
  });
  return key;
}

/** Reads the key that `?key=` names, at the level `?at=eventual` if that is given. */
const notes = (given: Pick<Scene, "carrier" | "monotonicReads">): Scene => ({
  ...given,
  handler: async ({ session, query }) => {
    const client = query.get("at") === "eventual" ? session.at("eventual") : session.redis;
    return { body: String(await client.get(query.get("key") ?? "")), cacheControl: "public, max-age=60" };
  },
});

/** Goes by each door in turn. */
function inTurn(...each: readonly Door[]): Door {
  let asked = 0;
  return {
    ask: (one) => each[asked++ % each.length]?.ask(one) ?? Promise.reject(),
    [Symbol.asyncDispose]: async () => {
      await Promise.all(each.map((door) => door[Symbol.asyncDispose]()));
    },
  };
}

const carriers = { cookie: cookie(), header: header(), "both at once": [cookie(), header()] };

describe.each(Object.entries(doors))("on %s", (_name, open) => {
  describe.each(Object.entries(carriers))("by %s", (_carrier, carrier) => {
    it.each([
      ["sees it in the next, with monotonicReads", true, "new"],
      ["may see what was before in the next, without", false, "old"],
    ])("who has read what is new in one process %s", async (_what, monotonicReads, expected) => {
      const scene = notes({ carrier, monotonicReads });
      await using both = inTurn(await open(here, scene), await open(there, scene));
      const user = new TokenHolder(both);
      const key = await torn();
      expect((await user.ask({ query: `key=${key}` })).body).toBe("new");
      expect((await user.ask({ query: `key=${key}` })).body).toBe(expected);
      await user.ask({ query: `key=${key}` });
      expect((await user.ask({ query: `key=${key}&at=eventual` })).body).toBe("old");
    });
  });

  it("a response brings a token, and is private, only when what it read is newer than what came", async () => {
    const carrier = [cookie(), header()];
    await using door = await open(here, notes({ carrier, monotonicReads: true }));
    const user = new TokenHolder(door);
    const key = await torn();
    const ask = async (query = `key=${key}`) => {
      const { headers } = await user.ask({ query });
      const { "cache-control": caching, "set-cookie": set, "consistency-token": token } = headers;
      return [caching, set !== undefined, token !== undefined];
    };
    const [isPrivate, isPublic] = [
      ["private, max-age=60", true, true],
      ["public, max-age=60", false, false],
    ];
    expect(await ask(`key=${key}&at=eventual`)).toEqual(isPublic);
    expect([await ask(), await ask(), await ask()]).toEqual([isPrivate, isPublic, isPublic]);
    await group.primary.admin().set("another", "newer");
    await waitUntil(async () => (await group.replicas[0]?.server.admin().get("another")) === "newer", {
      what: "the replica has it",
    });
    expect([await ask(), await ask()]).toEqual([isPrivate, isPublic]);
    await group.primary.admin().del("another");
  });

  it("a response that only read brings no token without monotonicReads", async () => {
    await using door = await open(here, notes({ carrier: [cookie(), header()] }));
    const { headers } = await door.ask({ query: `key=${await torn()}` });
    expect(headers).toMatchObject({ "cache-control": "public, max-age=60" });
    expect(headers).not.toHaveProperty("set-cookie");
    expect(headers).not.toHaveProperty("consistency-token");
  });
});

const secret = "a secret of this test that is long enough";

/** What is kept of sessions, by their ids. */
const kept = new Map<string, string>();
const memory = new MemoryStore();

/** Apps whose users have sessions that are shared by all processes. */
const apps: Readonly<
  Record<string, (tidemark: Tidemark, monotonicReads: boolean) => Promise<RequestListener>>
> = {
  Express: async (tidemark, monotonicReads) => {
    const app = express();
    app.use(expressSession({ secret, store: memory, resave: false, saveUninitialized: false }));
    app.use(onExpress(tidemark, { carrier: stored({ overlapMs: 0 }), monotonicReads }));
    return app.get("/", async ({ redis, query }, response) => {
      const value = String(await redis.get(String(query.key)));
      // Its head is built before it is known where this has been.
      if (query.hurry !== undefined) redis.get(String(query.key)).catch(() => {});
      response.send(value);
    });
  },
  Koa: async (tidemark, monotonicReads) => {
    const app = new Koa();
    app.keys = [secret];
    const store = {
      get: async (id: string) => JSON.parse(kept.get(id) ?? "null"),
      set: async (id: string, session: object) => void kept.set(id, JSON.stringify(session)),
      destroy: async (id: string) => void kept.delete(id),
    };
    app.use(koaSession({ store }, app));
    app.use(onKoa(tidemark, { carrier: stored({ overlapMs: 0 }), monotonicReads }));
    app.use(async (ctx) => {
      ctx.body = String(await ctx.redis.get(String(ctx.query.key)));
    });
    return app.callback();
  },
  Fastify: async (tidemark, monotonicReads) => {
    const app = fastify();
    const store = {
      get: (id: string, done: (error: unknown, session?: never) => void) =>
        done(null, JSON.parse(kept.get(id) ?? "null")),
      set: (id: string, session: object, done: () => void) => {
        kept.set(id, JSON.stringify(session));
        done();
      },
      destroy: (id: string, done: () => void) => {
        kept.delete(id);
        done();
      },
    };
    app.register(onFastify, { tidemark, carrier: stored({ overlapMs: 0 }), monotonicReads });
    app.register(fastifyCookie);
    app.register(fastifySession, { secret, store, saveUninitialized: false, cookie: { secure: false } });
    app.get<{ Querystring: { key: string } }>("/", async ({ redis, query }) =>
      String(await redis.get(query.key)),
    );
    await app.ready();
    return (request, response) => app.routing(request, response);
  },
};

describe.each(Object.entries(apps))("by sessions of %s", (_name, make) => {
  it.each([
    ["sees it in the next, with monotonicReads", true, "new"],
    ["may see what was before in the next, without", false, "old"],
  ])("who has read what is new in one process %s", async (_what, monotonicReads, expected) => {
    await using both = inTurn(
      await openDoor(await make(here, monotonicReads)),
      await openDoor(await make(there, monotonicReads)),
    );
    const user = new TokenHolder(both);
    const key = await torn();
    expect((await user.ask({ query: `key=${key}` })).body).toBe("new");
    expect((await user.ask({ query: `key=${key}` })).body).toBe(expected);
  });
});

it("a session on the server keeps the token it has when what was read is found to be no newer", async () => {
  const tokens = (): unknown[] =>
    Object.values(Reflect.get(memory, "sessions")).map((text) => JSON.parse(String(text)).tidemark);
  memory.clear();
  const make = apps.Express;
  if (make === undefined) throw new Error("there is no such app");
  await using door = await openDoor(await make(here, true));
  const user = new TokenHolder(door);
  const key = await torn();
  await user.ask({ query: `key=${key}&hurry` });
  const before = tokens();
  expect(before).toEqual([expect.any(String)]);
  for (let n = 0; n < 5; n += 1) await user.ask({ query: `key=${key}&hurry` });
  expect(tokens()).toEqual(before);
});

describe("where a response can not learn where its reads have been", () => {
  const stage = stageGroup({ replicas: 2 });

  it("it comes within seconds, and its user reads from the primary", async () => {
    const { primary, replicas } = stage.group;
    const [ahead, behind] = replicas;
    if (ahead === undefined || behind === undefined) throw new Error("there are two");
    const scene = notes({ monotonicReads: true });
    const open = (replica: typeof ahead) => stage.open({ replicas: [replica.server.url] });
    const [first, second] = [await open(ahead), await open(behind)];
    await primary.admin().set("k", "old");
    await stage.group.caughtUp();
    await Promise.all([replicasAreEligible(first), replicasAreEligible(second)]);
    behind.link.hold();
    await primary.admin().set("k", "new");
    await waitUntil(async () => (await ahead.server.admin().get("k")) === "new", { what: "one has it" });
    const openExpress = doors["Express 5"];
    if (openExpress === undefined) throw new Error("there is no such door");
    await using both = inTurn(
      await openExpress(first, {
        ...scene,
        handler: async ({ session }) => {
          const body = String(await session.redis.get("k"));
          primary.pause();
          await ahead.server.kill();
          await waitUntil(() => first.topology()[1]?.position === undefined, { what: "it is gone" });
          return { body };
        },
      }),
      await openExpress(second, scene),
    );
    const user = new TokenHolder(both);
    try {
      expect((await user.ask({})).body).toBe("new");
    } finally {
      primary.resume();
    }
    expect((await user.ask({ query: "key=k" })).body).toBe("new");
  });
});
