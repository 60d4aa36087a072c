/** What a dashboard shows of the servers and of the app's reads and writes. */
import compression from "compression";
import express from "express";
import { describe, expect, it } from "vitest";
import type { FeedMessages, Sample } from "../../../src/http/dashboard/feed-messages.js";
import { dashboard, readYourWrites } from "../../../src/http/frameworks/express.js";
import type { Tidemark } from "../../../src/index.js";
import { ask, type Listening, serve } from "../../support/http/exchange.js";
import { FeedReader } from "../../support/http/feed-reader.js";
import { failOver, replicaOf } from "../../support/servers/failover.js";
import { holdReplicas } from "../../support/servers/held-replicas.js";
import { promotionIsNoticed } from "../../support/servers/promotion.js";
import { type GroupOptions, openTidemark } from "../../support/stages/open-tidemark.js";
import { stageGroup } from "../../support/stages/staged-group.js";
import { waitUntil } from "../../support/wait-until.js";

const stage = stageGroup({ replicas: 2 });

interface Shown {
  readonly tidemark: Tidemark;
  readonly app: Listening;
  readonly feed: FeedReader;
}

/** A Tidemark with a dashboard, and somebody who looks. */
async function show(options?: GroupOptions): Promise<Shown> {
  const tidemark = await stage.open(options);
  const app = await serve(dashboard(tidemark));
  const feed = await FeedReader.open(app.port);
  const stop = async (): Promise<void> => {
    await feed[Symbol.asyncDispose]();
    await app[Symbol.asyncDispose]();
  };
  stage.owe({ stop });
  return { tidemark, app, feed };
}

/** All samples that a reader has seen. */
function samplesOf(feed: FeedReader): Sample[] {
  return [...feed.of("history").flatMap(({ samples }) => samples), ...feed.of("sample")];
}

/** `role:reason` of all commands in the samples, each with its count. */
function commandsIn(samples: readonly Sample[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { role, reason, count } of samples.flatMap(({ commands }) => commands))
    counts[`${role}:${reason}`] = (counts[`${role}:${reason}`] ?? 0) + count;
  return counts;
}

/** The same of `stats()`. */
function commandsOf(tidemark: Tidemark): Record<string, number> {
  return commandsIn([{ commands: tidemark.stats().commands } as unknown as Sample]);
}

function addressOf({ host, port }: { readonly host: string; readonly port: number }): string {
  return `${host}:${port}`;
}

function linesOf(feed: FeedReader): FeedMessages["reads"][number][] {
  return feed.of("reads").flat();
}

