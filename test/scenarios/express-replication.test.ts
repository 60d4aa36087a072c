/** Users of Express apps on real servers, whose writes no replica has yet. */
import { createServer, type RequestListener } from "node:http";
import compression from "compression";
import { RedisStore } from "connect-redis";
import type { Express } from "express";
import session from "express-session";
import supertest from "supertest";
import type TestAgent from "supertest/lib/agent.js";
import { afterAll, afterEach, beforeAll, describe, it } from "vitest";
import { bounded, eventual, readYourWrites, strong } from "../../src/http/frameworks/express.js";
import { Tidemark } from "../../src/index.js";
import { expresses } from "../support/http/replies.js";
import { listenToRoutes } from "../support/listeners/routes.js";
import { type ReplicationGroup, startReplicationGroup } from "../support/servers/replication-group.js";
import { waitUntil } from "../support/wait-until.js";

const secret = "a secret of this test";

let group: ReplicationGroup;
let tidemark: Tidemark;
/** Another process of the same app. */
let elsewhere: Tidemark;

function connect(): Tidemark {
  return new Tidemark({
    primary: group.primary.url,
    replicas: group.replicas.map(({ server }) => server.url),
  });
}

beforeAll(async () => {
  group = await startReplicationGroup({ replicas: 2 });
  [tidemark, elsewhere] = [connect(), connect()];
  await Promise.all([tidemark.ready(), elsewhere.ready()]);
});

afterEach(async () => {
  await Promise.all(group.replicas.map(({ link }) => link.release()));
});

afterAll(async () => {
  await Promise.all([tidemark.close(), elsewhere.close()]);
  await group.stop();
});

function holdReplicas(): void {
  for (const { link } of group.replicas) link.hold();
}

async function isReplicaAsked(user: TestAgent): Promise<boolean> {
  using routes = listenToRoutes();
  await user.get("/notes/replicated").expect(200, { note: "old" });
  return routes.of("get").every((route) => route.startsWith("replica:"));
}

/** A listener that gives each request in turn to another of `listeners`. */
function inTurn(...listeners: readonly RequestListener[]): RequestListener {
  let requests = 0;
  return (request, response) => listeners[requests++ % listeners.length]?.(request, response);
}

describe.each(Object.entries(expresses))("on %s", (_name, express) => {
  function notesApp(routing: Tidemark): Express {
    const app = express().use(readYourWrites(routing, { secret }));
    app.post("/notes/:id/:text", async ({ redis, params }, response, next) => {
      redis.set(`note:${params.id}`, params.text).then(() => response.sendStatus(204), next);
    });
    app.post("/unawaited/:id/:text", ({ redis, params }, response) => {
      redis.set(`note:${params.id}`, params.text);
      response.redirect(`/notes/${params.id}`);
    });
    app.post("/ambient/:id/:text", ({ params }, response) => {
      routing.redis.set(`note:${params.id}`, params.text);
      response.writeHead(200, { "Content-Type": "text/plain" }).end("stored");
    });
    const paths = {
      "/notes": [],
      "/strong": [strong()],
      "/eventual": [eventual()],
      "/fresh": [bounded(5_000)],
    };
    for (const [path, markers] of Object.entries(paths)) {
      app.get(`${path}/:id`, ...markers, ({ redis, params }, response, next) => {
        redis.get(`note:${params.id}`).then((note) => response.json({ note }), next);
      });
    }
    return app;
  }

  it.each(["notes", "unawaited", "ambient"])(
    "users see their writes by POST /%s/…, in every process",
    async (path) => {
      const user = supertest.agent(createServer(inTurn(notesApp(tidemark), notesApp(elsewhere))));
      await group.caughtUp();
      holdReplicas();
      for (const text of ["first", "second", "third"]) {
        await user.post(`/${path}/${path}-seen/${text}`);
        await user.get(`/notes/${path}-seen`).expect(200, { note: text });
        await user.get(`/fresh/${path}-seen`).expect(200, { note: text });
      }
    },
  );

  it("a replica answers a user once it has the user's write, and answers every stranger", async () => {
    const app = notesApp(tidemark);
    const [user, stranger] = [supertest.agent(app), supertest.agent(app)];
    await user.post("/notes/replicated/old").expect(204);
    await group.caughtUp();
    await waitUntil(() => isReplicaAsked(user), { what: "a replica answers the user" });
    holdReplicas();
    await user.post("/notes/replicated/new").expect(204);
    await stranger.get("/notes/replicated").expect(200, { note: "old" });
    await user.get("/eventual/replicated").expect(200, { note: "old" });
    await stranger.get("/strong/replicated").expect(200, { note: "new" });
    await user.get("/notes/replicated").expect(200, { note: "new" });
  });

  it.each([
    ["session alone", []],
    ["compression before it", [compression({ threshold: 0 })]],
  ])("users are logged in when they follow the redirect after the login: %s", async (_stack, before) => {
    const loginApp = (routing: Tidemark) => {
      const app = express().use(readYourWrites(routing, { secret }), ...before);
      const store = new RedisStore({ client: routing.redis });
      app.use(session({ secret, store, resave: false, saveUninitialized: false }));
      app.post("/login/:name", (request, response) => {
        request.session.user = request.params.name;
        response.redirect("/me");
      });
      app.post("/logout", (request, response) => request.session.destroy(() => response.redirect("/me")));
      return app.get(
        "/me",
        (request, response) => void response.json({ user: request.session.user ?? null }),
      );
    };
    const user = supertest.agent(createServer(inTurn(loginApp(tidemark), loginApp(elsewhere))));
    await group.caughtUp();
    holdReplicas();
    for (const name of ["ada", "grace", "edith"]) {
      await user.post(`/login/${name}`).expect(302);
      await user.get("/me").expect(200, { user: name });
    }
    await user.post("/logout").expect(302);
    await user.get("/me").expect(200, { user: null });
  });
});
