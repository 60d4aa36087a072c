/**
 * Takes docs/dashboard.png: five minutes of real traffic, in which all replicas lag and then one is killed. Crop it below the events
 * and reduce it to 256 colours before you commit it.
 */
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import express from "express";
import { dashboard } from "../src/http/frameworks/express.js";
import { type Session, Tidemark } from "../src/index.js";
import { findChromium, startChromium } from "../test/support/browser/chromium.js";
import { serve } from "../test/support/http/exchange.js";
import { startReplicationGroup } from "../test/support/servers/replication-group.js";
import { replicasAreEligible } from "../test/support/stages/eligible-replicas.js";

const userCount = 10;
const picture = fileURLToPath(new URL("../docs/dashboard.png", import.meta.url));

const program = await findChromium();
if (program === undefined) throw new Error("there is no Chromium here");
await using group = await startReplicationGroup({ replicas: 3, lag: { ms: 15, jitterMs: 10 } });
const tidemark = new Tidemark({
  primary: group.primary.url,
  replicas: group.replicas.map(({ server }) => server.url),
  waitMs: 60,
});
await replicasAreEligible(tidemark);
await using app = await serve(express().get("/", dashboard(tidemark)));
const users = { areThere: true };
const visits = Array.from({ length: userCount }, () => visit());
await pause(150_000);
for (const [index, { link }] of group.replicas.entries()) link.delay(250 - 60 * index, 40);
await pause(40_000);
for (const { link } of group.replicas) link.delay(15, 10);
await pause(40_000);
await group.replicas[2]?.server.kill();
await pause(60_000);
const browser = await startChromium(program);
const page = await browser.newPage();
await page.setViewport({ width: 1280, height: 900 });
await page.goto(`http://127.0.0.1:${app.port}/`);
await pause(10_000);
await page.screenshot({ path: picture, fullPage: true });
await browser.close();
users.areThere = false;
await Promise.all(visits);
await tidemark.close();

/** Looks at many things and buys a few, as people do. */
async function visit(): Promise<void> {
  while (users.areThere) {
    const session = tidemark.session();
    const cart = `cart:${Math.random()}`;
    for (let look = 0; look < 8; look += 1) {
      await lookAround(session, cart);
      if (Math.random() < 0.2) await session.redis.hincrby(cart, "tea", 1);
      if (Math.random() < 0.5) await session.redis.hgetall(cart);
    }
    await session.redis.hgetall(cart);
    await session.at("strong").hgetall(cart);
  }
}

async function lookAround({ redis }: Session, cart: string): Promise<void> {
  await Promise.all([redis.get("catalogue"), redis.hgetall(cart)]);
  await pause(20 + Math.random() * 120);
}
