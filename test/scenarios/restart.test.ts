/** Servers that restart with all of their data, with some of it, or with none. */
import { describe, expect, it } from "vitest";
import type { Session, Tidemark } from "../../src/index.js";
import { listenToRoutes } from "../support/listeners/routes.js";
import { keepsHistory } from "../support/servers/abilities.js";
import { replicaOf } from "../support/servers/failover.js";
import type { RedisServer } from "../support/servers/redis-server.js";
import { takeSnapshot } from "../support/servers/snapshot.js";
import { type GroupOptions, openTidemark } from "../support/stages/open-tidemark.js";
import { stageGroup } from "../support/stages/staged-group.js";
import { waitUntil } from "../support/wait-until.js";

const stage = stageGroup({ replicas: 1 });

/** Resolves when a replica answers the session; until then every answer has to be `value`, from wherever it comes. */
async function isReadFromReplicas(session: Session, value: string | null): Promise<void> {
  using routes = listenToRoutes();
  await waitUntil(
    async () => {
      expect(await session.redis.get("k")).toBe(value);
      return routes.of("get").at(-1)?.startsWith("replica:") ?? false;
    },
    { what: "a replica answers" },
  );
}

/** Resolves with what the primary answers after its restart; replicas may go on with what they have until then. */
async function readAgain(session: Session): Promise<string | null> {
  let value: string | null = null;
  await waitUntil(
    async () => {
      value = await session.at("strong").get("k");
      return true;
    },
    { what: "a strong read is answered" },
  );
  return value;
}

async function writeBoth(
  session: Session,
  first: string,
  between: () => unknown,
  second: string,
): Promise<void> {
  await session.redis.set("k", first);
  await stage.group.caughtUp();
  await between();
  await session.redis.set("k", second);
  await stage.group.caughtUp();
}

async function replidOf(server: RedisServer): Promise<string | undefined> {
  return (await server.info("replication")).master_replid;
}

/** A Tidemark, and a session of it that has nothing but a token. */
async function openWith(options: GroupOptions = {}): Promise<{ tidemark: Tidemark; session: Session }> {
  const tidemark = await stage.open(options);
  return { tidemark, session: tidemark.session() };
}

describe("after its primary was restarted, a session", () => {
  it.runIf(keepsHistory)("reads its write from replicas, when the snapshot was up to date", async () => {
    const { tidemark, session } = await openWith();
    await session.redis.set("k", "v");
    await stage.group.caughtUp();
    await stage.group.primary.restart();
    const later = tidemark.session({ token: session.token() });
    expect(await readAgain(later)).toBe("v");
    await isReadFromReplicas(later, "v");
    expect(later.token()).toBe(session.token());
    expect(stage.lostWrites.heard).toEqual([]);
  });

  it.runIf(keepsHistory)("is notified of its lost write, when the snapshot was older", async () => {
    const { primary } = stage.group;
    const { tidemark, session } = await openWith();
    await writeBoth(session, "kept", () => takeSnapshot(primary.admin()), "lost");
    await primary.kill();
    await primary.restart();
    expect(await readAgain(session)).toBe("kept");
    expect(tidemark.lostWrites).toBe(1);
    await isReadFromReplicas(session, "kept");
    expect(tidemark.lostWrites).toBe(1);
  });

  it.skipIf(keepsHistory)(
    "reads its write without a report, where a restart begins a new history",
    async () => {
      const { tidemark, session } = await openWith();
      await session.redis.set("k", "v");
      await stage.group.caughtUp();
      await stage.group.primary.restart();
      const later = tidemark.session({ token: session.token() });
      expect(await readAgain(later)).toBe("v");
      await isReadFromReplicas(later, "v");
      expect(later.token()).not.toBe(session.token());
      expect(stage.lostWrites.heard).toEqual([]);
    },
  );

  it("gets no report when the append-only file has kept everything, and is soon back on replicas", async () => {
    const { primary } = stage.group;
    await primary.admin().config("SET", "appendfsync", "always");
    await primary.admin().config("SET", "appendonly", "yes");
    await waitUntil(async () => (await primary.info("persistence")).aof_rewrite_in_progress === "0", {
      what: "the append-only file is written",
    });
    const { tidemark, session } = await openWith();
    await session.redis.set("k", "v");
    await stage.group.caughtUp();
    await primary.kill();
    await primary.restart({ args: ["--appendonly", "yes"] });
    const later = tidemark.session({ token: session.token() });
    expect(await readAgain(later)).toBe("v");
    await isReadFromReplicas(later, "v");
    expect(later.token()).not.toBe(session.token());
    expect(stage.lostWrites.heard).toEqual([]);
  });

  it("sees the empty data without a report, because no loss can be proven", async () => {
    const { session } = await openWith();
    await session.redis.set("k", "v");
    await stage.group.caughtUp();
    await stage.group.primary.restart({ empty: true });
    expect(await readAgain(session)).toBe(null);
    await isReadFromReplicas(session, null);
    await session.redis.set("k", "new");
    expect(await session.redis.get("k")).toBe("new");
    expect(stage.lostWrites.heard).toEqual([]);
  });
});

describe("a replica that was restarted from an old snapshot", () => {
  it("does not answer for its lost data, while its primary is dead", async () => {
    const { group } = stage;
    const replica = replicaOf(group);
    const { tidemark, session } = await openWith({ fallback: "error" });
    await writeBoth(session, "old", () => takeSnapshot(replica.admin()), "new");
    await group.primary.kill();
    await replica.kill();
    await replica.restart();
    expect(await replica.admin().get("k")).toBe("old");
    await waitUntil(
      async () => {
        await session.redis.get("k").catch(() => {});
        return tidemark.topology().some(({ role, position }) => role === "replica" && position !== undefined);
      },
      { what: "the replica's report has arrived" },
    );
    for (let i = 0; i < 20; i++) {
      const read = tidemark.session({ token: session.token() }).redis.get("k");
      await expect(read).rejects.toMatchObject({ code: "TIDEMARK_REPLICAS_BEHIND" });
    }
  });
});

describe("a session of a primary whose history ends by itself", () => {
  it("continues after the primary had no replica for longer than repl-backlog-ttl", async () => {
    const { group } = stage;
    await group.primary.admin().config("SET", "repl-backlog-ttl", 1);
    const { tidemark, session } = await openWith();
    await session.redis.set("k", "v");
    await group.caughtUp();
    const before = await replidOf(group.primary);
    await replicaOf(group).kill();
    await waitUntil(async () => (await replidOf(group.primary)) !== before, {
      what: "the history has changed",
    });
    expect(await session.redis.get("k")).toBe("v");
    expect(await tidemark.session({ token: session.token() }).redis.get("k")).toBe("v");
    await session.redis.set("k", "new");
    await replicaOf(group).restart();
    await isReadFromReplicas(session, "new");
    expect(stage.lostWrites.heard).toEqual([]);
  });

  it("continues when the very first replica begins a history", async () => {
    const { group } = stage;
    const replica = replicaOf(group);
    await replica.replicate(undefined);
    await group.primary.restart({ empty: true });
    const tidemark = openTidemark(group);
    stage.owe({ stop: () => tidemark.close() });
    const session = tidemark.session();
    await session.redis.set("k", "v");
    const before = await replidOf(group.primary);
    await replica.replicate(group.primary);
    await waitUntil(async () => (await replidOf(group.primary)) !== before, {
      what: "the history has changed",
    });
    await isReadFromReplicas(session, "v");
    await isReadFromReplicas(tidemark.session({ token: session.token() }), "v");
    expect(stage.lostWrites.heard).toEqual([]);
  });
});
