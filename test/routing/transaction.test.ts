/** Batches that take long to send, and batches that are executed twice. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Tidemark } from "../../src/index.js";
import { type ReplicationGroup, startReplicationGroup } from "../support/servers/replication-group.js";
import { replicasAreEligible } from "../support/stages/eligible-replicas.js";
import { openTidemark } from "../support/stages/open-tidemark.js";

let group: ReplicationGroup;
let tidemark: Tidemark;

beforeAll(async () => {
  group = await startReplicationGroup({ replicas: 1 });
  tidemark = openTidemark(group);
  await replicasAreEligible(tidemark);
});

afterAll(async () => {
  await tidemark?.close();
  await group?.stop();
});

describe("a batch that is executed twice", () => {
  it.each(["pipeline", "multi"] as const)("runs twice and then ends: %s", async (kind) => {
    const session = tidemark.session();
    const batch = session.redis[kind]().incr(`twice:${kind}`);
    await batch.exec();
    // Its promise is that of the first time, so that nothing tells of the second but the session.
    await batch.exec();
    await session.settled();
    expect({ writing: session.writing, pinned: session.pinned }).toEqual({ writing: false, pinned: false });
    const written = session.redis.set("k", 1);
    expect(session.writing).toBe(true);
    await written;
    expect(await session.redis.get(`twice:${kind}`)).toBe("2");
  });
});

describe("a transaction", () => {
  it.each(["of a session", "outside of sessions"])(
    "holds nothing but its own commands: %s",
    async (whose) => {
      // So that the time to ask the primary again comes in the middle of one.
      await using asking = openTidemark(group, { probeIntervalMs: 20 });
      await replicasAreEligible(asking);
      const redis = whose === "outside of sessions" ? asking.redis : asking.session().redis;
      for (let round = 0; round < 20; round++) {
        const transaction = redis.multi();
        for (let i = 0; i < 2_000; i++) transaction.exists("nobody");
        const results = await transaction.exec();
        expect(new Set(results?.map(([, reply]) => reply))).toEqual(new Set([0]));
        expect(results).toHaveLength(2_000);
      }
    },
  );
});
