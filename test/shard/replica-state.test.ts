/** Replicas that answer reads with an error or not at all: no user notices, and the replicas are used again later. */
import { describe, expect, it } from "vitest";
import type { Tidemark } from "../../src/index.js";
import { listenToRoutes } from "../support/listeners/routes.js";
import { replicaOf } from "../support/servers/failover.js";
import type { RedisServer } from "../support/servers/redis-server.js";
import { endLoading, fill, isLoading, slowLoading } from "../support/servers/slow-loading.js";
import { stageGroup } from "../support/stages/staged-group.js";
import { waitUntil } from "../support/wait-until.js";

const stage = stageGroup({ replicas: 1 });

/** A Tidemark on one replica, which has `k`. */
async function open(): Promise<{ tidemark: Tidemark; replica: RedisServer }> {
  await stage.group.primary.admin().set("k", "v");
  await stage.group.caughtUp();
  return { tidemark: await stage.open(), replica: replicaOf(stage.group) };
}

/** Reads `k`, each time in a session of its own, until the last route is `route`; every answer has to be right. */
async function readsUntil(tidemark: Tidemark, route: string): Promise<void> {
  using routes = listenToRoutes();
  await waitUntil(
    async () => {
      expect(await tidemark.session().redis.get("k")).toBe("v");
      return routes.of("get").at(-1) === route;
    },
    { what: `a read goes ${route}` },
  );
}

describe.concurrent("reads, with a replica", () => {
  it("that refuses to serve stale data and has lost its primary, are answered by the primary: MASTERDOWN", async () => {
    const { tidemark, replica } = await open();
    await replica.admin().config("SET", "replica-serve-stale-data", "no");
    for (const { link } of stage.group.replicas) link.cut();
    await waitUntil(
      () =>
        replica
          .admin()
          .get("k")
          .then(
            () => false,
            (error) => String(error).includes("MASTERDOWN"),
          ),
      {
        what: "the replica refuses reads",
      },
    );
    await readsUntil(tidemark, "primary:replica-failed");
    await readsUntil(tidemark, "primary:unusable");
    for (const { link } of stage.group.replicas) link.mend();
    await readsUntil(tidemark, "replica:known");
  });

  it("that loads a snapshot, are answered by the primary: LOADING", async () => {
    const { tidemark, replica } = await open();
    await fill(stage.group.primary);
    await slowLoading(replica);
    await replica.admin().call("DEBUG", "CHANGE-REPL-ID");
    await replica.replicate(undefined);
    await stage.group.primary.admin().call("DEBUG", "CHANGE-REPL-ID");
    await replica.replicate(stage.group.primary);
    await waitUntil(() => isLoading(replica), { what: "the replica is loading" });
    for (let i = 0; i < 20; i++) expect(await tidemark.session().redis.get("k")).toBe("v");
    expect(await isLoading(replica)).toBe(true);
    await endLoading(replica);
    await readsUntil(tidemark, "replica:known");
  });

  it("that runs a long script, are answered by the primary: BUSY", async () => {
    const { tidemark, replica } = await open();
    await replica.admin().config("SET", "lua-time-limit", 1);
    const script = replica.admin().duplicate();
    const run = script.eval("while true do end", 0).catch(String);
    await waitUntil(
      () =>
        replica
          .admin()
          .ping()
          .then(
            () => false,
            (error) => String(error).includes("BUSY"),
          ),
      {
        what: "the replica is busy",
      },
    );
    await readsUntil(tidemark, "primary:replica-failed");
    for (let i = 0; i < 20; i++) expect(await tidemark.session().redis.get("k")).toBe("v");
    await replica.admin().script("KILL");
    await run;
    script.disconnect();
    await readsUntil(tidemark, "replica:known");
  });

  it("that is paused for all commands, are answered by the primary", async () => {
    const { tidemark, replica } = await open();
    // It ends by itself: UNPAUSE would wait like everybody.
    await replica.admin().call("CLIENT", "PAUSE", "3000", "ALL");
    await readsUntil(tidemark, "primary:replica-failed");
    for (let i = 0; i < 20; i++) expect(await tidemark.session().redis.get("k")).toBe("v");
    await readsUntil(tidemark, "replica:known");
  });

  it("whose primary is paused for writes, continue, and the writes end after the pause", async () => {
    const { tidemark } = await open();
    const { primary } = stage.group;
    await primary.admin().call("CLIENT", "PAUSE", "60000", "WRITE");
    const session = tidemark.session();
    let ended = false;
    const write = session.redis.set("k", "new").then(() => {
      ended = true;
    });
    await readsUntil(tidemark, "replica:known");
    expect(ended).toBe(false);
    await primary.admin().call("CLIENT", "UNPAUSE");
    await write;
    expect(await session.redis.get("k")).toBe("new");
  });

  it("that was given a password, are answered by the primary: NOAUTH", async () => {
    const { tidemark, replica } = await open();
    await replica.admin().config("SET", "requirepass", "a-new-one");
    for (let i = 0; i < 20; i++) expect(await tidemark.session().redis.get("k")).toBe("v");
    await replica.admin().call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
    await readsUntil(tidemark, "primary:unusable");
    for (let i = 0; i < 20; i++) expect(await tidemark.session().redis.get("k")).toBe("v");
  });
});
