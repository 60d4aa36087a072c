/** Failovers where an ACL forbids INFO, so that a marker key replaces positions. */
import { describe, expect, it } from "vitest";
import { NotPrimaryError, type Session, type Tidemark } from "../../src/index.js";
import { listenToRoutes } from "../support/listeners/routes.js";
import { failOver, replicaOf } from "../support/servers/failover.js";
import type { RedisServer } from "../support/servers/redis-server.js";
import { startReplicationGroup } from "../support/servers/replication-group.js";
import { takeSnapshot } from "../support/servers/snapshot.js";
import { replicasAreEligible } from "../support/stages/eligible-replicas.js";
import { type GroupOptions, openTidemark } from "../support/stages/open-tidemark.js";
import { stageOwn } from "../support/stages/own-stage.js";
import { waitUntil } from "../support/wait-until.js";

const asApp = { redis: { username: "app", password: "pw" } };

const own = stageOwn(async (owe) => {
  const group = await startReplicationGroup({ replicas: 2 });
  owe(() => group.stop());
  const [old, heir] = [group.primary, replicaOf(group)];
  await Promise.all([old, heir, replicaOf(group, 1)].map(allow));
  const open = async (options: GroupOptions): Promise<Tidemark> => {
    const tidemark = openTidemark(group, options);
    owe(() => tidemark.close());
    await replicasAreEligible(tidemark);
    return tidemark;
  };
  const tidemark = await open({ redis: { ...asApp.redis, maxRetriesPerRequest: 1 } });
  expect(tidemark.topology().map(({ proof }) => proof)).toEqual(["marker", "marker", "marker"]);
  return { group, old, heir, tidemark, open };
});

/** Lets the app do what is not dangerous, and so not ask for INFO or ROLE. */
async function allow(server: RedisServer): Promise<void> {
  await server.admin().call("ACL", "SETUSER", "app", "on", ">pw", "~*", "+@all", "-@dangerous");
}

/** Reads until a replica answers; every answer has to be right. */
async function isAnsweredByReplica(session: Session, value: string): Promise<void> {
  using routes = listenToRoutes();
  await waitUntil(
    async () => {
      expect(await session.redis.get("k")).toBe(value);
      return routes.of("get").at(-1)?.startsWith("replica:") === true;
    },
    { what: "a replica answers" },
  );
}

/** Resolves when the primary has been noticed to be none. */
async function isNoticed(): Promise<void> {
  const { tidemark } = own();
  await waitUntil(
    async () => {
      await tidemark.redis.get("k").catch(() => {});
      return tidemark.topology()[0]?.eligible === false;
    },
    { what: "the loss of the primary is noticed" },
  );
}

describe.concurrent("without Sentinels, where INFO is forbidden,", () => {
  it("a primary that was demoted is neither read from nor written to", async () => {
    const { group, old, heir, tidemark } = own();
    const session = tidemark.session();
    await session.redis.set("k", "before");
    await group.caughtUp();
    await failOver(group, heir);
    await isNoticed();
    const before = await old.commandCalls("get");
    for (const level of ["session", "eventual", { maxStalenessMs: 5_000 }] as const)
      expect(await session.at(level).get("k").catch(String)).toMatch(/^before$|NotPrimaryError/);
    await expect(session.at("strong").get("k")).rejects.toBeInstanceOf(NotPrimaryError);
    await expect(session.redis.set("k", "lost")).rejects.toBeInstanceOf(NotPrimaryError);
    expect(await old.commandCalls("get")).toBe(before);
  });

  it("a primary that is promoted again is used again, and its earlier sessions find their writes", async () => {
    const { group, old, heir, tidemark } = own();
    const session = tidemark.session();
    await session.redis.set("k", "kept");
    const token = session.token();
    await group.caughtUp();
    await failOver(group, heir);
    await isNoticed();
    await failOver(group, old);
    await waitUntil(
      () =>
        tidemark
          .session()
          .redis.set("other", "1")
          .then(() => true),
      { what: "writes succeed again" },
    );
    await isAnsweredByReplica(tidemark.session({ token }), "kept");
    await session.redis.set("k", "new");
    await isAnsweredByReplica(session, "new");
  });

  it("a primary that is killed leaves provable reads to replicas, and is used again with its data", async () => {
    const { group, old, tidemark } = own();
    const session = tidemark.session();
    await session.redis.set("k", "kept");
    const token = session.token();
    await takeSnapshot(old.admin());
    await group.caughtUp();
    await old.kill();
    await isNoticed();
    await old.restart();
    await allow(old);
    await waitUntil(
      () =>
        tidemark
          .session()
          .redis.set("other", "1")
          .then(() => true),
      { what: "writes succeed again" },
    );
    await isAnsweredByReplica(tidemark.session({ token }), "kept");
  });
});

describe.concurrent("a marker of another connection or another primary", () => {
  it("proves nothing: a replica with a later number of such a marker does not answer", async () => {
    const { group, old, tidemark } = own();
    await tidemark.session().redis.set("k", "old");
    await group.caughtUp();
    // Many numbers, which the replicas keep while the next connection begins to count.
    for (let i = 0; i < 50; i++) await tidemark.session().redis.set("n", i);
    await group.caughtUp();
    for (const { link } of group.replicas) link.hold();
    await old.admin().call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
    const session = tidemark.session();
    await waitUntil(
      () =>
        session.redis.set("k", "new").then(
          () => true,
          () => false,
        ),
      { what: "the write succeeds" },
    );
    for (let i = 0; i < 20; i++)
      expect(await tidemark.session({ token: session.token() }).redis.get("k")).toBe("new");
  });

  it("proves nothing by greater numbers of the next connection: the primary answers", async () => {
    const { group, old, tidemark } = own();
    const session = tidemark.session();
    await session.redis.set("k", "old");
    await old.admin().call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
    const isWritten = () => tidemark.session().redis.set("other", "1");
    await waitUntil(async () => (await isWritten()) === "OK", { what: "writes succeed again" });
    await group.caughtUp();
    await replicasAreEligible(tidemark);
    using routes = listenToRoutes();
    expect(await tidemark.session({ token: session.token() }).redis.get("k")).toBe("old");
    expect(routes.of("get").at(-1)).toMatch(/^primary:/);
  });

  it("of another process is not mistaken for this process's marker", async () => {
    const { group, tidemark, open } = own();
    const other = await open(asApp);
    for (let i = 0; i < 50; i++) await other.session().redis.set("n", i);
    await group.caughtUp();
    for (const { link } of group.replicas) link.hold();
    const session = tidemark.session();
    await session.redis.set("k", "new");
    for (const reader of [tidemark, other])
      for (let i = 0; i < 20; i++)
        expect(await reader.session({ token: session.token() }).redis.get("k")).toBe("new");
  });
});
