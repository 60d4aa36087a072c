/** Lists of read policies: the first attainable policy applies, as far as lag and latency show; and the fallback limit. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ReplicasBehindError, type Tidemark } from "../../src/index.js";
import type { Routes } from "../support/listeners/routes.js";
import { LagProxy } from "../support/proxies/lag-proxy.js";
import { holdReplicas, releaseReplicas } from "../support/servers/held-replicas.js";
import type { ReplicationGroup } from "../support/servers/replication-group.js";
import { replicasAreEligible } from "../support/stages/eligible-replicas.js";
import { openTidemark } from "../support/stages/open-tidemark.js";
import { stageTidemark } from "../support/stages/staged-tidemark.js";
import { waitUntil } from "../support/wait-until.js";

let group: ReplicationGroup;
let routes: Routes;
/** The primary is far away. */
let far: LagProxy;
let tidemark: Tidemark;

stageTidemark({ replicas: 2 }, (stage) => {
  ({ group, routes } = stage);
});

beforeEach(async () => {
  far = await LagProxy.start({ targetPort: group.primary.port });
  far.delay(60);
  tidemark = openTidemark(group, { primary: { host: far.host, port: far.port } });
  await replicasAreEligible(tidemark);
  await waitUntil(
    async () => {
      await tidemark.session().redis.at("strong").get("nothing");
      return (tidemark.topology()[0]?.latencyMs ?? 0) > 30;
    },
    { what: "the primary's latency is known to be high" },
  );
  routes.clear();
});

afterEach(async () => {
  await tidemark.close();
  await far.stop();
});

/** A token of a write that replicas do not have. */
async function ahead(): Promise<string> {
  await tidemark.session().redis.set("k", "old");
  await group.caughtUp();
  await replicasAreEligible(tidemark);
  holdReplicas(group);
  const session = tidemark.session();
  await session.redis.set("k", "new");
  routes.clear();
  return session.token();
}

describe("a list of read policies", () => {
  it("applies the first policy when a near replica can meet it", async () => {
    const { redis } = tidemark.session({ level: [{ level: "session", withinMs: 20 }, "strong"] });
    expect(await redis.get("k")).toBeNull();
    // Over RESP2 the position is remembered only for a moment.
    expect(routes.of("get")).toEqual([expect.stringMatching(/^replica:(known|checked)$/)]);
  });

  it("applies the next policy when only the far primary can meet the first", async () => {
    const token = await ahead();
    const wish = { level: "session", withinMs: 20 } as const;
    expect(await tidemark.session({ token, level: [wish, "eventual"] }).redis.get("k")).toBe("old");
    expect(routes.of("get").at(-1)).toBe("replica:known");
    const hasty = { ...wish, waitMs: 0 };
    expect(await tidemark.session({ token, level: [hasty, "eventual"] }).redis.get("k")).toBe("old");
    expect(await tidemark.session({ token, level: [wish, "strong"] }).redis.get("k")).toBe("new");
    expect(routes.of("get").at(-1)).toBe("primary:strong");
    expect(await tidemark.session({ token, level: "session" }).redis.get("k")).toBe("new");
  });

  it("applies the first policy on the primary when the primary is near enough", async () => {
    const token = await ahead();
    const level = [{ level: "session", withinMs: 5_000, waitMs: 0 }, "eventual"] as const;
    expect(await tidemark.session({ token, level }).redis.get("k")).toBe("new");
    expect(routes.of("get").at(-1)).toMatch(/^primary:/);
  });

  it("applies the last policy when none is attainable", async () => {
    const token = await ahead();
    const level = [
      { level: "session", withinMs: 5 },
      { level: "strong", withinMs: 6 },
    ] as const;
    expect(await tidemark.session({ token, level }).redis.get("k")).toBe("new");
    expect(routes.of("get").at(-1)).toBe("primary:strong");
  });
});

describe("fallbackLimit", () => {
  it("makes reads beyond it wait for a replica, and then rejects them", async () => {
    await using narrow = openTidemark(group, { fallbackLimit: { concurrency: 1, perSecond: 1 } });
    await replicasAreEligible(narrow);
    holdReplicas(group);
    const session = narrow.session();
    await session.redis.set("k", "new");
    const token = session.token();
    const read = (): Promise<string | null> => narrow.session({ token }).redis.get("k");
    const outcomes = await Promise.allSettled(Array.from({ length: 20 }, read));
    const failures = outcomes.flatMap((one) => (one.status === "rejected" ? [one.reason] : []));
    expect(failures.length).toBeGreaterThan(10);
    for (const failure of failures) {
      expect(failure).toBeInstanceOf(ReplicasBehindError);
      expect(failure).toMatchObject({
        status: 503,
        headers: { "Retry-After": expect.stringMatching(/^[1-9]\d?$/) },
      });
    }
    const waiting = Array.from({ length: 20 }, read);
    await releaseReplicas(group);
    expect(await Promise.all(waiting)).toEqual(waiting.map(() => "new"));
  });

  it("limits neither writes nor other reads of the primary", async () => {
    await using narrow = openTidemark(group, { fallbackLimit: { concurrency: 1, perSecond: 1 } });
    await replicasAreEligible(narrow);
    const { redis } = narrow.session({ level: "strong" });
    await Promise.all(Array.from({ length: 100 }, () => redis.get("k")));
    await Promise.all(Array.from({ length: 100 }, () => narrow.redis.get("k")));
    const writer = narrow.session().redis;
    await Promise.all(Array.from({ length: 100 }, () => Promise.all([writer.incr("n"), writer.get("n")])));
    expect(await writer.get("n")).toBe("100");
  });
});
