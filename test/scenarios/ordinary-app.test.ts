/** An ordinary app: its session store and its rate limiter write for each request, and replicas still serve its pages. */
import { RedisStore as SessionStore } from "connect-redis";
import express, { type Express } from "express";
import { rateLimit } from "express-rate-limit";
import session from "express-session";
import { RedisStore as LimitStore, type RedisReply } from "rate-limit-redis";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { readYourWrites } from "../../src/http/frameworks/express.js";
import type { Tidemark } from "../../src/index.js";
import { countServed } from "../consumers/support/served.js";
import { CookieJar } from "../support/http/cookie-jar.js";
import { ask, type Listening, serve } from "../support/http/exchange.js";
import { holdReplicas, releaseReplicas } from "../support/servers/held-replicas.js";
import { type ReplicationGroup, startReplicationGroup } from "../support/servers/replication-group.js";
import { replicasAreEligible } from "../support/stages/eligible-replicas.js";
import { openTidemark } from "../support/stages/open-tidemark.js";

const secret = "a secret of this test";
const requests = 20;
/** Of what a page reads while replicas have its catalogue. */
const onPrimary = 0.05;
/** The reads of a page, with commands that neither the session store nor the rate limiter sends. */
const pageReads = ["hget", "mget", "hgetall", "lrange", "smembers"];
const catalogue = {
  banner: "Sale",
  prices: ["10", "20"],
  product: { name: "Lamp" },
  news: ["first", "second"],
  tags: ["light"],
};

declare module "express-session" {
  interface SessionData {
    visits: number;
  }
}

interface App {
  readonly tidemark: Tidemark;
  readonly listening: Listening;
}

let group: ReplicationGroup;
/** The same app twice, as in two processes. */
let apps: readonly [App, App];

beforeAll(async () => {
  group = await startReplicationGroup({ replicas: 2 });
});

afterAll(() => group.stop());

beforeEach(async () => {
  await fillCatalogue();
  apps = [await openApp(), await openApp()];
  await group.caughtUp();
});

afterEach(async () => {
  for (const { listening, tidemark } of apps) {
    await listening[Symbol.asyncDispose]();
    await tidemark.close();
  }
  await releaseReplicas(group);
});

async function fillCatalogue(): Promise<void> {
  const redis = group.primary.admin();
  await redis.flushall();
  await redis.hset("banners", "home", catalogue.banner);
  await redis.mset("price:1", "10", "price:2", "20");
  await redis.hset("product", catalogue.product);
  await redis.rpush("news", ...catalogue.news);
  await redis.sadd("tags", ...catalogue.tags);
}

async function openApp(): Promise<App> {
  // The age of a held replica must not decide, however long a loaded machine takes.
  const tidemark = openTidemark(group, { maxStalenessMs: 600_000, tokenTtlMs: 1_200_000 });
  await replicasAreEligible(tidemark);
  return { tidemark, listening: await serve(shop(tidemark)) };
}

function shop(tidemark: Tidemark): Express {
  const limits = rateLimit({
    windowMs: 60_000,
    limit: 1_000,
    legacyHeaders: false,
    keyGenerator: ({ headers }) => String(headers["x-user"]),
    store: new LimitStore({
      sendCommand: (command: string, ...args: string[]) =>
        tidemark.redis.call(command, ...args) as Promise<RedisReply>,
    }),
  });
  const sessions = session({
    secret,
    store: new SessionStore({ client: tidemark.redis }),
    resave: false,
    saveUninitialized: false,
    rolling: true,
  });
  const app = express().use(readYourWrites(tidemark, { secret }), limits, sessions);
  app.get("/page", async (request, response) => {
    request.session.visits = (request.session.visits ?? 0) + 1;
    const { redis } = request;
    const [banner, prices, product, news, tags] = await Promise.all([
      redis.hget("banners", "home"),
      redis.mget("price:1", "price:2"),
      redis.hgetall("product"),
      redis.lrange("news", 0, -1),
      redis.smembers("tags"),
    ]);
    response.json({ visits: request.session.visits, page: { banner, prices, product, news, tags } });
  });
  app.get("/rename/:name", async (request, response) => {
    await request.redis.hset("product", "name", request.params.name);
    response.json({});
  });
  return app;
}

/** The contents of a page. */
interface Shown {
  readonly visits: number;
  readonly page: typeof catalogue;
}

/** A user whose requests go to both processes in turn. */
class Visitor {
  readonly #name: string;
  readonly #jar = new CookieJar();
  #visits = 0;

  constructor(name: string) {
    this.#name = name;
  }

  async visit(path: string): Promise<Shown> {
    this.#visits += 1;
    const { tidemark, listening } = apps[this.#visits % 2 === 0 ? 0 : 1];
    // After a pause it knows nothing recent of the replicas, and would read from the primary for that reason.
    await replicasAreEligible(tidemark);
    const { port } = listening;
    const url = `http://127.0.0.1:${port}${path}`;
    const cookie = this.#jar.header(url);
    const headers = { "X-User": this.#name, ...(cookie === undefined ? {} : { Cookie: cookie }) };
    const answer = await ask(port, { path, headers });
    expect(answer.status, answer.body).toBe(200);
    this.#jar.receive(url, answer.headers["set-cookie"]);
    return JSON.parse(answer.body);
  }

  /** Opens one page after the other, and resolves with what they showed. */
  async browse(): Promise<Shown[]> {
    const shown: Shown[] = [];
    for (let i = 0; i < requests; i++) shown.push(await this.visit("/page"));
    return shown;
  }
}

function pages(product = catalogue.product): Shown[] {
  return Array.from({ length: requests }, (_, i) => ({ visits: i + 1, page: { ...catalogue, product } }));
}

type CountServed = Awaited<ReturnType<typeof countServed>>;

/** Of the reads of `commands` on all pages of a user, how many the primary answered. */
async function primaryShare(served: CountServed, commands: readonly string[]): Promise<number> {
  const counts = await Promise.all(commands.map(served));
  return counts.reduce((sum, { primary }) => sum + primary, 0) / (requests * commands.length);
}

describe("express-session, express-rate-limit and a page, over replicas that lag", () => {
  it("read the page from replicas, and the user's own session from the primary", async () => {
    holdReplicas(group);
    const served = await countServed(group);
    expect(await new Visitor("ada").browse()).toEqual(pages());
    expect(await primaryShare(served, pageReads)).toBeLessThanOrEqual(onPrimary);
  });

  it("show users the part of the page that they changed, and read the rest from replicas", async () => {
    holdReplicas(group);
    const editor = new Visitor("grace");
    await editor.visit("/rename/Torch");
    const served = await countServed(group);
    expect(await editor.browse()).toEqual(pages({ name: "Torch" }));
    const rest = pageReads.filter((command) => command !== "hgetall");
    expect(await primaryShare(served, rest)).toBeLessThanOrEqual(onPrimary);
  });

  it("read the page of all other users from replicas after one user changed it", async () => {
    holdReplicas(group);
    await new Visitor("grace").visit("/rename/Torch");
    const served = await countServed(group);
    const shown = await new Visitor("edith").browse();
    expect(shown.map(({ visits }) => visits)).toEqual(pages().map(({ visits }) => visits));
    expect(await primaryShare(served, pageReads)).toBeLessThanOrEqual(onPrimary);
  });
});
