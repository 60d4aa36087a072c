/** The page of the dashboard in a real browser, on a real app with real servers. */
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import express from "express";
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from "vitest";
import { dashboard, readYourWrites } from "../../src/http/frameworks/express.js";
import type { Tidemark } from "../../src/index.js";
import { describeInBrowser } from "../support/browser/staged-browser.js";
import { type ReplicationGroup, startReplicationGroup } from "../support/servers/replication-group.js";
import { replicasAreEligible } from "../support/stages/eligible-replicas.js";
import { openTidemark } from "../support/stages/open-tidemark.js";

let group: ReplicationGroup;
let tidemark: Tidemark;
let server: Server;
let url: string;

beforeAll(async () => {
  group = await startReplicationGroup({ replicas: 2 });
});

afterAll(() => group.stop());

beforeEach(async () => {
  tidemark = openTidemark(group);
  await replicasAreEligible(tidemark);
  server = createServer(shop(tidemark));
  await listen(0);
  url = `http://127.0.0.1:${portOf(server)}`;
});

afterEach(async () => {
  await hangUp();
  await tidemark.close();
});

async function listen(port: number): Promise<void> {
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
}

/** Ends the app's server, as a crash does. */
async function hangUp(): Promise<void> {
  const closed = once(server, "close");
  server.close();
  server.closeAllConnections();
  await closed;
}

function portOf(listening: Server): number {
  return (listening.address() as AddressInfo).port;
}

/** A shop whose users put one more item into their cart, and look at the cart. */
function shop(source: Tidemark): express.Express {
  const app = express();
  app.get("/tidemark", dashboard(source));
  app.use(readYourWrites(source, { secret: "a secret of this test" }));
  app.post("/cart/:user", async (req, res) => {
    res.json(await req.redis.hincrby(`cart:${req.params.user}`, "tea", 1));
  });
  app.get("/cart/:user", async (req, res) => {
    res.json(await req.redis.hgetall(`cart:${req.params.user}`));
  });
  return app;
}

/** Puts an item into a cart and looks at it, as a click on a page does. */
async function click(user: string): Promise<void> {
  const added = await fetch(`${url}/cart/${user}`, { method: "POST" });
  const [cookie = ""] = added.headers.getSetCookie().map((line) => line.split(";", 1)[0] ?? "");
  const tea = await added.text();
  expect(await (await fetch(`${url}/cart/${user}`, { headers: { cookie } })).json()).toEqual({ tea });
}

function addressOf({ host, port }: { readonly host: string; readonly port: number }): string {
  return `${host}:${port}`;
}

/** The address and port of a replica of the group. */
function replica(index: number): ReplicationGroup["replicas"][number]["server"] {
  const found = group.replicas[index];
  if (found === undefined) throw new Error("the group has no such replica");
  return found.server;
}

