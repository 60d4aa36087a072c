/** The example's carts on Koa and on Fastify, with users who look at their cart while no replica has their write. */
import supertest from "supertest";
import type { Tidemark } from "tidemark";
import { describe, expect, it, vi } from "vitest";
import { cartApp as fastifyCart } from "../../examples/fastify/app.js";
import { cartApp as koaCart } from "../../examples/koa/app.js";
import { serve } from "../support/http/exchange.js";
import { holdReplicas } from "../support/servers/held-replicas.js";
import { type ExampleStage, stageExample } from "../support/stages/staged-example.js";

// Apps import the package by its name; here that name means the sources, not what was last built.
vi.mock("tidemark/koa", () => import("../../src/http/frameworks/koa.js"));
vi.mock("tidemark/fastify", () => import("../../src/http/frameworks/fastify.js"));
vi.mock("tidemark", () => import("../../src/index.js"));

const secret = "a secret of this test";

let stage: ExampleStage;

stageExample((entered) => {
  stage = entered;
});

interface Served extends AsyncDisposable {
  readonly url: string;
}

const hosts: Readonly<Record<string, (tidemark: Tidemark) => Promise<Served>>> = {
  Koa: async (tidemark) => {
    const listening = await serve(koaCart(tidemark, secret).callback());
    return {
      url: `http://127.0.0.1:${listening.port}`,
      [Symbol.asyncDispose]: () => listening[Symbol.asyncDispose](),
    };
  },
  Fastify: async (tidemark) => {
    const app = await fastifyCart(tidemark, secret);
    const url = await app.listen({ host: "127.0.0.1", port: 0 });
    return { url, [Symbol.asyncDispose]: () => app.close() };
  },
};

describe.each(Object.entries(hosts))("the cart on %s", (_name, host) => {
  it("shows users the items they added while no replica has them", async () => {
    await using served = await host(stage.tidemark);
    const user = supertest.agent(served.url);
    await user.get("/cart/ann").expect(200, {});
    holdReplicas(stage.group);
    await user.post("/cart/ann/tea").expect(204);
    await user.get("/cart/ann").expect(200, { tea: "1" });
    await user.post("/cart/ann/tea").expect(204);
    await user.get("/cart/ann").expect(200, { tea: "2" });
  });

  it("lets a stranger read from the replicas, and checks out with the newest cart", async () => {
    const { group, tidemark } = stage;
    await using served = await host(tidemark);
    const [user, stranger] = [supertest.agent(served.url), supertest.agent(served.url)];
    await user.post("/cart/ann/tea").expect(204);
    await group.caughtUp();
    holdReplicas(group);
    await user.post("/cart/ann/tea").expect(204);
    const before = await group.primary.commandCalls("hgetall");
    await stranger.get("/cart/ann").expect(200, { tea: "1" });
    expect(await group.primary.commandCalls("hgetall")).toBe(before);
    await stranger.get("/checkout/ann").expect(200, { tea: "2" });
  });
});
