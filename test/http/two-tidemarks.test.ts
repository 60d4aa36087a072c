/** Two Tidemarks in one app, for carts and for accounts that are on different servers. */
import express, { type Express, type Request } from "express";
import supertest from "supertest";
import { afterAll, beforeAll, expect, it } from "vitest";
import { cookie, readYourWrites, strong } from "../../src/http/frameworks/express.js";
import type { SessionClient, Tidemark } from "../../src/index.js";
import { listenToRoutes } from "../support/listeners/routes.js";
import { holdReplicas, releaseReplicas } from "../support/servers/held-replicas.js";
import { type ReplicationGroup, startReplicationGroup } from "../support/servers/replication-group.js";
import { replicasAreEligible } from "../support/stages/eligible-replicas.js";
import { openTidemark } from "../support/stages/open-tidemark.js";

const secret = "a secret of this test";
const properties = { redis: "accounts", consistency: "accountSession" };

let groups: readonly ReplicationGroup[];
let tidemarks: readonly Tidemark[];
let app: Express;

/** The client of the second Tidemark, which Express's types know nothing of. */
function accountsOf(request: Request): SessionClient {
  return Reflect.get(request, "accounts");
}

beforeAll(async () => {
  groups = await Promise.all([
    startReplicationGroup({ replicas: 1 }),
    startReplicationGroup({ replicas: 1 }),
  ]);
  tidemarks = groups.map((group) => openTidemark(group, { maxStalenessMs: 50_000 }));
  await Promise.all(tidemarks.map((tidemark) => replicasAreEligible(tidemark)));
  const [carts, accounts] = tidemarks;
  if (carts === undefined || accounts === undefined) throw new Error("there are two");
  app = express().set("env", "test").use(readYourWrites(carts, { secret }));
  app.use(readYourWrites(accounts, { secret, properties, carrier: cookie({ prefix: "accounts_" }) }));
  app.post("/carts/:value", ({ redis, params }, response, next) => {
    redis.set("k", params.value).then(() => response.sendStatus(204), next);
  });
  app.post("/accounts/:value", (request, response, next) => {
    accountsOf(request)
      .set("k", request.params.value)
      .then(() => response.sendStatus(204), next);
  });
  const both = async (request: Request): Promise<unknown> => {
    // By the request, and by the clients that follow it.
    const own = [await request.redis.get("k"), await accountsOf(request).get("k")];
    return [own, [await carts.redis.get("k"), await accounts.redis.get("k")]];
  };
  app.get("/", (request, response, next) => {
    both(request).then((found) => response.json(found), next);
  });
  app.get("/strong", strong(), (request, response, next) => {
    both(request).then((found) => response.json(found), next);
  });
});

afterAll(async () => {
  for (const tidemark of tidemarks) await tidemark.close();
  await Promise.all(groups.map((group) => releaseReplicas(group).then(() => group.stop())));
});

it("two Tidemarks share nothing: each has its own servers, cookies and clients, and a marker applies to both", async () => {
  for (const group of groups) holdReplicas(group);
  const user = supertest.agent(app);
  const cart = await user.post("/carts/tea").expect(204);
  expect(cart.headers["set-cookie"]).toEqual([expect.stringMatching(/^tm_/)]);
  await user.get("/").expect(200, [
    ["tea", null],
    ["tea", null],
  ]);
  const account = await user.post("/accounts/ada").expect(204);
  expect(account.headers["set-cookie"]).toEqual([expect.stringMatching(/^accounts_/)]);
  using routes = listenToRoutes();
  await user.get("/").expect(200, [
    ["tea", "ada"],
    ["tea", "ada"],
  ]);
  await supertest(app)
    .get("/")
    .expect(200, [
      [null, null],
      [null, null],
    ]);
  expect(routes.of("get").slice(-4)).toEqual(
    Array.from({ length: 4 }, () => expect.stringMatching(/^replica:/)),
  );
  routes.clear();
  await supertest(app)
    .get("/strong")
    .expect(200, [
      ["tea", "ada"],
      ["tea", "ada"],
    ]);
  expect(routes.of("get")).toEqual(Array.from({ length: 4 }, () => "primary:strong"));
});

it.each([
  ["an invalid name", { redis: "two words" }, /^properties\.redis/],
  ["a name that is not a string", { consistency: 7 }, /^properties\.consistency/],
  ["the same name for both", { redis: "one", consistency: "one" }, /^properties/],
])("two Tidemarks refuse %s", (_what, names, message) => {
  const make = () => Reflect.apply(readYourWrites, undefined, [tidemarks[0], { secret, properties: names }]);
  expect(make).toThrow(expect.objectContaining({ message: expect.stringMatching(message) }));
});