describe.concurrent("a sample", () => {
  it("counts every command of its second once, by role and reason", async () => {
    const { tidemark, feed } = await show();
    const before = commandsOf(tidemark);
    const seenBefore = commandsIn(samplesOf(feed));
    expect(seenBefore).toEqual({});
    await feed.next("sample");
    const session = tidemark.session();
    for (let i = 0; i < 10; i++) await session.redis.set(`key:${i}`, "1");
    await stage.group.caughtUp();
    await Promise.all(Array.from({ length: 30 }, (_, i) => session.redis.get(`key:${i % 10}`)));
    // The same reasons at another level.
    for (let i = 0; i < 10; i++) {
      await session.redis.at({ maxStalenessMs: 5_000 }).get("key:1");
      await session.redis.at("session").get("key:1");
    }
    await tidemark.redis.get("key:1");
    const sent = commandsOf(tidemark);
    for (const [name, count] of Object.entries(before)) sent[name] = (sent[name] ?? 0) - count;
    const expected = Object.fromEntries(Object.entries(sent).filter(([, count]) => count > 0));
    expect(Object.values(expected).reduce((sum, count) => sum + count)).toBeGreaterThanOrEqual(41);
    await waitUntil(
      () => JSON.stringify(sorted(commandsIn(samplesOf(feed)))) === JSON.stringify(sorted(expected)),
      { what: "the samples have all commands" },
    );
    await feed.next(
      "sample",
      ({ at, commands }) => commands.length === 0 && at > (samplesOf(feed)[0]?.at ?? 0),
    );
    expect(commandsIn(samplesOf(feed))).toEqual(expected);
  });

  it("counts waits and fallbacks, and shows those at the moment", async () => {
    const { tidemark, feed } = await show();
    const before = tidemark.stats();
    holdReplicas(stage.group);
    const session = tidemark.session();
    await session.redis.set("key", "1");
    await session.redis.get("key");
    const waiting = tidemark.session({ level: { level: "session", waitMs: 5 } });
    await waiting.redis.set("key", "2");
    await waiting.redis.get("key");
    await waitUntil(() => sum(samplesOf(feed), ({ fallback }) => fallback.reads) >= 2, {
      what: "the samples have the fallbacks",
    });
    const { waits, fallback } = tidemark.stats();
    const samples = samplesOf(feed);
    expect(sum(samples, (sample) => sample.fallback.reads)).toBe(fallback.reads - before.fallback.reads);
    expect(sum(samples, (sample) => sample.waits.timedOut)).toBe(waits.timedOut - before.waits.timedOut);
    stage.group.primary.pause();
    const stalled = [session.redis.get("key"), session.redis.get("key")];
    await feed.next("sample", ({ fallback: { active, waiting: inLine } }) => active === 2 && inLine === 0);
    stage.group.primary.resume();
    await Promise.all(stalled);
  });

  it("shows each server with its state, and its lag while it is held back", async () => {
    const { tidemark, feed } = await show();
    const { nodes } = await feed.next("sample", ({ nodes }) => nodes.every(({ eligible }) => eligible));
    expect(nodes.map(({ address, role, state }) => `${address} ${role} ${state}`).sort()).toEqual(
      [
        `${addressOf(stage.group.primary)} primary serving`,
        ...stage.group.replicas.map(({ server }) => `${addressOf(server)} replica serving`),
      ].sort(),
    );
    holdReplicas(stage.group, 0);
    await tidemark.redis.set("key", "x".repeat(1_000));
    const held = addressOf(replicaOf(stage.group));
    const { nodes: later } = await feed.next("sample", (sample) =>
      sample.nodes.some(({ address, lagBytes = 0 }) => address === held && lagBytes >= 1_000),
    );
    expect(later.find(({ address }) => address === held)?.lagMs).toBeGreaterThan(0);
    expect(later.find(({ role }) => role === "primary")).toMatchObject({ lagBytes: 0, lagMs: 0 });
  });

  it("asks idle servers while somebody looks, so that a frozen replica shows without any reads", async () => {
    const { feed } = await show();
    const frozen = replicaOf(stage.group);
    frozen.pause();
    const { nodes } = await feed.next("sample", (sample) =>
      sample.nodes.some(({ address, eligible }) => address === addressOf(frozen) && !eligible),
    );
    expect(nodes.find(({ address }) => address === addressOf(frozen))?.reason).toEqual(expect.any(String));
    frozen.resume();
  });
});