describeInBrowser("The page of the dashboard", (browser) => {
  it.each([
    { width: 1280, scheme: "light" },
    { width: 1280, scheme: "dark" },
    { width: 360, scheme: "light" },
    { width: 360, scheme: "dark" },
  ] as const)("opens without a complaint, $width pixels wide in a $scheme scheme", async (visitor) => {
    await click("opener");
    await using visit = await browser.open(`${url}/tidemark`, visitor);
    await visit.shows("#connection", "Live");
    await visit.shows("#verdict", "All replicas serve.");
    await visit.keep(`live-${visitor.scheme}-${visitor.width}`);
    expect(await visit.evaluate("document.documentElement.scrollWidth")).toBe(visitor.width);
    expect(visit.complaints).toEqual([]);
    const elsewhere = visit.requests.filter(
      (asked) => !asked.startsWith("data:") && asked !== `${url}/tidemark`,
    );
    expect(elsewhere).toEqual([]);
  });

  it("shows each server with its role and its state", async () => {
    await using visit = await browser.open(`${url}/tidemark`);
    await visit.shows("#verdict-text", /^All replicas serve\.$/);
    const rows = await visit.texts("#servers tbody tr");
    const expected = [group.primary, ...group.replicas.map((one) => one.server)];
    expect(rows).toHaveLength(3);
    for (const [index, one] of expected.entries()) expect(rows[index]).toContain(addressOf(one));
    expect(await visit.texts("#servers .server .tag")).toEqual(["primary", "replica", "replica"]);
    expect(await visit.texts("#servers .state")).toEqual(["serving", "serving", "serving"]);
    for (const lag of (await visit.texts("#servers .lag")).slice(1)) expect(lag).toMatch(/^[\d.]+ m?s$/);
  });

  it("shows a click of a user in the table of reads and in the counts", async () => {
    await using visit = await browser.open(`${url}/tidemark`);
    await visit.shows("#connection", "Live");
    await click("clicker");
    await visit.shows("#latest tbody", "hgetall");
    const [row = ""] = await visit.texts("#latest tbody tr");
    expect(row).toMatch(
      /hgetall\s+(primary|replica)127\.0\.0\.1:\d+\s+[a-z-]+\s+session\s+[\d.]+ ms\s+answered/,
    );
    await visit.shows("#moment", /^Last five minutes: [1-9]\d* reads?/);
    const [, reason = ""] = /session|127\.0\.0\.1:\d+\s+([a-z-]+)/.exec(row) ?? [];
    await visit.shows("#reasons tbody", reason);
  });

  it("shows at once that a replica is killed, and that it is back", async () => {
    await using visit = await browser.open(`${url}/tidemark`);
    await visit.shows("#verdict-text", "All replicas serve.");
    const killed = replica(1);
    await killed.kill();
    await visit.shows("#verdict-text", `1 of 2 replicas is not used: ${addressOf(killed)} does not answer.`);
    await visit.shows("#servers tr.unused", /✕?\s*silent\s[\s\S]*Check that it runs/);
    await visit.shows("#events", `Replica ${addressOf(killed)} answers no reads`);
    await visit.shows("#lags .unproven", "not proven");
    expect(await visit.count("#reads-chart path.mark")).toBeGreaterThan(0);
    expect(await visit.evaluate("document.querySelector('#verdict').dataset.level")).toBe("warn");
    expect(await visit.text("#servers tr.unused .latency")).toBe("–");
    expect(await visit.count("#events .mark.loss")).toBe(1);
    await visit.keep("replica-killed");
    await killed.restart();
    await visit.shows("#verdict-text", "All replicas serve.");
    await visit.shows("#events", `Replica ${addressOf(killed)} may answer reads`);
  });

  it("shows reads that fall back while no replica can answer", async () => {
    await using visit = await browser.open(`${url}/tidemark`);
    await visit.shows("#connection", "Live");
    const bars = () => visit.count("#reads-chart rect[fill='url(#fill-unusable)']");
    expect(await bars()).toBe(0);
    for (const { server: one } of group.replicas) one.pause();
    await visit.shows("#verdict-text", /^No replica is used: /);
    await click("faller");
    await visit.shows("#reasons tbody", /unusable\s+a problem/);
    expect(await bars()).toBe(1);
    for (const { server: one } of group.replicas) one.resume();
    await visit.shows("#verdict-text", "All replicas serve.");
  });

  it("shows that the app is gone, and goes on when the app is back", async () => {
    await using visit = await browser.open(`${url}/tidemark`);
    await visit.shows("#connection", "Live");
    const port = portOf(server);
    await hangUp();
    await visit.shows("#connection", "Connection lost");
    expect(await visit.text("#trouble")).toBe("The connection to the app is lost. Trying again.");
    expect(await visit.evaluate("getComputedStyle(document.querySelector('#data')).filter")).toContain(
      "grayscale",
    );
    await visit.keep("app-gone");
    await listen(port);
    await visit.shows("#connection", "Live");
    expect(await visit.text("#trouble")).toBe("");
  });
});

describeInBrowser("The page of a primary that is killed", (browser) => {
  it("says that the primary is gone", async () => {
    await using visit = await browser.open(`${url}/tidemark`);
    await visit.shows("#verdict-text", "All replicas serve.");
    await group.primary.kill();
    await visit.shows("#verdict-text", `The primary is gone: ${addressOf(group.primary)} does not answer.`);
    expect(await visit.evaluate("document.querySelector('#verdict').dataset.level")).toBe("bad");
    await visit.keep("primary-killed");
    await group.primary.restart();
    await visit.shows("#verdict-text", "All replicas serve.");
  });
});
