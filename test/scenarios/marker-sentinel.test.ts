/** Failovers by Sentinels where an ACL forbids INFO, so that a marker key replaces positions. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Tidemark } from "../../src/index.js";
import { listenToRoutes } from "../support/listeners/routes.js";
import { startUsers } from "../support/load/users.js";
import { isPrimaryOf } from "../support/servers/promotion.js";
import { quickPeriods, type SentinelGroup, startSentinelGroup } from "../support/servers/sentinel-group.js";
import { replicasAreEligible } from "../support/stages/eligible-replicas.js";
import { openWatched } from "../support/stages/watched-tidemark.js";
import { waitUntil } from "../support/wait-until.js";

let group: SentinelGroup;
let tidemark: Tidemark;

beforeAll(async () => {
  group = await startSentinelGroup({ periods: quickPeriods });
  for (const { server } of group.nodes)
    await server.admin().call("ACL", "SETUSER", "app", "on", ">pw", "~*", "+@all", "-@dangerous");
});

afterAll(() => group.stop());

beforeEach(async () => {
  await group.ready();
  tidemark = openWatched(group, { redis: { username: "app", password: "pw" } });
  await replicasAreEligible(tidemark);
  expect(tidemark.topology().map(({ proof }) => proof)).toEqual(["marker", "marker", "marker"]);
});

afterEach(() => tidemark.close());

/** Resolves when the Tidemark has followed Sentinels to the next primary. */
async function isFollowed(since: number): Promise<void> {
  await group.events.first("+switch-master", since);
  const heir = await group.primary();
  await waitUntil(() => isPrimaryOf(tidemark, heir), { what: "the promotion is followed" });
}

describe("a failover by Sentinels, where INFO is forbidden,", () => {
  it("keeps earlier tokens valid: the new primary answers, and then replicas do", async () => {
    const session = tidemark.session();
    await session.redis.set("k", "before");
    const token = session.token();
    await group.caughtUp();
    const since = performance.now();
    await group.failover();
    await isFollowed(since);
    await group.ready();
    await tidemark.session().redis.set("other", "1");
    await group.caughtUp();
    await replicasAreEligible(tidemark);
    // The next primary's numbers are greater, and prove nothing of what the old one had.
    using routes = listenToRoutes();
    const again = tidemark.session({ token });
    expect(await again.redis.get("k")).toBe("before");
    expect(routes.of("get").at(-1)).toMatch(/^primary:/);
    await waitUntil(
      async () => {
        expect(await again.redis.get("k")).toBe("before");
        return routes.of("get").at(-1)?.startsWith("replica:") === true;
      },
      { what: "a replica answers" },
    );
  });

  it("causes no missed write that the new primary has acknowledged", async () => {
    const since = performance.now();
    await group.failover();
    await isFollowed(since);
    const users = startUsers(tidemark, 8);
    await waitUntil(() => users.findings.reads > 500, { what: "users have read 500 times" });
    const { stale, errors } = await users.stop();
    expect({ stale, errors }).toEqual({ stale: 0, errors: [] });
  });

  it("after a crash lets writes continue, and no replica without a primary answers", async () => {
    const primary = await group.primary();
    const session = tidemark.session();
    await session.redis.set("k", "before");
    await group.caughtUp();
    const since = performance.now();
    await primary.server.kill();
    await isFollowed(since);
    await waitUntil(
      () =>
        session.redis.set("k", "after").then(
          () => true,
          () => false,
        ),
      { what: "writes succeed again" },
    );
    const heir = await group.primary();
    expect(await heir.server.admin().get("k")).toBe("after");
    for (let i = 0; i < 20; i++)
      expect(await tidemark.session({ token: session.token() }).redis.get("k")).toBe("after");
    await primary.server.restart();
    await primary.server.admin().call("ACL", "SETUSER", "app", "on", ">pw", "~*", "+@all", "-@dangerous");
  });
});
