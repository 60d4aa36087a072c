/** A browser with many writes in flight, on real servers whose replicas have none of them yet. */
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import type { Tidemark } from "../../../src/index.js";
import { hasDoublings } from "../../support/doublings.js";
import { Browser } from "../../support/http/browser.js";
import { type Door, listening } from "../../support/http/door.js";
import type { Scene } from "../../support/http/framework-app.js";
import { listenToRoutes } from "../../support/listeners/routes.js";
import { seeded } from "../../support/load/seeded.js";
import { holdReplicas, releaseReplicas } from "../../support/servers/held-replicas.js";
import { type ReplicationGroup, startReplicationGroup } from "../../support/servers/replication-group.js";
import { replicasAreEligible } from "../../support/stages/eligible-replicas.js";
import { openTidemark } from "../../support/stages/open-tidemark.js";
import { waitUntil } from "../../support/wait-until.js";

const maxBytesPerProcess = 4_000;
vi.setConfig({ testTimeout: 90_000 });
let group: ReplicationGroup;
let tidemarks: readonly Tidemark[];
let keys = 0;

beforeAll(async () => {
  group = await startReplicationGroup({ replicas: 2 });
  tidemarks = [1, 2, 3].map(() => openTidemark(group, { fallbackLimit: false }));
  await Promise.all(tidemarks.map(replicasAreEligible));
});

afterEach(() => releaseReplicas(group));

afterAll(async () => {
  await Promise.all(tidemarks.map((tidemark) => tidemark.close()));
  await group.stop();
});

/** `?set=text` writes, all else reads, the key that `key` names. */
const notes: Scene = {
  handler: async ({ session, query }) => {
    const [key, text] = [query.get("key") ?? "", query.get("set")];
    if (text !== null) await session.redis.set(key, text);
    return { body: String(await session.redis.get(key)) };
  },
};

/** As many doors as there are processes. */
async function open(
  framework: string,
  processes: number,
): Promise<AsyncDisposable & { readonly doors: Door[] }> {
  const opener = listening[framework];
  if (opener === undefined) throw new Error(`there is no ${framework}`);
  const doors = await Promise.all(tidemarks.slice(0, processes).map((one) => opener(one, notes)));
  return {
    doors,
    [Symbol.asyncDispose]: async () => {
      for (const door of doors) await door[Symbol.asyncDispose]();
    },
  };
}

/** Has replication get past whatever a token may have been rounded to. */
async function moveOn(): Promise<void> {
  const admin = group.primary.admin();
  for (let n = 0; n < 8; n += 1) await admin.set("filling", "x".repeat(2 ** 20));
}

const bursts: readonly (readonly [framework: string, count: number, processes: number])[] = [
  ["Express 5", 1_000, 1],
  ["Express 5", 1_000, 3],
  ["Fastify", 1_000, 3],
  ["Koa", 300, 1],
];
/** The carrier is the same on every framework. */
const tested = bursts.filter(([framework]) => hasDoublings || framework === "Express 5");

describe.each(tested)("on %s, of %i writes at once by %i processes", (framework, count, processes) => {
  it.each([
    ["without cookies", false],
    ["with a token and a login", true],
  ])(
    "no write is missed, in any order of arrival, and the browser has few cookies: %s",
    async (_what, isKnown) => {
      await using opened = await open(framework, processes);
      const browser = new Browser(opened.doors);
      if (isKnown) {
        browser.jar.receive("http://shop.example.com/", ["login=someone"]);
        await browser.ask({ query: "key=before&set=1" });
      }
      await group.caughtUp();
      holdReplicas(group);
      const random = seeded(count + processes);
      const writes = Array.from({ length: count }, async () => {
        const key = `burst-${keys++}`;
        return { key, ...(await browser.send({ query: `key=${key}&set=${key}` })) };
      });
      const answers = (await Promise.all(writes))
        .map((one) => ({ one, at: random() }))
        .sort((one, other) => one.at - other.at);
      let most = 0;
      for (const [n, { one }] of answers.entries()) {
        expect(one.answered.status).toBe(200);
        one.arrive();
        most = Math.max(most, browser.bytes);
        if (n % 25 > 0) continue;
        const { status, body } = await browser.ask({ query: `key=${one.key}` });
        expect([status, body]).toEqual([200, one.key]);
      }
      expect(most).toBeLessThanOrEqual(maxBytesPerProcess * processes);
      for (const { one } of answers.slice(0, 50))
        expect((await browser.ask({ query: `key=${one.key}` })).body).toBe(one.key);
      if (isKnown) expect(browser.names).toContain("login");
    },
  );
});

it("new users who look like one browser read from replicas again as soon as the replicas have caught up", async () => {
  await using opened = await open("Express 5", 1);
  const crowd = Array.from({ length: 200 }, () => new Browser(opened.doors));
  holdReplicas(group);
  await Promise.all(crowd.map((user, n) => user.ask({ query: `key=crowd-${n}&set=${n}` })));
  for (const [n, user] of crowd.entries()) {
    expect(user.names).toHaveLength(1);
    expect((await user.ask({ query: `key=crowd-${n}` })).body).toBe(`${n}`);
  }
  await releaseReplicas(group);
  await moveOn();
  await group.caughtUp();
  const areOnReplicas = async (): Promise<boolean> => {
    using routes = listenToRoutes();
    for (const user of crowd) await user.ask({ query: "key=nothing" });
    return routes.of("get").every((route) => route.startsWith("replica:"));
  };
  await waitUntil(areOnReplicas, { what: "replicas answer all requests" });
});
