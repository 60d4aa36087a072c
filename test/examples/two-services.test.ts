/** The example's two services: each sees the other's writes for the same user. */
import type { RequestListener } from "node:http";
import supertest from "supertest";
import { Tidemark } from "tidemark";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { replicasAnswer } from "../../examples/servers.js";
import { shopApp } from "../../examples/two-services/shop.js";
import { stockApp } from "../../examples/two-services/stock.js";
import { type Listening, serve } from "../support/http/exchange.js";
import { holdReplicas } from "../support/servers/held-replicas.js";
import { type ExampleStage, stageExample } from "../support/stages/staged-example.js";

// Apps import the package by its name; here that name means the sources, not what was last built.
vi.mock("tidemark", () => import("../../src/index.js"));
vi.mock("tidemark/express", () => import("../../src/http/frameworks/express.js"));
vi.mock("tidemark/koa", () => import("../../src/http/frameworks/koa.js"));

const secret = "a secret of both services";

let stage: ExampleStage;
let elsewhere: Tidemark;
let services: Listening[];
/** Runs before the stock service sees a request. */
let beforeStock: () => Promise<void> | void;

stageExample((entered) => {
  stage = entered;
});

const urlOf = ({ port }: Listening) => `http://127.0.0.1:${port}`;

beforeEach(async () => {
  const { primary, replicas } = stage.group;
  elsewhere = new Tidemark({ primary: primary.url, replicas: replicas.map(({ server }) => server.url) });
  await replicasAnswer(elsewhere);
  beforeStock = () => {};
  const answer: RequestListener = stockApp(elsewhere, secret).callback();
  const stock = await serve(async (request, response) => {
    await beforeStock();
    answer(request, response);
  });
  services = [stock, await serve(shopApp(stage.tidemark, { secret, stock: urlOf(stock) }))];
});

afterEach(async () => {
  for (const service of services) await service[Symbol.asyncDispose]();
  await elsewhere.close();
});

const browser = () => supertest.agent(services.map(urlOf).at(-1));

it("lets the second service see the first one's write, while no replica has it", async () => {
  holdReplicas(stage.group);
  await browser().post("/orders/1/tea").expect(204);
});

it("lets the first service's user see the second one's write, while replicas have only the first one's", async () => {
  beforeStock = async () => {
    await stage.group.caughtUp();
    holdReplicas(stage.group);
  };
  const user = browser();
  await user.post("/orders/1/tea").expect(204);
  await user.get("/orders/1").expect(200, { item: "tea", reserved: "yes" });
});

it("lets the second service read from replicas once they have the write", async () => {
  beforeStock = () => stage.group.caughtUp();
  const before = await stage.group.primary.commandCalls("hget");
  await browser().post("/orders/1/tea").expect(204);
  expect(await stage.group.primary.commandCalls("hget")).toBe(before);
});
