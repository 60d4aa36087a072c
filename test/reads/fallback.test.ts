import { describe, expect, it } from "vitest";
import { ReplicasBehindError } from "../../src/index.js";
import type { Routes } from "../support/listeners/routes.js";
import { holdReplicas, releaseReplicas } from "../support/servers/held-replicas.js";
import type { ReplicationGroup } from "../support/servers/replication-group.js";
import { replicasAreEligible } from "../support/stages/eligible-replicas.js";
import { openTidemark } from "../support/stages/open-tidemark.js";
import { stageTidemark } from "../support/stages/staged-tidemark.js";
import { waitUntil } from "../support/wait-until.js";

let group: ReplicationGroup;
let routes: Routes;

stageTidemark({ replicas: 2 }, (stage) => {
  ({ group, routes } = stage);
});

describe("a read that no replica may answer", () => {
  it("waits up to waitMs for a replica, and is answered by it", async () => {
    const patient = openTidemark(group, { waitMs: 20_000 });
    try {
      await replicasAreEligible(patient);
      holdReplicas(group);
      const session = patient.session();
      await session.redis.set("waited", "new");
      routes.clear();
      const looks = (): Promise<number> =>
        group.replicas[0]?.server.commandCalls("info") ?? Promise.resolve(0);
      const before = await looks();
      const read = patient.session({ token: session.token() }).redis.get("waited");
      await waitUntil(async () => (await looks()) > before + 5, {
        what: "the waiting read has asked the replicas several times",
      });
      await releaseReplicas(group);
      expect(await read).toBe("new");
      expect(routes.of("get").at(-1)).toBe("replica:known");
    } finally {
      await patient.close();
    }
  });

  it("does not wait in vain for a replica after it has read newer data on the primary", async () => {
    const patient = openTidemark(group, { waitMs: 20_000 });
    try {
      await replicasAreEligible(patient);
      const session = patient.session();
      await session.redis.at("strong").get("ahead");
      expect(await session.redis.get("ahead")).toBeNull();
      expect(routes.of("get").at(-1)).toMatch(/^replica:/);
    } finally {
      await patient.close();
    }
  }, 10_000);

  it('is an error when fallback is "error"', async () => {
    const strict = openTidemark(group, { fallback: "error" });
    try {
      await replicasAreEligible(strict);
      holdReplicas(group);
      const session = strict.session();
      await session.redis.set("refused", "new");
      await expect(session.redis.get("refused")).rejects.toThrow(ReplicasBehindError);
    } finally {
      await strict.close();
    }
  });
});

describe('verify: "always"', () => {
  it("proves each read in a transaction of its own, with the replies and errors of ioredis", async () => {
    const verifying = openTidemark(group, { verify: "always" });
    try {
      await replicasAreEligible(verifying);
      await verifying.session().redis.hset("verified", { a: "1" });
      await group.caughtUp();
      const before = await group.replicas[0]?.server.commandCalls("exec");
      const { redis } = verifying.session();
      expect(await redis.hgetall("verified")).toEqual({ a: "1" });
      expect(await redis.getBuffer("nothing")).toBeNull();
      await expect(redis.get("verified")).rejects.toThrow(/^WRONGTYPE/);
      const after = await Promise.all(group.replicas.map(({ server }) => server.commandCalls("exec")));
      expect(Math.max(...after)).toBeGreaterThan(before ?? 0);
    } finally {
      await verifying.close();
    }
  });
});
