/** What the mode "shadow" measures on apps whose staleness is known by construction, and that it harms nobody. */
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import type { PolicyForecast, Session, ShadowPolicy, Tidemark } from "../../src/index.js";
import { holdReplicas, releaseReplicas } from "../support/servers/held-replicas.js";
import { callsOf } from "../support/servers/info.js";
import type { ReplicationGroup } from "../support/servers/replication-group.js";
import { replicasAreEligible } from "../support/stages/eligible-replicas.js";
import { type GroupOptions, openTidemark } from "../support/stages/open-tidemark.js";
import { stageTidemark } from "../support/stages/staged-tidemark.js";
import { waitUntil } from "../support/wait-until.js";

let group: ReplicationGroup;
let tidemark: Tidemark;

stageTidemark({ replicas: 2 }, (stage) => {
  ({ group } = stage);
});

/** A Tidemark that observes every session, unless `options` say otherwise. */
async function open(options: GroupOptions = {}): Promise<Tidemark> {
  const opened = openTidemark(group, { shadowSample: 1, ...options });
  onTestFinished(() => opened.close());
  await replicasAreEligible(opened);
  opened.mode = "shadow";
  return opened;
}

beforeEach(async () => {
  tidemark = await open();
});

/** The session of the same user in the next request, once the positions of the writes so far are known. */
async function next(session: Session): Promise<Session> {
  await waitUntil(async () => !session.isObserved || !session.lacksPosition, {
    what: "the positions are known",
  });
  return tidemark.session({ token: session.keyedToken() });
}

/** The forecast, once all of `observed` reads have ended. */
async function forecast(policy: ShadowPolicy, observed: number, of = tidemark): Promise<PolicyForecast> {
  await waitUntil(async () => endedIn(of) >= observed, { what: `${observed} reads are over` });
  const { counts, policies } = of.shadow.report();
  expect(counts.observed).toBe(observed);
  const one = policies.find((each) => each.policy === policy);
  if (one === undefined) throw new Error(`there is no policy ${policy}`);
  return one;
}

/** How many reads of users replicas have got. */
function replicaReads(): number {
  const counts = tidemark.stats().commands.filter(({ role }) => role === "replica");
  return counts.reduce((sum, { count }) => sum + count, 0);
}

/** How many observed reads are in the forecasts by now, known or not. */
function endedIn({ shadow }: Tidemark): number {
  return shadow.report().counts.ended;
}

/** `users` write and read their own key, with one request for each. Returns how many reads there were. */
async function ownReads(
  users: number,
  read: (session: Session, key: string) => Promise<unknown>,
): Promise<number> {
  for (let user = 0; user < users; user += 1) {
    const key = `own:${user}`;
    const session = tidemark.session();
    await session.redis.hset(key, "field", "own", "other", "1");
    await read(await next(session), key);
  }
  return users;
}

describe("reads of replicas that have not applied the user's write", () => {
  beforeEach(() => holdReplicas(group));

  it("all miss it, by position and by value", async () => {
    const reads = await ownReads(60, async ({ redis }, key) => {
      expect(await redis.hget(key, "field")).toBe("own");
    });
    const { missedOwnWrite, primaryShare, unknown } = await forecast("random-replica", reads);
    expect([missedOwnWrite.atLeast.value, missedOwnWrite.atMost.value]).toEqual([1, 1]);
    expect([primaryShare.value, unknown]).toEqual([0, 0]);
    // A replica that does not have the key at all makes no difference to this policy, because the primary is asked then.
    const sticky = await forecast("sticky-2s", reads);
    expect([sticky.missedOwnWrite.atMost.value, sticky.primaryShare.value]).toEqual([0, 1]);
    expect((await forecast("tidemark", reads)).primaryShare.value).toBe(1);
    const { counts } = tidemark.shadow.report();
    expect(counts.asked).toBe(reads);
    expect(counts.compared).toBeGreaterThan(0);
  });

  it("miss nothing by value if the write does not change the answer", async () => {
    await releaseReplicas(group);
    for (let user = 0; user < 60; user += 1) await group.primary.admin().hset(`own:${user}`, "field", "own");
    await group.caughtUp();
    holdReplicas(group);
    const reads = await ownReads(60, ({ redis }, key) => redis.hget(key, "field"));
    const { missedOwnWrite } = await forecast("random-replica", reads);
    // The truth is 0, and it is within the bounds.
    expect([missedOwnWrite.atLeast.value, missedOwnWrite.atMost.value]).toEqual([0, 1]);
  });

  it("do not count if the user has not written the key", async () => {
    const reads = await ownReads(20, ({ redis }) => redis.get("another"));
    expect(await forecast("random-replica", reads)).toMatchObject({
      missedOwnWrite: { atMost: { value: 0 } },
      unknown: 0,
    });
    expect((await forecast("tidemark", reads)).primaryShare.value).toBe(0);
    expect(tidemark.shadow.report().counts.asked).toBe(0);
  });

  it("count as noise if the primary itself changes its answer meanwhile", async () => {
    let isOver = false;
    const counter = (async () => {
      while (!isOver) await group.primary.admin().hincrby("own:0", "other", 1);
    })();
    for (let i = 0; i < 200; i += 1) {
      const session = tidemark.session();
      await session.redis.hincrby("own:0", "other", 1);
      await (await next(session)).redis.hget("own:0", "other");
    }
    await forecast("random-replica", 200);
    isOver = true;
    await counter;
    expect(tidemark.shadow.report().counts.noise).toBeGreaterThan(0);
  });
});

