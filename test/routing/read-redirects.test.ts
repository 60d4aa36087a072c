/** The reports of reads that a cluster redirects from one node to another. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { listenToReads, type ReadMessages } from "../support/listeners/read-messages.js";
import type { ClusterNode } from "../support/servers/cluster-node.js";
import { keyIn, stageCluster } from "../support/stages/staged-cluster.js";
import { waitUntil } from "../support/wait-until.js";

const stage = stageCluster();
const slot = 10;
const key = keyIn(slot);

let reads: ReadMessages;

beforeEach(() => {
  reads = listenToReads();
});

afterEach(() => reads[Symbol.dispose]());

function addressOf({ host, port }: ClusterNode): string {
  return `${host}:${port}`;
}

describe("a read of a key that moves to another shard", () => {
  it("is reported once, with the node that answered", async () => {
    const tidemark = await stage.open();
    const to = await stage.group.primaryOf(6_000);
    const migration = await stage.group.migration(slot, to);
    const session = tidemark.session();
    await session.redis.set(key, "v");
    await migration.begin();
    await migration.moveKeys();
    reads.heard.length = 0;
    expect(await session.redis.get(key)).toBe("v");
    expect(reads.heard).toMatchObject([
      { session, command: "get", node: addressOf(to), role: "primary", reason: "asked", error: undefined },
    ]);
    expect(reads.last.waitedMs).toBeGreaterThan(0);
    await migration.finish();
    reads.heard.length = 0;
    expect(await session.redis.at("strong").get(key)).toBe("v");
    expect(reads.heard).toMatchObject([{ node: addressOf(to), role: "primary" }]);
  });

  it("has a record for each key of a pipeline, on each shard", async () => {
    const tidemark = await stage.open({ recordReads: 10 });
    const session = tidemark.session({ level: "strong" });
    const pipeline = session.redis.pipeline();
    const slots = [100, 6_000, 12_000];
    for (const one of slots) pipeline.get(keyIn(one));
    await pipeline.exec();
    const primaries = await Promise.all(
      slots.map(async (one) => addressOf(await stage.group.primaryOf(one))),
    );
    expect(session.reads.map(({ node }) => node).sort()).toEqual(primaries.sort());
    expect(reads.heard.filter((one) => one.session === session)).toHaveLength(slots.length);
  });

  it("confirms on the primary that a key is missing", async () => {
    const tidemark = await stage.open();
    await waitUntil(
      async () => {
        await tidemark.session().redis.get(keyIn(200));
        return reads.last.reason === "missing-key";
      },
      { what: "a replica was asked before the primary" },
    );
    expect(reads.last).toMatchObject({ role: "primary", node: addressOf(await stage.group.primaryOf(200)) });
  });
});
