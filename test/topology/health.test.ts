/** `tidemark.health()`: what a load balancer gets to know when servers fail. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from "vitest";
import type { Tidemark } from "../../src/index.js";
import { type ReplicationGroup, startReplicationGroup } from "../support/servers/replication-group.js";
import { replicasAreEligible } from "../support/stages/eligible-replicas.js";
import { openTidemark } from "../support/stages/open-tidemark.js";
import { waitUntil } from "../support/wait-until.js";

let group: ReplicationGroup;
let tidemark: Tidemark;

beforeAll(async () => {
  group = await startReplicationGroup({ replicas: 2 });
});

beforeEach(async () => {
  tidemark = openTidemark(group);
  tidemark.redis.on("error", () => {});
  await replicasAreEligible(tidemark);
});

afterEach(() => tidemark.close({ timeoutMs: 0 }));

afterAll(() => group.stop());

it("is ready when all servers work", () => {
  expect(tidemark.health()).toEqual({ live: true, ready: true, degraded: false, problems: [] });
});

it("is ready but degraded while a replica is frozen, and names it", async () => {
  const [frozen] = group.replicas;
  frozen?.server.pause();
  try {
    await waitUntil(() => tidemark.health().degraded, { what: "the frozen replica is noticed" });
    const { live, ready, problems } = tidemark.health();
    expect([live, ready]).toEqual([true, true]);
    expect(problems).toEqual([
      {
        address: `127.0.0.1:${frozen?.server.port}`,
        role: "replica",
        state: "silent",
        reason: expect.any(String),
      },
    ]);
  } finally {
    frozen?.server.resume();
  }
  await waitUntil(() => !tidemark.health().degraded, { what: "the replica is used again" });
});

it("is not ready while the primary is frozen, and not degraded, but still live", async () => {
  group.primary.pause();
  try {
    await waitUntil(() => !tidemark.health().ready, { what: "the frozen primary is noticed" });
    const { live, degraded, problems } = tidemark.health();
    expect([live, degraded]).toEqual([true, false]);
    expect(problems).toContainEqual(expect.objectContaining({ role: "primary", state: "silent" }));
  } finally {
    group.primary.resume();
  }
  await waitUntil(() => tidemark.health().ready, { what: "the primary is used again" });
});

it("is not ready before there is a connection to the primary", async () => {
  await using lazy = openTidemark(group, { redis: { lazyConnect: true } });
  expect(lazy.health()).toMatchObject({ live: true, ready: false, degraded: false });
});

it("does not count a replica that is excluded by its weight", async () => {
  const [excluded] = group.replicas;
  const address = `127.0.0.1:${excluded?.server.port}`;
  await using weighted = openTidemark(group, { weights: { [address]: 0 } });
  await waitUntil(() => weighted.health().ready, { what: "the primary is known" });
  await waitUntil(() => weighted.topology().some(({ state }) => state === "excluded"), {
    what: "the replica is excluded",
  });
  await waitUntil(() => !weighted.health().degraded, { what: "the other replica is known" });
  expect(weighted.health().problems).toEqual([]);
});
