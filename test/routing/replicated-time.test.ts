/** How long writes wait for replicas, and which errors they get when their time is over. */
import { describe, expect, it } from "vitest";
import { NotReplicatedError, type Tidemark } from "../../src/index.js";
import { blockedClients } from "../support/servers/blocked-clients.js";
import { holdReplicas, releaseReplicas } from "../support/servers/held-replicas.js";
import type { ReplicationGroup } from "../support/servers/replication-group.js";
import { openTidemark } from "../support/stages/open-tidemark.js";
import { stageTidemark } from "../support/stages/staged-tidemark.js";
import { watched } from "../support/stages/watched.js";
import { waitUntil } from "../support/wait-until.js";

let group: ReplicationGroup;
let tidemark: Tidemark;

stageTidemark({ replicas: 2 }, (stage) => {
  ({ group, tidemark } = stage);
});

const long = 20_000;

/** How many replicas have `value` at `key`. */
async function holders(key: string, value: string): Promise<number> {
  const values = await Promise.all(group.replicas.map(({ server }) => server.admin().get(key)));
  return values.filter((one) => one === value).length;
}

/** Whether somebody waits on the primary. */
async function isBlocked(): Promise<boolean> {
  return (await blockedClients(group.primary)) === 1;
}

describe("Session.replicated", () => {
  it("rejects with the number of replicas that had the write in time, and the write stays", async () => {
    holdReplicas(group, 0);
    const session = tidemark.session();
    await session.replicated(2, { timeoutMs: 100 });
    const failure: unknown = await session.redis.set("k", "stands").catch((error) => error);
    expect(failure).toBeInstanceOf(NotReplicatedError);
    expect(failure).toMatchObject({ code: "TIDEMARK_NOT_REPLICATED", wanted: 2, replicas: 1 });
    expect(await tidemark.redis.get("k")).toBe("stands");
    holdReplicas(group);
    await expect(session.redis.incr("n")).rejects.toMatchObject({ replicas: 0 });
    expect(await tidemark.redis.get("n")).toBe("1");
  });

  it("counts correctly for many writes that one replica has and a hung one lacks", async () => {
    holdReplicas(group, 1);
    const [first] = group.replicas;
    first?.link.delay(20);
    try {
      const failures: Promise<unknown>[] = [];
      // For longer than each may wait, so that there are always some whose time is over soon.
      for (let i = 0; i < 60; i++) {
        const session = tidemark.session();
        session.replicated(2, { timeoutMs: 1_000 });
        failures.push(session.redis.set("k", `${i}`).catch((error) => error.replicas));
        await waitUntil(async () => (await holders("k", `${i}`)) === 1, {
          what: "one replica has the write",
        });
      }
      expect(new Set(await Promise.all(failures))).toEqual(new Set([1]));
    } finally {
      first?.link.delay(0);
    }
  });

  it("lets each write wait as long as its own session sets", async () => {
    holdReplicas(group);
    const [patient, hasty] = [tidemark.session(), tidemark.session()];
    await patient.replicated(1, { timeoutMs: long });
    await hasty.replicated(1, { timeoutMs: 50 });
    const waiting = patient.redis.set("k", "v");
    await expect(hasty.redis.set("h", "v")).rejects.toThrow(NotReplicatedError);
    await releaseReplicas(group);
    expect(await waiting).toBe("OK");
  });

  it("rejects a short wait in time although a longer one shares its connection", async () => {
    holdReplicas(group);
    const [patient, hasty] = [tidemark.session(), tidemark.session()];
    patient.replicated(1, { timeoutMs: 2_000 });
    hasty.replicated(1, { timeoutMs: 1_100 });
    const waiting = expect(patient.redis.set("k", "v")).rejects.toThrow(NotReplicatedError);
    const watch = watched(waiting);
    await waitUntil(isBlocked, { what: "the longer wait blocks" });
    await expect(hasty.redis.set("h", "v")).rejects.toThrow("0 replicas had the write after 1100 ms");
    expect(watch.isOver).toBe(false);
    await waiting;
  });

  it("accepts a timeout longer than a timer can run", async () => {
    const session = tidemark.session();
    await session.replicated(2, { timeoutMs: 1e12 });
    expect(await session.redis.set("k", "v")).toBe("OK");
    expect(await holders("k", "v")).toBe(2);
  });

  it("resolves in time after a pause of the primary", async () => {
    holdReplicas(group);
    const session = tidemark.session();
    session.replicated(1, { timeoutMs: 2_000 });
    const writing = session.redis.set("k", "v");
    await waitUntil(isBlocked, { what: "the write waits for replicas" });
    group.primary.pause();
    const until = performance.now() + 1_000;
    await waitUntil(() => performance.now() > until, { what: "half of the timeout is over" });
    group.primary.resume();
    await releaseReplicas(group);
    expect([await writing, await holders("k", "v")]).toEqual(["OK", 2]);
  });

  it("reports an unknown number of replicas, in time, when the primary hangs", async () => {
    holdReplicas(group);
    const session = tidemark.session();
    session.replicated(1, { timeoutMs: 300 });
    const writing = session.redis.set("k", "v").catch((error) => error);
    await waitUntil(isBlocked, { what: "the write waits for replicas" });
    group.primary.pause();
    try {
      expect(await writing).toMatchObject({ code: "TIDEMARK_NOT_REPLICATED", replicas: undefined });
    } finally {
      group.primary.resume();
    }
  });

  it("rejects waiting writes when it is closed", async () => {
    holdReplicas(group);
    const other = openTidemark(group);
    const session = other.session();
    session.replicated(1, { timeoutMs: long });
    const failing = expect(session.redis.set("k", "v")).rejects.toMatchObject({ replicas: undefined });
    await waitUntil(isBlocked, { what: "the write waits for replicas" });
    await other.close({ timeoutMs: 500 });
    await failing;
  });

  it("reports an unknown number of replicas when the primary is gone", async () => {
    holdReplicas(group);
    const session = tidemark.session();
    await session.replicated(2, { timeoutMs: long });
    const writing = session.redis.set("k", "v").catch((error) => error);
    await waitUntil(isBlocked, { what: "the write waits for replicas" });
    await group.primary.admin().call("client", "kill", "type", "normal", "skipme", "yes");
    expect(await writing).toMatchObject({ code: "TIDEMARK_NOT_REPLICATED", replicas: undefined });
  });
});
