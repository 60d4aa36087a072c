/** Sentinels and cluster nodes that do not answer do not delay the answers of others. */
import type { RedisOptions } from "ioredis";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { NoPrimaryError, Tidemark } from "../../src/index.js";
import { TcpProxy } from "../support/proxies/tcp-proxy.js";
import { type SentinelGroup, startSentinelGroup } from "../support/servers/sentinel-group.js";
import { clusterIsEligible, keyIn, stageCluster } from "../support/stages/staged-cluster.js";
import { openWatched } from "../support/stages/watched-tidemark.js";
import { waitUntil } from "../support/wait-until.js";

/** Far more than it takes where all answer, and less than is waited for the answer of a server that is hung. */
const promptMs = 600;

/** The time that `call` takes. */
async function timeOf(call: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now();
  await call();
  return performance.now() - startedAt;
}

async function least(times: number, time: () => Promise<number>): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < times; i++) least = Math.min(least, await time());
  return least;
}

describe("with Sentinels that hang", () => {
  let group: SentinelGroup;
  let proxies: TcpProxy[];
  let opened: Tidemark[] = [];

  beforeAll(async () => {
    group = await startSentinelGroup({ replicas: 1, downAfterMs: 60_000 });
    proxies = await Promise.all(group.sentinels.map(({ port }) => TcpProxy.start({ targetPort: port })));
  });

  afterEach(async () => {
    for (const sentinel of group.sentinels) sentinel.resume();
    for (const proxy of proxies) {
      proxy.unstall();
      proxy.mend();
    }
    await Promise.all(opened.map((tidemark) => tidemark.close()));
    opened = [];
  });

  afterAll(async () => {
    await Promise.all(proxies.map((proxy) => proxy.stop()));
    await group.stop();
  });

  /** Opens a Tidemark that reaches the Sentinels by the proxies. */
  function open(redis: RedisOptions = {}): Tidemark {
    const sentinels = proxies.map(({ host, port }) => ({ host, port }));
    const tidemark = openWatched(group, { sentinels, redis });
    opened.push(tidemark);
    return tidemark;
  }

  it.each([1, 2])("a cold start is as fast with %i of 3 stopped", async (count) => {
    for (const sentinel of group.sentinels.slice(0, count)) sentinel.pause();
    const start = (): Tidemark => {
      const tidemark = openWatched(group);
      opened.push(tidemark);
      return tidemark;
    };
    expect(await least(5, () => timeOf(() => start().redis.set("k", "v")))).toBeLessThan(promptMs);
  });

  it.each([1, 2])("a cold start is as fast with %i of 3 that accept and say nothing", async (count) => {
    for (const proxy of proxies.slice(0, count)) proxy.stall();
    expect(await least(5, () => timeOf(() => open().redis.set("k", "v")))).toBeLessThan(promptMs);
  });

  it("a waiting command is served by a Sentinel that starts later", async () => {
    const [first, second, late] = proxies;
    first?.stall();
    second?.stall();
    late?.cut();
    const tidemark = open();
    const writing = tidemark.redis.set("k", "v");
    await waitUntil(() => (first?.connections ?? 0) > 0, { what: "the Sentinels are asked" });
    late?.mend();
    expect(await writing).toBe("OK");
  });

  it("the error of a command without a server names a Sentinel that did not answer", async () => {
    for (const proxy of proxies) proxy.stall();
    const error = await open()
      .redis.set("k", "v")
      .catch((failure: unknown) => failure);
    expect(error).toBeInstanceOf(NoPrimaryError);
    expect(String(error)).toMatch(new RegExp(`:${proxies[0]?.port}: Command timed out`));
  });

  it("sentinelCommandTimeout limits the wait for each Sentinel", async () => {
    for (const proxy of proxies) proxy.stall();
    const patient = open({ sentinelCommandTimeout: 20_000 });
    await expect(patient.redis.set("k", "v")).rejects.toThrow(
      /no primary is known, .*Cause: 127.*: not connected;/,
    );
  });
});

describe("with nodes of a cluster that hang", () => {
  const stage = stageCluster();

  it("a slot that has moved is followed immediately", async () => {
    const { group } = stage;
    const tidemark = await stage.open();
    await clusterIsEligible(tidemark);
    const [from, to, ...others] = group.nodes;
    if (from === undefined || to === undefined) throw new Error("there are too few nodes");
    for (let slot = 1; slot <= 6; slot++) {
      const migration = await group.migration(slot, to);
      for (const { server } of others) server.pause();
      let took: number;
      try {
        await migration.begin();
        for (const node of [to, from]) await migration.assign(node);
        took = await timeOf(() => tidemark.redis.set(keyIn(slot), "v"));
      } finally {
        for (const { server } of others) server.resume();
      }
      expect(took).toBeLessThan(promptMs);
      await clusterIsEligible(tidemark);
    }
  });

  it("neither a cold start nor a later slot move waits for a seed", async () => {
    const { group } = stage;
    const [to, from] = group.nodes;
    if (from === undefined || to === undefined) throw new Error("there are too few nodes");
    const hung = await TcpProxy.start({ targetPort: to.port });
    hung.stall();
    const tidemark = new Tidemark({
      cluster: [hung, from].map(({ host, port }) => ({ host, port })),
    });
    try {
      const slot = 6_000;
      expect(await group.primaryOf(slot)).toBe(from);
      expect(await timeOf(() => tidemark.redis.set(keyIn(slot), "v"))).toBeLessThan(promptMs);
      await (await group.migration(slot, to)).run();
      expect(await timeOf(() => tidemark.redis.set(keyIn(slot), "w"))).toBeLessThan(promptMs);
    } finally {
      await tidemark.close();
      await hung.stop();
    }
  });
});
