/** Session stores: a login whose redirect finds no user is the bug that everyone meets first. */
import type { RequestListener } from "node:http";
import { createRequire } from "node:module";
import { RedisStore } from "connect-redis";
import express from "express";
import session from "express-session";
import type { Redis } from "ioredis";
import Koa from "koa";
import koaSession, { type SessionOptions } from "koa-session";
import supertest from "supertest";
import type TestAgent from "supertest/lib/agent.js";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { readYourWrites } from "../../src/http/frameworks/express.js";
import type { Tidemark } from "../../src/index.js";
import { type Listening, serve } from "../support/http/exchange.js";
import { holdReplicas, releaseReplicas } from "../support/servers/held-replicas.js";
import { type ReplicationGroup, startReplicationGroup } from "../support/servers/replication-group.js";
import { replicasAreEligible } from "../support/stages/eligible-replicas.js";
import { openTidemark } from "../support/stages/open-tidemark.js";
import { waitUntil } from "../support/wait-until.js";
import { RandomReplicas } from "./support/random-replicas.js";
import { countServed } from "./support/served.js";

/** It has no types. */
const koaRedis: (options: { client: Redis }) => SessionOptions["store"] = createRequire(import.meta.url)(
  "koa-redis",
);

const secret = "a secret of this test";
const names = Array.from({ length: 50 }, (_, i) => `user-${i}`);

declare module "express-session" {
  interface SessionData {
    user: string;
  }
}

let group: ReplicationGroup;
let tidemark: Tidemark;

beforeAll(async () => {
  group = await startReplicationGroup({ replicas: 2 });
  tidemark = openTidemark(group);
  await replicasAreEligible(tidemark);
});

afterEach(async () => {
  for (const { link } of group.replicas) link.delay(0);
  await releaseReplicas(group);
});

afterAll(async () => {
  await tidemark.close();
  await group.stop();
});

/** Makes an app to log in and out of, whose sessions are kept on `client`; without `routing`, nobody carries positions. */
type LoginApp = (client: Redis, routing?: Tidemark) => RequestListener;

const apps: Readonly<Record<string, LoginApp>> = {
  "express-session with connect-redis": (client, routing) => {
    const app = express();
    if (routing !== undefined) app.use(readYourWrites(routing, { secret }));
    const store = new RedisStore({ client });
    app.use(session({ secret, store, resave: false, saveUninitialized: false }));
    app.post("/login/:user", (request, response) => {
      request.session.user = request.params.user;
      response.redirect("/me");
    });
    app.post("/logout", (request, response) => request.session.destroy(() => response.redirect("/me")));
    return app.get("/me", (request, response) => void response.json({ user: request.session.user ?? null }));
  },
  "koa-session with koa-redis": (client, routing) => {
    const app = new Koa();
    app.keys = [secret];
    app.use(koaSession({ store: koaRedis({ client }) }, app));
    app.use((context) => {
      const [, page, user] = context.path.split("/");
      if (page === "me") context.body = { user: context.session?.user ?? null };
      if (page === "login") context.session = { user };
      if (page === "logout") context.session = null;
      if (page !== "me") context.redirect("/me");
    });
    const answer = app.callback();
    if (routing === undefined) return answer;
    const middleware = readYourWrites(routing, { secret });
    return (request, response) => middleware(request, response, () => void answer(request, response));
  },
};

/** A browser for each name: keeps cookies and follows redirects. */
function browsersOf({ port }: Listening): Map<string, TestAgent> {
  return new Map(
    names.map((name) => {
      const browser = supertest.agent(`http://127.0.0.1:${port}`);
      // Without cookies they would all look like one.
      browser.set("User-Agent", name);
      return [name, browser];
    }),
  );
}

/**
 * What each browser shows after a request: the user it is logged in as, if any. One after the other, because many at
 * once keep this process so busy that replicas have caught up by the time a redirect is followed.
 */
async function shownAfter(
  browsers: Map<string, TestAgent>,
  visit: (browser: TestAgent, name: string) => supertest.Test,
): Promise<(string | null)[]> {
  const shown: (string | null)[] = [];
  for (const [name, browser] of browsers) {
    const { body } = await visit(browser, name).redirects(1).expect(200);
    shown.push(body.user);
  }
  return shown;
}

const logIn = (browser: TestAgent, name: string) => browser.post(`/login/${name}`);
const logOut = (browser: TestAgent) => browser.post("/logout");
const look = (browser: TestAgent) => browser.get("/me");
const nobody = names.map(() => null);

describe.each(Object.entries(apps))("%s", (_name, loginApp) => {
  it("on a client that reads from a random replica loses every login, and later every logout", async () => {
    using client = new RandomReplicas(group);
    await using listening = await serve(loginApp(client));
    const browsers = browsersOf(listening);
    holdReplicas(group);
    expect(await shownAfter(browsers, logIn)).toEqual(nobody);
    await releaseReplicas(group);
    holdReplicas(group);
    expect(await shownAfter(browsers, logOut)).toEqual(names);
  });

  it.each([
    ["replicas 50 ms behind", () => group.replicas.map(({ link }) => link.delay(50))],
    ["replicas that get nothing", () => holdReplicas(group)],
  ])("loses none of 50 logins and logouts to %s", async (_lag, beginToLag) => {
    await using listening = await serve(loginApp(tidemark.redis, tidemark));
    const browsers = browsersOf(listening);
    beginToLag();
    expect(await shownAfter(browsers, logIn)).toEqual(names);
    expect(await shownAfter(browsers, look)).toEqual(names);
    expect(await shownAfter(browsers, logOut)).toEqual(nobody);
  });

  it("reads sessions from replicas once they have the sessions", async () => {
    await using listening = await serve(loginApp(tidemark.redis, tidemark));
    const browsers = browsersOf(listening);
    await shownAfter(browsers, logIn);
    await waitUntil(
      async () => {
        await group.caughtUp();
        const served = await countServed(group);
        expect(await shownAfter(browsers, look)).toEqual(names);
        // Each look writes too, a new time to live, which a replica may not have got by the next.
        const { primary, replicas } = await served("get");
        return replicas > primary && primary <= names.length / 10;
      },
      { what: "replicas serve nine of ten sessions" },
    );
  });
});
