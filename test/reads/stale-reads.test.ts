/** Unproven answers, which are allowed only while the primary is gone and with the option for them. */
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { describe, expect, it } from "vitest";
import type { StaleReadMessage } from "../../src/index.js";
import { replicaOf } from "../support/servers/failover.js";
import { startReplicationGroup } from "../support/servers/replication-group.js";
import { replicasAreEligible } from "../support/stages/eligible-replicas.js";
import { openTidemark } from "../support/stages/open-tidemark.js";
import { stageOwn } from "../support/stages/own-stage.js";
import { hearsItself } from "../support/stages/test-scope.js";
import { waitUntil } from "../support/wait-until.js";

const own = stageOwn(async (owe) => {
  const group = await startReplicationGroup({ replicas: 2 });
  owe(() => group.stop());
  const tidemark = openTidemark(group, { primaryTimeoutMs: 2_000 });
  owe(() => tidemark.close());
  await replicasAreEligible(tidemark);
  const told: StaleReadMessage[] = [];
  const isOwn = hearsItself();
  const listener = (message: unknown): void => {
    if (isOwn()) told.push(message as StaleReadMessage);
  };
  subscribe("tidemark:stale-read", listener);
  owe(() => unsubscribe("tidemark:stale-read", listener));
  return { group, tidemark, told };
});

/** A session that requires a write which only the first replica has, if any. */
async function aheadOf(...behind: number[]): Promise<string> {
  const { group, tidemark } = own();
  const session = tidemark.session();
  await session.redis.set("k", "old");
  await group.caughtUp();
  for (const index of behind) group.replicas[index]?.link.hold();
  await session.redis.set("k", "new");
  return session.token();
}

describe.concurrent("staleIfPrimaryGone", () => {
  it("lets the freshest replica answer when the primary is gone, and reports the answer as stale", async () => {
    const { group, tidemark, told } = own();
    const token = await aheadOf(0);
    const [, first] = group.replicas;
    await waitUntil(async () => (await first?.server.admin().get("k")) === "new", {
      what: "one replica has the new value",
    });
    await waitUntil(
      async () => {
        const { tidemark } = own();
        await tidemark.session({ token }).redis.get("k");
        const [, one, other] = tidemark.topology();
        return (other?.position?.offset ?? 0) > (one?.position?.offset ?? 0);
      },
      { what: "the first replica is known to be fresher than the other" },
    );
    await group.primary.kill();
    for (let i = 0; i < 6; i++) {
      const session = tidemark.session({ level: { level: "strong", staleIfPrimaryGone: true } });
      expect([await session.redis.get("k"), session.stale]).toEqual(["new", true]);
      expect(told.at(-1)).toEqual({
        tidemark,
        session,
        command: "get",
        node: `127.0.0.1:${first?.server.port}`,
      });
    }
    expect(tidemark.stats().staleReads).toBe(6);
  });

  it("returns older data than the session's own write when no other data is available", async () => {
    const { group, tidemark, told } = own();
    const token = await aheadOf(0, 1);
    await group.primary.kill();
    const session = tidemark.session({ token, level: { staleIfPrimaryGone: true } });
    expect([await session.redis.get("k"), session.stale]).toEqual(["old", true]);
    const strict = session.redis.at({ fallback: "error" });
    // Refused in the first second of the absence, which may have begun a moment after the first read.
    await waitUntil(async () => (await strict.get("k")) === "old", { what: "the older data is returned" });
    expect(told).toHaveLength(2);
  });

  it("keeps the shapes of pipelines and Buffers", async () => {
    const { group, tidemark } = own();
    await tidemark.session().redis.hset("h", { a: "1" });
    await group.caughtUp();
    await group.primary.kill();
    const { redis } = tidemark.session({ level: { level: "strong", staleIfPrimaryGone: true } });
    expect(await redis.pipeline().hgetall("h").hgetBuffer("h", "a").exec()).toEqual([
      [null, { a: "1" }],
      [null, Buffer.from("1")],
    ]);
  });

  it("treats a hanging primary as gone, and ignores its late answer", async () => {
    const { group, tidemark } = own();
    await aheadOf();
    await group.caughtUp();
    group.primary.pause();
    try {
      const session = tidemark.session({ level: { level: "strong", staleIfPrimaryGone: true } });
      expect([await session.redis.get("k"), session.stale]).toEqual(["new", true]);
    } finally {
      group.primary.resume();
    }
    const session = tidemark.session({ level: { level: "strong", staleIfPrimaryGone: true } });
    expect([await session.redis.get("k"), session.stale]).toEqual(["new", false]);
  });

  it("returns nothing stale while the primary is available, or without this option", async () => {
    const { group, tidemark } = own();
    const token = await aheadOf(0, 1);
    const willing = tidemark.session({ token, level: { staleIfPrimaryGone: true } });
    expect([await willing.redis.get("k"), willing.stale]).toEqual(["new", false]);
    await group.primary.kill();
    let isAnswered = false;
    const strict = tidemark.session({ token });
    const answered = strict.redis.get("k").then(
      () => {
        isAnswered = true;
      },
      () => {},
    );
    const also = tidemark.session({ token, level: { staleIfPrimaryGone: true } });
    expect(await also.redis.get("k")).toBe("old");
    expect([isAnswered, strict.stale]).toEqual([false, false]);
    await tidemark.close();
    await answered;
    expect(isAnswered).toBe(false);
  });

  it("waits for the new primary during a handover", async () => {
    const { group, tidemark } = own();
    const token = await aheadOf(0);
    const heir = replicaOf(group, 1);
    await waitUntil(async () => (await heir.admin().get("k")) === "new", {
      what: "the promoted replica has the new value",
    });
    await group.primary.admin().call("REPLICAOF", heir.host, heir.port);
    await waitUntil(
      () => {
        const { redis } = tidemark.session({ level: { maxStalenessMs: 100 } });
        redis.get("k").catch(() => {});
        return tidemark.topology()[0]?.reason === "it reports that it is a replica";
      },
      { what: "the old primary is known to be a replica" },
    );
    const session = tidemark.session({ token, level: { level: "strong", staleIfPrimaryGone: true } });
    const reading = session.redis.get("k");
    await heir.replicate(undefined);
    expect([await reading, session.stale]).toEqual(["new", false]);
  });

  it("proves a read without the primary if possible, and does not report it as stale", async () => {
    const { group, tidemark } = own();
    const token = await aheadOf();
    await group.caughtUp();
    await replicasAreEligible(tidemark);
    await group.primary.kill();
    const session = tidemark.session({ token, level: { staleIfPrimaryGone: true } });
    expect([await session.redis.get("k"), session.stale]).toEqual(["new", false]);
  });
});
