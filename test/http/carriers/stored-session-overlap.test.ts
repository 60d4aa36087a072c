/** Tokens in the sessions of express-session that two processes overwrite. */
import express, { type Express } from "express";
import session, { MemoryStore } from "express-session";
import supertest from "supertest";
import type TestAgent from "supertest/lib/agent.js";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { readYourWrites, session as stored } from "../../../src/http/frameworks/express.js";
import type { Tidemark } from "../../../src/index.js";
import type { Routes } from "../../support/listeners/routes.js";
import { holdReplicas } from "../../support/servers/held-replicas.js";
import type { ReplicationGroup } from "../../support/servers/replication-group.js";
import { replicasAreEligible } from "../../support/stages/eligible-replicas.js";
import { openTidemark } from "../../support/stages/open-tidemark.js";
import { stageTidemark } from "../../support/stages/staged-tidemark.js";
import { waitUntil } from "../../support/wait-until.js";

const secret = "a secret of this test";

let group: ReplicationGroup;
let tidemark: Tidemark;
let routes: Routes;
/** Another process of the same app. */
let elsewhere: Tidemark;
let store: MemoryStore;

stageTidemark({ replicas: 2 }, (stage) => {
  ({ group, tidemark, routes } = stage);
});

beforeEach(async () => {
  elsewhere = openTidemark(group);
  await replicasAreEligible(elsewhere);
  store = new MemoryStore();
});

afterEach(async () => {
  vi.restoreAllMocks();
  await elsewhere.close();
});

const sessions = () => session({ secret, store, resave: false, saveUninitialized: false });

function appOf(routing: Tidemark): Express {
  const app = express().set("env", "test");
  app.use(sessions(), readYourWrites(routing, { carrier: stored({ overlapMs: 60_000 }) }));
  app.post("/login/:user", (request, response, next) => {
    request.session.regenerate((error) => {
      request.session.user = request.params.user;
      if (error) return next(error);
      request.redis.set("k", request.params.user).then(() => response.sendStatus(204), next);
    });
  });
  app.post("/write/:value", ({ redis, params }, response, next) => {
    redis.set("k", params.value).then(() => response.sendStatus(204), next);
  });
  app.post("/logout", (request, response, next) => {
    request.redis
      .set("k", "nobody")
      .then(() => request.session.destroy(() => response.sendStatus(204)), next);
  });
  app.get("/", ({ redis }, response, next) => {
    redis.get("k").then((value) => response.json({ value }), next);
  });
  return app;
}

type Part = (request: express.Request) => unknown;

/** An app of the other process whose one request has begun, its session loaded, and ends when it is let go. */
function slowApp(begin: Part, end: Part): { app: Express; hasBegun: () => boolean; letGo: () => void } {
  let letGo: (() => void) | undefined;
  const app = express().use(
    sessions(),
    readYourWrites(elsewhere, { carrier: stored({ overlapMs: 60_000 }) }),
  );
  app.use(async (request, response) => {
    await begin(request);
    await new Promise<void>((resolve) => {
      letGo = resolve;
    });
    end(request);
    response.sendStatus(204);
  });
  return { app, hasBegun: () => letGo !== undefined, letGo: () => letGo?.() };
}

/** A user whose session asks for nothing yet. */
async function known(): Promise<TestAgent> {
  const app = express().use(sessions());
  app.use((request, response) => {
    request.session.user = "known";
    response.sendStatus(204);
  });
  const user = supertest.agent(app);
  await user.get("/").expect(204);
  return user;
}

/** The same user at another app. */
function at(app: Express, user: TestAgent): TestAgent {
  return Object.assign(supertest.agent(app), { jar: user.jar });
}

describe("a token that another request of the same user overwrites with its session", () => {
  const change: Part = ({ session }) => {
    session.user = "changed";
  };
  it.each<[string, Part, Part]>([
    ["having changed it", () => {}, change],
    ["having written before", ({ redis }) => redis.set("other", "v"), () => {}],
  ])("is not lost: %s", async (_what, begin, end) => {
    const user = await known();
    const slow = slowApp(begin, end);
    const saving = at(slow.app, user)
      .get("/")
      .then(({ status }) => status);
    await waitUntil(slow.hasBegun, { what: "the other request has loaded the session" });
    await group.caughtUp();
    holdReplicas(group);
    const app = appOf(tidemark);
    await at(app, user).post("/write/new").expect(204);
    slow.letGo();
    expect(await saving).toBe(204);
    for (let i = 0; i < 10; i++) await at(app, user).get("/").expect(200, { value: "new" });
  });
});

describe("a session", () => {
  it("that is regenerated at login keeps its token, and a logout removes the token", async () => {
    const user = at(appOf(tidemark), await known());
    await group.caughtUp();
    holdReplicas(group);
    await user.post("/login/second").expect(204);
    routes.clear();
    await user.get("/").expect(200, { value: "second" });
    expect(routes.of("get")[0]).toMatch(/^primary:(behind|check-failed)$/);
    await user.post("/logout").expect(204);
    expect(Object.values(Reflect.get(store, "sessions") ?? {})).not.toContainEqual(
      expect.stringContaining("second"),
    );
  });

  it("without changes is not saved", async () => {
    const user = at(appOf(tidemark), await known());
    await user.post("/write/first").expect(204);
    const set = vi.spyOn(store, "set");
    await user.get("/").expect(200, { value: "first" });
    expect(set).toHaveBeenCalledTimes(0);
  });

  it("that is not loaded yet leaves the read to the primary, and a warning says why", async () => {
    const warn = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    const early = express().use(readYourWrites(tidemark, { carrier: stored() }));
    early.get("/", ({ redis }, response, next) => {
      redis.get("k").then((value) => response.json({ value }), next);
    });
    routes.clear();
    await supertest(early).get("/").expect(200, { value: null });
    expect(routes.of("get")).toEqual(["primary:position-unknown"]);
    expect(warn.mock.calls).toEqual([
      [expect.any(String), expect.objectContaining({ detail: expect.stringContaining("after the session") })],
    ]);
  });
});

it.each([{ name: "" }, { name: "two words" }, { overlapMs: -1 }, { overlapMs: "1000" }])(
  "session(%j) is refused",
  (options) => {
    expect(() => Reflect.apply(stored, undefined, [options])).toThrow(
      expect.objectContaining({ code: "TIDEMARK_INVALID_OPTION" }),
    );
  },
);