it("half of the replicas lag, so half of the reads at random miss the write", async () => {
  holdReplicas(group, 0);
  const [, current] = group.replicas;
  const reads = await ownReads(200, async ({ redis }, key) => {
    await waitUntil(async () => (await current?.server.admin().hget(key, "field")) === "own", {
      what: "the other replica has the write",
    });
    await redis.hget(key, "field");
  });
  const { missedOwnWrite } = await forecast("random-replica", reads);
  // 200 coins show between 60 and 140 heads, but for once in 100 million runs.
  expect(missedOwnWrite.atMost.value).toBeGreaterThan(0.3);
  expect(missedOwnWrite.atMost.value).toBeLessThan(0.7);
  expect(missedOwnWrite.atMost.low).toBeLessThan(missedOwnWrite.atMost.value);
  expect(missedOwnWrite.atMost.high).toBeGreaterThan(missedOwnWrite.atMost.value);
});

it("replicas that have applied everything miss nothing", async () => {
  for (let user = 0; user < 30; user += 1) {
    const session = tidemark.session();
    await session.redis.set(`own:${user}`, "own");
    await group.caughtUp();
    await (await next(session)).redis.get(`own:${user}`);
  }
  expect(await forecast("random-replica", 30)).toMatchObject({
    missedOwnWrite: { atLeast: { value: 0 }, atMost: { value: 0 } },
    unknown: 0,
  });
  expect((await forecast("tidemark", 30)).missedOwnWrite.atMost.value).toBe(0);
  expect((await forecast("sticky-2s", 30)).primaryShare.value).toBe(1);
});

it("the app gets the answers of the primary, and its errors", async () => {
  const before = replicaReads();
  const session = tidemark.session();
  await session.redis.set("text", "value");
  expect(await session.redis.get("text")).toBe("value");
  expect(await session.redis.getBuffer("text")).toEqual(Buffer.from("value"));
  await expect((await next(session)).redis.hget("text", "field")).rejects.toThrow("WRONGTYPE");
  expect(replicaReads()).toBe(before);
});

it("a write that is not answered yet makes the reads behind it unknown, but Tidemark asks the primary", async () => {
  const session = tidemark.session();
  const write = session.redis.set("own", "1");
  await session.redis.get("own");
  await write;
  expect((await forecast("random-replica", 1)).unknown).toBe(1);
  expect(await forecast("sticky-2s", 1)).toMatchObject({ unknown: 0, primaryShare: { value: 1 } });
  expect(await forecast("tidemark", 1)).toMatchObject({ unknown: 0, primaryShare: { value: 1 } });
});

it("reads of a request follow an earlier one to the primary until replicas have caught up", async () => {
  holdReplicas(group);
  const session = tidemark.session();
  await session.redis.set("own", "1");
  const { redis } = await next(session);
  await redis.get("own");
  await forecast("tidemark", 1);
  const asked = tidemark.stats().probes.primary;
  let reads = 1;
  const readAnother = async (): Promise<void> => {
    await redis.get("another");
    reads += 1;
  };
  // From then on, a position of the primary stands for what the request has read.
  await waitUntil(
    async () => {
      await readAnother();
      return tidemark.stats().probes.primary > asked;
    },
    { what: "the primary is asked for its position" },
  );
  await readAnother();
  expect((await forecast("tidemark", reads)).primaryShare.value).toBe(1);
  // For a client without such a rule, only the first read needs what the user has written.
  expect((await forecast("random-replica", reads)).missedOwnWrite.atMost.value).toBe(1 / reads);
  await (await next(session)).redis.get("another");
  expect((await forecast("tidemark", reads + 1)).primaryShare.value).toBe(reads / (reads + 1));
});

it("leaves out reads at level strong, and says how many", async () => {
  const session = tidemark.session();
  await session.at("strong").get("key");
  await session.redis.get("key");
  await forecast("tidemark", 1);
  expect(tidemark.shadow.report().counts).toMatchObject({ reads: 2, observed: 1, strong: 1 });
});

