/** The example's cart app, with users who look at their cart while no replica has their write. */
import { once } from "node:events";
import type { Server } from "node:http";
import supertest from "supertest";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { cartApp } from "../../examples/cart/app.js";
import { Shopper } from "../../examples/stale-read/shopper.js";
import { readYourWrites } from "../../src/http/frameworks/express.js";
import { Tidemark } from "../../src/index.js";
import { type ReplicationGroup, startReplicationGroup } from "../support/servers/replication-group.js";

// The app imports the package by its name; here that name means the sources, not what was last built.
vi.mock("tidemark/express", () => import("../../src/http/frameworks/express.js"));

describe("the cart app with readYourWrites()", () => {
  let group: ReplicationGroup;
  let tidemark: Tidemark;
  let listener: Server;

  beforeAll(async () => {
    group = await startReplicationGroup({ replicas: 2 });
    tidemark = new Tidemark({
      primary: group.primary.url,
      replicas: group.replicas.map(({ server }) => server.url),
    });
    await tidemark.ready();
    const app = cartApp(readYourWrites(tidemark, { secret: "a secret only this test uses" }));
    listener = app.listen(0, "127.0.0.1");
    await once(listener, "listening");
  });

  afterAll(async () => {
    listener.close();
    listener.closeAllConnections();
    await tidemark.close();
    await group.stop();
  });

  const hold = () => {
    for (const { link } of group.replicas) link.hold();
  };

  afterEach(async () => {
    for (const { link } of group.replicas) {
      link.delay(0);
      await link.release();
    }
    await group.caughtUp();
  });

  it("shows users the items they added while no replica has them", async () => {
    const user = supertest.agent(listener);
    await user.get("/cart/held").expect(200, {});
    hold();
    await user.post("/cart/held/tea").expect(204);
    await user.get("/cart/held").expect(200, { tea: "1" });
    await user.post("/cart/held/tea").expect(204);
    await user.get("/cart/held").expect(200, { tea: "2" });
  });

  it("lets a stranger read from the replicas, and checks out with the newest cart", async () => {
    const [user, stranger] = [supertest.agent(listener), supertest.agent(listener)];
    await user.post("/cart/shared/tea").expect(204);
    await group.caughtUp();
    hold();
    await user.post("/cart/shared/tea").expect(204);
    const before = await primaryReads();
    await stranger.get("/cart/shared").expect(200, { tea: "1" });
    expect(await primaryReads()).toBe(before);
    await stranger.get("/checkout/shared").expect(200, { tea: "2" });
  });

  it("shows twenty concurrent users every item they added, whatever the lag", async () => {
    const address = listener.address();
    const port = typeof address === "object" ? address?.port : undefined;
    const shoppers = Array.from(
      { length: 20 },
      (_, i) => new Shopper(`http://127.0.0.1:${port}`, `busy-${i}`),
    );
    const steps = Array.from({ length: 30 }, (_, i) => ({ pauseMs: 5, ...(i % 3 === 0 && { item: "tea" }) }));
    for (const [i, { link }] of group.replicas.entries()) link.delay(20 + 40 * i, 20);
    await Promise.all(shoppers.map((shopper) => shopper.shop(steps)));
    for (const shopper of shoppers) shopper.leave();
    expect(shoppers.flatMap(({ errors }) => errors)).toEqual([]);
    expect(shoppers.flatMap(({ readMs }) => readMs)).toHaveLength(20 * 20);
    expect(shoppers.map(({ staleReads }) => staleReads)).toEqual(shoppers.map(() => 0));
  });

  it("shows a page", async () => {
    const page = await supertest(listener).get("/").expect(200);
    expect(page.text).toContain("<title>");
  });

  const primaryReads = () => group.primary.commandCalls("hgetall");
});