describe.concurrent("a mark", () => {
  it("tells that a replica has stopped and is back, and the nodes show it", async () => {
    const { feed } = await show();
    const victim = replicaOf(stage.group);
    const address = addressOf(victim);
    await victim.kill();
    const stopped = await feed.next("mark", ({ text }) =>
      text.startsWith(`Replica ${address} answers no reads: `),
    );
    expect(stopped).toMatchObject({ kind: "topology", isLoss: true });
    await feed.next("sample", ({ nodes }) =>
      nodes.some((node) => node.address === address && !node.eligible && node.reason !== undefined),
    );
    await victim.restart();
    const back = await feed.next(
      "mark",
      ({ at, kind, text }) =>
        kind === "topology" && at > stopped.at && text === `Replica ${address} may answer reads.`,
    );
    expect(back.isLoss).toBeUndefined();
  });

  it("tells of a failover and of the sessions whose writes it has lost", async () => {
    const { tidemark, feed } = await show();
    const sessions = await Promise.all(
      ["one", "two"].map(async (key) => {
        const session = tidemark.session();
        await session.redis.set(key, "kept");
        return session;
      }),
    );
    await stage.group.caughtUp();
    holdReplicas(stage.group);
    for (const session of sessions) await session.redis.set("secret-key", "lost");
    const promoted = await failOver(stage.group, replicaOf(stage.group));
    await promotionIsNoticed(tidemark, promoted);
    for (const session of sessions) await session.redis.get("secret-key");
    const failover = await feed.next(
      "mark",
      ({ kind, text }) => kind === "failover" && text.includes(" the primary now"),
    );
    expect(failover.text).toContain(`${addressOf(promoted)} is the primary now. `);
    await waitUntil(() => countIn(feed, "lost-write") === 2, { what: "both lost writes are counted" });
    const [lost] = feed.of("mark").filter(({ kind }) => kind === "lost-write");
    expect(lost?.text).toContain(`${addressOf(promoted)} lacks them.`);
    expect(lost?.advice).toContain("docs/topologies.md");
  });

  it("counts stale reads once a second instead of showing each", async () => {
    const { tidemark, feed } = await show({ primaryTimeoutMs: 2_000 });
    const session = tidemark.session({ level: { level: "strong", staleIfPrimaryGone: true } });
    await session.redis.set("key", "1");
    await stage.group.caughtUp();
    await stage.group.primary.kill();
    await waitUntil(async () => (await session.redis.get("key")) === "1" && session.stale, {
      what: "a read is answered without proof",
    });
    await Promise.all(Array.from({ length: 50 }, () => session.redis.get("key")));
    await waitUntil(() => countIn(feed, "stale-read") === tidemark.stats().staleReads, {
      what: "all stale reads are counted",
    });
    const marks = feed.of("mark").filter(({ kind }) => kind === "stale-read");
    expect(marks.length).toBeLessThanOrEqual(feed.of("sample").length + 1);
    expect(marks[0]?.text).toMatch(
      /^The primary is gone: 127\.0\.0\.1:\d+ answered \d+ reads? without proof\.$/,
    );
  });

  it("counts late writes, without the path of the request", async () => {
    const { tidemark, feed } = await show();
    const users = express();
    users.use(readYourWrites(tidemark, { secret: "a secret of this test" }));
    users.use((request, response) => {
      response.end("done", () => request.redis.set("late", "1"));
    });
    await using app = await serve(users);
    await ask(app.port, { path: "/user/alice" });
    const { text, advice } = await feed.next("mark", ({ kind }) => kind === "late-write");
    expect(text).toBe("1 write began after the response had been sent.");
    expect(advice).toContain("docs/late-writes.md");
  });
});

describe.concurrent("reads", () => {
  it("arrive with server, reason, level, duration and outcome, and writes do not", async () => {
    const { tidemark, feed } = await show();
    const session = tidemark.session();
    await session.redis.set("secret-key", "secret-value");
    await session.redis.at({ maxStalenessMs: 5_000 }).hgetall("secret-hash");
    await session.redis.at("strong").get("secret-key");
    await waitUntil(() => linesOf(feed).length >= 2, { what: "both reads have come" });
    const [bounded, strong] = linesOf(feed);
    expect(bounded).toMatchObject({ command: "hgetall", level: "bounded", outcome: "answered" });
    expect(strong).toMatchObject({
      ...{ command: "get", level: "strong", reason: "strong", role: "primary" },
      ...{ node: addressOf(stage.group.primary), outcome: "answered" },
    });
    expect(strong?.durationMs).toBeGreaterThan(0);
    expect(strong?.at).toBeGreaterThanOrEqual(bounded?.at ?? Number.POSITIVE_INFINITY);
    await feed.next("sample");
    expect(linesOf(feed).map(({ command }) => command)).not.toContain("set");
    expect(
      JSON.stringify([feed.of("history"), feed.of("sample"), feed.of("mark"), feed.of("reads")]),
    ).not.toMatch(/secret/);
  });

  it("never come more than a hundred at once, however many there are", async () => {
    const { tidemark, feed } = await show();
    for (let round = 0; round < 5; round++) {
      await Promise.all(Array.from({ length: 400 }, () => tidemark.redis.get("key")));
      await feed.next("reads", () => feed.of("reads").length > round);
    }
    expect(Math.max(...feed.of("reads").map(({ length }) => length))).toBe(100);
    await tidemark.redis.exists("key");
    await feed.next("reads", (lines) => lines.some(({ command }) => command === "exists"));
  });
});

it("shows the warnings of Tidemark with their advice, but no error of the app and no other warning", async () => {
  const { feed } = await show();
  process.emitWarning("not ours", { type: "OtherWarning", detail: "a detail" });
  process.emitWarning("a text", { type: "TidemarkWarning", code: "TIDEMARK_TEST", detail: "an advice" });
  process.emitWarning("failed", {
    type: "TidemarkWarning",
    code: "TIDEMARK_CARRIER_FAILED",
    detail: "Error: key:1",
  });
  await feed.next("mark", ({ text }) => text === "failed");
  const warnings = feed
    .of("mark")
    .filter(({ kind, text }) => kind === "warning" && !text.includes("127.0.0.1"));
  expect(warnings).toEqual([
    { at: expect.any(Number), kind: "warning", text: "a text", advice: "an advice" },
    { at: expect.any(Number), kind: "warning", text: "failed" },
  ]);
});

