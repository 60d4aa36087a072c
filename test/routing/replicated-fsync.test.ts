/** Writes that resolve when they are on disk, on the primary and on replicas. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Tidemark } from "../../src/index.js";
import { hasWaitAof } from "../support/servers/abilities.js";
import { blockedClients } from "../support/servers/blocked-clients.js";
import type { RedisServer } from "../support/servers/redis-server.js";
import { type ReplicationGroup, startReplicationGroup } from "../support/servers/replication-group.js";
import { replicasAreEligible } from "../support/stages/eligible-replicas.js";
import { openTidemark } from "../support/stages/open-tidemark.js";
import { watched } from "../support/stages/watched.js";
import { waitUntil } from "../support/wait-until.js";

const long = 20_000;
const short = 1_000;

let group: ReplicationGroup;
let tidemark: Tidemark;

beforeAll(async () => {
  group = await startReplicationGroup({
    replicas: 1,
    args: ["--appendonly", "yes", "--appendfsync", "always"],
  });
});

afterAll(() => group.stop());

beforeEach(async () => {
  tidemark = openTidemark(group);
  await replicasAreEligible(tidemark);
  return () => tidemark.close();
});

function replica(): RedisServer {
  const [first] = group.replicas;
  if (first === undefined) throw new Error("the group has no replica");
  return first.server;
}

describe.runIf(hasWaitAof)("Session.replicated with fsync", () => {
  it("resolves a write, and the awaited promise, when the write is on both disks", async () => {
    const session = tidemark.session();
    await session.redis.set("before", "v");
    expect(await session.replicated(1, { timeoutMs: long, fsync: true })).toBe(1);
    expect(await session.redis.set("k", "v")).toBe("OK");
    expect(await replica().admin().get("k")).toBe("v");
  });

  it("does not count a replica that has the write only in memory", async () => {
    await replica().admin().config("SET", "appendonly", "no");
    try {
      const session = tidemark.session();
      session.replicated(1, { timeoutMs: short, fsync: true });
      const write = (): Promise<void> =>
        expect(session.redis.set("k", "v")).rejects.toMatchObject({ wanted: 1, replicas: 0 });
      const first = write();
      const isBlocked = async (): Promise<boolean> => (await blockedClients(group.primary)) === 1;
      await waitUntil(isBlocked, { what: "WAITAOF blocks" });
      const second = write();
      await session.settled();
      // Has the replica acknowledge both.
      const other = tidemark.session();
      await other.replicated(1, { timeoutMs: long });
      expect(await other.redis.set("other", "v")).toBe("OK");
      await Promise.all([first, second]);
    } finally {
      await replica().admin().config("SET", "appendonly", "yes");
    }
  });

  it("waits for a replica that is held back", async () => {
    const session = tidemark.session();
    await session.replicated(1, { timeoutMs: long, fsync: true });
    const [link] = group.replicas.map((one) => one.link);
    link?.hold();
    const writing = session.redis.set("k", "held");
    const watch = watched(writing);
    await session.settled();
    for (let i = 0; i < 20; i++) await tidemark.session().redis.set("other", `${i}`);
    expect(watch.isOver).toBe(false);
    await link?.release();
    expect(await writing).toBe("OK");
  });

  it("reports the primary's error when the primary keeps no append-only file", async () => {
    const admin = group.primary.admin();
    await admin.config("SET", "appendonly", "no");
    try {
      const session = tidemark.session();
      session.replicated(1, { timeoutMs: long, fsync: true });
      const failure: unknown = await session.redis.set("k", "v").catch((error) => error);
      expect(failure).toMatchObject({ code: "TIDEMARK_NOT_REPLICATED", replicas: undefined });
      expect(failure).toMatchObject({
        cause: { message: expect.stringContaining("appendonly is disabled") },
      });
    } finally {
      await admin.config("SET", "appendonly", "yes");
    }
  });
});

describe.skipIf(hasWaitAof)("Session.replicated with fsync, where the server has no WAITAOF", () => {
  it("rejects the write with the server's own error", async () => {
    const session = tidemark.session();
    session.replicated(1, { timeoutMs: long, fsync: true });
    const failure: unknown = await session.redis.set("k", "v").catch((error) => error);
    expect(failure).toMatchObject({ code: "TIDEMARK_NOT_REPLICATED", replicas: undefined });
    expect(failure).toMatchObject({ cause: { message: expect.stringMatching(/unknown command.*waitaof/i) } });
    expect(await tidemark.redis.get("k")).toBe("v");
  });
});
