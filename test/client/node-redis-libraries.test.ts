/** Libraries that accept only a node-redis client work with the one on top of Tidemark. */
import KeyvRedis from "@keyv/redis";
import { RedisStore } from "connect-redis9";
import express from "express";
import session from "express-session";
import Keyv from "keyv";
import supertest from "supertest";
import { describe, expect, it } from "vitest";
import { nodeRedis } from "../../src/client/node-redis.js";
import { readYourWrites } from "../../src/http/frameworks/express.js";
import type { Tidemark } from "../../src/index.js";
import type { Routes } from "../support/listeners/routes.js";
import { holdReplicas } from "../support/servers/held-replicas.js";
import type { ReplicationGroup } from "../support/servers/replication-group.js";
import { stageTidemark } from "../support/stages/staged-tidemark.js";
import { waitUntil } from "../support/wait-until.js";

const secret = "a secret of this test";

let group: ReplicationGroup;
let tidemark: Tidemark;
let routes: Routes;

stageTidemark({ replicas: 1 }, (stage) => {
  ({ group, tidemark, routes } = stage);
});

describe("Libraries that accept only a node-redis client", () => {
  it("connect-redis 9: users are logged in after the login redirect, while every replica lags", async () => {
    const app = express().use(readYourWrites(tidemark, { secret }));
    const store = new RedisStore({ client: nodeRedis(tidemark.redis) });
    app.use(session({ secret, store, resave: false, saveUninitialized: false }));
    app.post("/login/:name", (request, response) => {
      request.session.user = request.params.name;
      response.redirect("/me");
    });
    app.post("/logout", (request, response) => request.session.destroy(() => response.redirect("/me")));
    app.get("/me", (request, response) => void response.json({ user: request.session.user ?? null }));
    const user = supertest.agent(app);
    await user.post("/login/nobody").expect(302);
    await group.caughtUp();
    await waitUntil(
      async () => {
        routes.clear();
        await user.get("/me").expect(200, { user: "nobody" });
        return routes.of("get").at(-1)?.startsWith("replica:") === true;
      },
      { what: "a replica answers" },
    );
    holdReplicas(group);
    for (const name of ["ada", "grace"]) {
      await user.post(`/login/${name}`).expect(302);
      await user.get("/me").expect(200, { user: name });
    }
    expect(await store.ids()).toHaveLength(1);
    expect(await store.all()).toMatchObject([{ user: "grace" }]);
    await user.post("/logout").expect(302);
    await user.get("/me").expect(200, { user: null });
  });

  it("@keyv/redis", async () => {
    // Its types are those of the version of node-redis that it brings.
    const store: KeyvRedis<string> = Reflect.construct(KeyvRedis, [nodeRedis(tidemark.redis)]);
    const cache = new Keyv<string>({ store, throwOnErrors: true });
    holdReplicas(group);
    await tidemark.run(tidemark.session(), async () => {
      await cache.set("a", "1", 60_000);
      await cache.setMany([{ key: "b", value: "2" }]);
      expect(await cache.get("a")).toBe("1");
      expect(await cache.getMany(["a", "b", "none"])).toEqual(["1", "2", undefined]);
      expect(await cache.has("b")).toBe(true);
      expect(await cache.delete("a")).toBe(true);
      expect(await cache.get("a")).toBeUndefined();
      await cache.clear();
      expect(await cache.get("b")).toBeUndefined();
    });
  });
});