describe("the sample", () => {
  it("has whole users: a session stays in it, or out of it, in its later requests", async () => {
    tidemark = await open({ shadowSample: 0.5 });
    const sides = new Set<string>();
    for (let user = 0; user < 40; user += 1) {
      let session = tidemark.session();
      await session.redis.set(`own:${user}`, "1");
      const side = session.isObserved;
      for (let request = 0; request < 3; request += 1) {
        session = await next(session);
        await session.redis.get(`own:${user}`);
        if (request === 1) await session.redis.set(`own:${user}`, "2");
        expect(session.isObserved).toBe(side);
      }
      sides.add(String(side));
    }
    expect(sides).toEqual(new Set(["true", "false"]));
  });

  it("adds no command for the sessions outside of it", async () => {
    tidemark = await open({ shadowSample: 0 });
    const servers = [group.primary, ...group.replicas.map(({ server }) => server)];
    const calls = async (): Promise<number> => {
      const each = await Promise.all(servers.map((server) => callsOf(server.admin(), "info")));
      return each.reduce((sum, one) => sum + one, 0);
    };
    const before = await calls();
    const asked = tidemark.stats().probes;
    for (let user = 0; user < 20; user += 1) {
      const session = tidemark.session();
      await session.redis.set("own", "1");
      await (await next(session)).redis.get("own");
    }
    const { primary, replica } = tidemark.stats().probes;
    expect(primary - asked.primary + replica - asked.replica).toBeLessThan(5);
    expect((await calls()) - before).toBeLessThan(5 + servers.length);
    expect(tidemark.shadow.report().counts).toMatchObject({ reads: 20, observed: 0 });
  });
});

it("a session leaves the sample if its token is sent before the position of its write is known", async () => {
  const session = tidemark.session();
  await session.redis.set("own", "1");
  expect((await next(session)).positions).toHaveLength(1);
  const write = session.redis.set("own", "2");
  const later = tidemark.session({ token: session.keyedToken() });
  expect([later.positions.length, later.pinned, later.isObserved]).toEqual([0, true, false]);
  await write;
  expect(session.keyedToken()).not.toBe("");
  expect(tidemark.shadow.report().counts.left).toBe(1);
});

it("a user who wrote before the mode became shadow is observed, but not the reads before the next write", async () => {
  tidemark.mode = "off";
  const before = tidemark.session();
  await before.redis.set("own", "1");
  // A token of the same millisecond would count as one of the mode shadow.
  const writtenAt = Date.now();
  await waitUntil(async () => Date.now() > writtenAt, { what: "a millisecond has passed" });
  tidemark.mode = "shadow";
  const session = tidemark.session({ token: before.keyedToken() });
  expect([session.pinned, session.isObserved]).toEqual([true, true]);
  await session.redis.get("own");
  expect((await forecast("random-replica", 1)).unknown).toBe(1);
  await session.redis.set("own", "2");
  await (await next(session)).redis.get("own");
  expect((await forecast("random-replica", 2)).unknown).toBe(0.5);
});

it("begins again when the mode becomes shadow, and keeps its report in the other modes", async () => {
  await tidemark.session().redis.get("key");
  await forecast("tidemark", 1);
  tidemark.mode = "live";
  await tidemark.session().redis.get("key");
  expect(tidemark.shadow.report().counts.reads).toBe(1);
  tidemark.mode = "shadow";
  expect(tidemark.shadow.report().counts.reads).toBe(0);
});

it("the report is a table for people, and an object for programs", async () => {
  holdReplicas(group);
  const reads = await ownReads(30, ({ redis }, key) => redis.hget(key, "field"));
  await forecast("tidemark", reads);
  const report = tidemark.shadow.report();
  const lines = String(report).split("\n");
  expect(lines[0]).toMatch(
    /^Since 20\S+: 30 of 30 reads observed \(100 % of all\), 30 by asking a replica, \d+ by comparing/,
  );
  expect(lines[1]).toMatch(/^if you read from +misses own writes +primary keeps +unknown +p50 \/ p99$/);
  expect(lines[2]).toMatch(
    /^a random replica +(\d+|100) % to 100 % \(.* to 100 %\) +0\.00 % \(0\.00 % to .*\) +0\.00 % +\d+\.\d ms \/ \d/,
  );
  expect(lines.at(-1)).toMatch(/^Tidemark +none +100 % \(89 % to 100 %\)/);
  expect(Math.max(...lines.slice(1).map(({ length }) => length))).toBeLessThan(120);
  expect(JSON.parse(JSON.stringify(report))).toMatchObject({ sample: 1, counts: { observed: 30 } });
});
