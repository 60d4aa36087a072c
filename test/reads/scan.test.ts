/** Plain SCAN and similar commands: cursors belong to the primary and to the server run that returned them. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { IterationLostError, type Session, type Tidemark } from "../../src/index.js";
import { fillToScan, scannedCount } from "../support/commands/scanned-data.js";
import { promoteFirst, promotionIsNoticed } from "../support/servers/promotion.js";
import { type ReplicationGroup, startReplicationGroup } from "../support/servers/replication-group.js";
import { replicasAreEligible } from "../support/stages/eligible-replicas.js";
import { openTidemark } from "../support/stages/open-tidemark.js";
import { waitUntil } from "../support/wait-until.js";

let group: ReplicationGroup;
let tidemark: Tidemark;

beforeEach(async () => {
  group = await startReplicationGroup({ replicas: 2 });
  await fillToScan(group);
  tidemark = openTidemark(group);
  await replicasAreEligible(tidemark);
});

afterEach(async () => {
  await tidemark.close();
  await group.stop();
});

/** How often each server has been asked for a step. */
async function steps(): Promise<number[]> {
  const servers = [group.primary, ...group.replicas.map(({ server }) => server)];
  return Promise.all(servers.map((server) => server.commandCalls("scan")));
}

describe("A plain SCAN", () => {
  async function first(session: Session): Promise<string> {
    const [cursor] = await session.redis.scan(0, "COUNT", 10);
    return cursor;
  }

  it("stays on the primary, so that its cursor works in other requests and processes", async () => {
    const cursor = await first(tidemark.session());
    await using other = openTidemark(group);
    const found = new Set<string>();
    let next = cursor;
    for (let i = 0; next !== "0"; i++) {
      const { redis } = (i % 2 === 0 ? other : tidemark).session();
      const [cursor, keys] = await redis.scan(next, "COUNT", 500);
      for (const key of keys) found.add(key);
      next = cursor;
    }
    expect(found.size).toBeGreaterThanOrEqual(scannedCount - 20);
    expect((await steps()).slice(1)).toEqual([0, 0]);
  });

  it("fails when the primary has restarted since it returned the cursor, and can start over", async () => {
    const session = tidemark.session();
    const batched = tidemark.session();
    const cursor = await first(session);
    const another = await first(batched);
    const [outside] = await tidemark.redis.scan(0, "COUNT", 10);
    await group.primary.restart();
    await waitUntil(async () => (await tidemark.redis.ping()) === "PONG", { what: "the primary is back" });
    await expect(session.redis.scan(cursor)).rejects.toThrow(IterationLostError);
    await expect(tidemark.redis.scan(outside)).rejects.toThrow(/start again with cursor 0/);
    const results = await batched.redis.pipeline().scan(another).ping().exec();
    expect(results?.[0]?.[0]).toBeInstanceOf(IterationLostError);
    expect(await first(session)).toMatch(/^[1-9]/);
  });

  it("fails in a pipeline too after another server became the primary", async () => {
    const session = tidemark.session();
    const cursor = await first(session);
    await promotionIsNoticed(tidemark, await promoteFirst(group));
    const results = await session.redis.pipeline().scan(cursor).ping().exec();
    expect(results?.[0]?.[0]).toBeInstanceOf(IterationLostError);
  });

  it("keeps cursors of different keys and commands apart", async () => {
    const { redis } = tidemark.session();
    for (const key of ["hash", "zset"]) {
      let cursor = "0";
      let found = 0;
      do {
        const [next, some] = await redis[key === "hash" ? "hscan" : "zscan"](key, cursor, "COUNT", 500);
        found += some.length;
        cursor = next;
      } while (cursor !== "0");
      expect(found).toBeGreaterThanOrEqual(scannedCount * 2);
    }
  });
});
