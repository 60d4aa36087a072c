/** Nest's throttler storage: it takes what is an instance of ioredis' own class, and connects to localhost itself otherwise. */
import { ThrottlerStorageRedisService } from "@nest-lab/throttler-storage-redis";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Tidemark } from "../../src/index.js";
import { holdReplicas, releaseReplicas } from "../support/servers/held-replicas.js";
import { type ReplicationGroup, startReplicationGroup } from "../support/servers/replication-group.js";
import { replicasAreEligible } from "../support/stages/eligible-replicas.js";
import { openTidemark } from "../support/stages/open-tidemark.js";
import { countServed } from "./support/served.js";

const limit = 10;
const requests = 25;

let group: ReplicationGroup;
let tidemark: Tidemark;

beforeAll(async () => {
  group = await startReplicationGroup({ replicas: 1 });
  tidemark = openTidemark(group);
  await replicasAreEligible(tidemark);
});

afterAll(async () => {
  await tidemark.close();
  await group.stop();
});

describe("@nest-lab/throttler-storage-redis", () => {
  it("uses the given client, inside a request and outside", async () => {
    const [ambient, bound] = [tidemark.redis, tidemark.session().redis];
    for (const client of [ambient, bound]) {
      const storage = new ThrottlerStorageRedisService(client);
      expect(storage.redis).toBe(client);
      storage.onModuleDestroy();
      expect(await client.ping()).toBe("PONG");
    }
  });

  it("admits as many requests as the limit says while replicas lag", async () => {
    const storage = new ThrottlerStorageRedisService(tidemark.redis);
    const served = await countServed(group);
    holdReplicas(group);
    const hits = await tidemark.run(tidemark.session(), () =>
      Promise.all(
        Array.from({ length: requests }, () => storage.increment("ada", 60_000, limit, 60_000, "default")),
      ),
    );
    expect(hits.filter(({ isBlocked }) => !isBlocked)).toHaveLength(limit);
    expect(await served("eval")).toEqual({ primary: requests, replicas: 0 });
    await releaseReplicas(group);
  });
});