it("shows somebody who comes later what has happened before, the latest hundred reads and marks too", async () => {
  const { tidemark, app, feed } = await show();
  await Promise.all(Array.from({ length: 70 }, () => tidemark.redis.get("key")));
  await waitUntil(() => linesOf(feed).length >= 70, { what: "the first reads have come" });
  await Promise.all(Array.from({ length: 70 }, () => tidemark.redis.exists("key")));
  await waitUntil(() => linesOf(feed).length >= 140, { what: "all reads have come" });
  for (let i = 0; i < 120; i++) process.emitWarning(`warning ${i}`, { type: "TidemarkWarning" });
  await feed.next("mark", ({ text }) => text === "warning 119");
  const sample = await feed.next("sample", ({ commands }) => commands.length > 0);
  await using later = await FeedReader.open(app.port);
  const history = await later.next("history");
  expect(later.types[1]).toBe("history");
  expect(history.samples).toContainEqual(sample);
  expect(history.reads.map(({ command }) => command)).toEqual([
    ...Array.from({ length: 30 }, () => "get"),
    ...Array.from({ length: 70 }, () => "exists"),
  ]);
  expect(history.marks).toHaveLength(100);
  const warnings = history.marks.filter(({ kind }) => kind === "warning").map(({ text }) => text);
  expect(warnings).toEqual(Array.from(warnings, (_, i) => `warning ${120 - warnings.length + i}`));
});

it("does not mix two Tidemarks of one process", async () => {
  const { tidemark, feed } = await show();
  const other = openTidemark(stage.group, { replicas: [] });
  stage.owe({ stop: () => other.close() });
  await using app = await serve(dashboard(other));
  await using otherFeed = await FeedReader.open(app.port);
  await other.ready();
  await Promise.all([tidemark.redis.get("key"), other.redis.exists("key")]);
  await feed.next("reads");
  await otherFeed.next("reads");
  expect(linesOf(feed).map(({ command }) => command)).not.toContain("exists");
  expect(linesOf(otherFeed).map(({ command }) => command)).toEqual(["exists"]);
  await replicaOf(stage.group).kill();
  await feed.next("mark", ({ kind, text }) => kind === "topology" && text.includes("answers no reads"));
  const { nodes } = await otherFeed.next("sample");
  expect(nodes.map(({ role }) => role)).toEqual(["primary"]);
  const about = [...otherFeed.of("history").flatMap(({ marks }) => marks), ...otherFeed.of("mark")];
  expect(about.filter(({ text }) => text.startsWith("Replica"))).toEqual([]);
});

it("shares one feed between all dashboards of a Tidemark, whatever may see each", async () => {
  const { tidemark, feed } = await show();
  await using app = await serve(dashboard(tidemark, { allow: () => true }));
  const sample = await feed.next("sample");
  await using second = await FeedReader.open(app.port);
  expect((await second.next("history")).samples).toContainEqual(sample);
});

it("arrives uncompressed and at once behind compression", async () => {
  const tidemark = await stage.open();
  const users = express();
  users.use(compression({ threshold: 0 }));
  users.use("/tidemark", dashboard(tidemark));
  await using app = await serve(users);
  await using feed = await FeedReader.open(app.port, { "accept-encoding": "gzip" });
  await feed.next("history");
  await feed.next("sample");
  expect(feed.response.headers["content-encoding"]).toBeUndefined();
});

function sorted(counts: Record<string, number>): [string, number][] {
  return Object.entries(counts).sort(([one], [other]) => (one < other ? -1 : 1));
}

function sum(samples: readonly Sample[], of: (sample: Sample) => number): number {
  return samples.reduce((total, sample) => total + of(sample), 0);
}

/** The first number in each mark of a kind, added up. */
function countIn(feed: FeedReader, kind: string): number {
  return feed
    .of("mark")
    .filter((mark) => mark.kind === kind)
    .reduce(
      (total, { text }) => total + Number(/\b(\d+) (reads?|writes?|sessions?)\b/.exec(text)?.[1] ?? 0),
      0,
    );
}
