/** Primaries that accept connections but do not answer, such as a stopped process or a hung machine. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ConnectionLostError, NoPrimaryError, Tidemark } from "../../src/index.js";
import { replicaOf } from "../support/servers/failover.js";
import { isPrimaryOf } from "../support/servers/promotion.js";
import type { RedisServer } from "../support/servers/redis-server.js";
import { replicasAreEligible } from "../support/stages/eligible-replicas.js";
import type { GroupOptions } from "../support/stages/open-tidemark.js";
import { type StagedGroup, stageGroup } from "../support/stages/staged-group.js";
import { waitUntil } from "../support/wait-until.js";

const stage: StagedGroup = stageGroup({ replicas: 2 });
const levels = ["session", "strong", "eventual", { maxStalenessMs: 5_000 }] as const;

beforeEach(async () => {
  await stage.group.primary.admin().set("k", "v");
  await stage.group.caughtUp();
});

afterEach(() => stage.group.primary.resume());

function heirOf({ group }: StagedGroup): RedisServer {
  return replicaOf(group);
}

/** On the frozen primary's own command queue, so that it is known to be silent. */
async function isSilent(tidemark: Tidemark): Promise<void> {
  await waitUntil(() => tidemark.topology()[0]?.eligible === false, {
    what: "the primary is known to be silent",
  });
}

async function promoteHeir(): Promise<void> {
  const heir = heirOf(stage);
  await heir.replicate(undefined);
  await replicaOf(stage.group, 1).replicate(heir);
}

/** On two ways of knowing the replicas. */
async function open(how: "given" | "discovered", options: GroupOptions = {}): Promise<Tidemark> {
  if (how === "given") return stage.open(options);
  const tidemark = new Tidemark({ primary: stage.group.primary.url, ...options });
  stage.owe({ stop: () => tidemark.close() });
  await waitUntil(() => tidemark.topology().length === 3, { what: "the replicas are discovered" });
  await replicasAreEligible(tidemark);
  return tidemark;
}

describe.concurrent.each(["given", "discovered"] as const)(
  "a frozen primary whose replicas are %s",
  (how) => {
    it("is abandoned for good when a replica is promoted", async () => {
      const { primary } = stage.group;
      const heir = heirOf(stage);
      const tidemark = await open(how);
      primary.pause();
      const stray = tidemark.session().redis.set("k", "stray");
      const isRejected = expect(stray).rejects.toBeInstanceOf(ConnectionLostError);
      await promoteHeir();
      await waitUntil(() => isPrimaryOf(tidemark, heir), { what: "the promoted replica is followed" });
      await isRejected;
      expect(await tidemark.session().redis.set("k", "kept")).toBe("OK");
      primary.resume();
      await waitUntil(async () => (await primary.admin().get("k")) === "stray", {
        what: "the old primary has resumed",
      });
      const before = await primary.commandCalls("set");
      for (let i = 0; i < 20; i++) {
        for (const level of levels) expect(await tidemark.session({ level }).redis.get("k")).toBe("kept");
        await tidemark.redis.set("n", i);
      }
      expect(isPrimaryOf(tidemark, heir)).toBe(true);
      expect(await primary.commandCalls("set")).toBe(before);
      expect(await heir.admin().get("n")).toBe("19");
    });

    it("leaves waiting reads and writes to the replica that was promoted", async () => {
      const { primary } = stage.group;
      const tidemark = await open(how, { primaryTimeoutMs: 20_000 });
      primary.pause();
      const read = tidemark.session({ level: "strong" }).redis.get("k");
      await isSilent(tidemark);
      const session = tidemark.session();
      const replies = [session.redis.set("late", "1"), session.redis.incr("n"), tidemark.redis.incr("n")];
      await promoteHeir();
      expect([await read, ...(await Promise.all(replies))]).toEqual(["v", "OK", 1, 2]);
      expect(await session.redis.get("late")).toBe("1");
    });

    it("does not stop replicas from answering, whether or not the session has written", async () => {
      const { primary } = stage.group;
      const tidemark = await open(how);
      const writer = tidemark.session();
      await writer.redis.set("k", "own");
      await stage.group.caughtUp();
      await replicasAreEligible(tidemark);
      primary.pause();
      for (let i = 0; i < 20; i++) {
        expect(await tidemark.session({ token: writer.token() }).redis.get("k")).toBe("own");
        expect(await tidemark.session().redis.get("k")).toBe("own");
      }
    });
  },
);

describe.concurrent("a frozen primary without a replacement", () => {
  it("causes each command to be rejected in time with the error that fits it, and is used again when it wakes up", async () => {
    const { primary } = stage.group;
    const tidemark = await stage.open({ primaryTimeoutMs: 2_000, maxStalenessMs: 1_000 });
    primary.pause();
    const inFlight = tidemark.session().redis.set("k", "in flight");
    const isLost = expect(inFlight).rejects.toBeInstanceOf(ConnectionLostError);
    await isSilent(tidemark);
    const waiting = [
      tidemark.session().redis.set("late", "1"),
      tidemark.redis.set("late", "1"),
      tidemark.redis.pipeline().set("late", "1").get("late").exec(),
      tidemark.redis.multi().set("late", "1").exec(),
      tidemark.session({ level: "strong" }).redis.get("k"),
      tidemark.session().redis.blpop("late", 0),
    ];
    const rejected = await Promise.allSettled(waiting);
    const [pipelined] = rejected.splice(2, 1);
    expect(pipelined).toMatchObject({
      value: [[{ code: "TIDEMARK_NO_PRIMARY" }], [{ code: "TIDEMARK_NO_PRIMARY" }]],
    });
    for (const { reason } of rejected as PromiseRejectedResult[]) {
      expect(reason).toBeInstanceOf(NoPrimaryError);
      expect(reason.message).toMatch(
        new RegExp(
          `${primary.host}:${primary.port} is not available, so nothing was sent. Cause: it (has not answered commands for|accepts connections, but does not answer)`,
        ),
      );
    }
    await isLost;
    primary.resume();
    await waitUntil(async () => (await tidemark.redis.set("after", "1")) === "OK", {
      what: "the primary is used again",
    });
    expect(await primary.admin().exists("late")).toBe(0);
  });

  it("keeps its role while it is only slow and no replica was promoted", async () => {
    const { primary } = stage.group;
    const tidemark = await stage.open();
    const closed: string[] = [];
    tidemark.redis.on("close", () => closed.push("close"));
    const slow = `local now = redis.call("TIME") local start = now[1] * 1000000 + now[2]
      repeat now = redis.call("TIME") until now[1] * 1000000 + now[2] - start > 3000000 return 1`;
    const script = tidemark.session().redis.eval(slow, 0);
    await isSilent(tidemark);
    const writes = Array.from({ length: 20 }, () => tidemark.session().redis.incr("n"));
    expect(await script).toBe(1);
    expect(await Promise.all(writes)).toEqual(Array.from({ length: 20 }, (_, i) => i + 1));
    expect(isPrimaryOf(tidemark, primary)).toBe(true);
    expect(closed).toEqual([]);
  });
});

describe.concurrent("a primary that is frozen before the first connection", () => {
  it("makes commands, ready() and quit() reject with the cause, and close() settles the rest", async () => {
    const { primary } = stage.group;
    primary.pause();
    const options = { primary: primary.url, replicas: [], primaryTimeoutMs: 1_000 };
    const tidemark = new Tidemark(options);
    stage.owe({ stop: () => tidemark.close() });
    const said = `${primary.host}:${primary.port} is not available, so nothing was sent. Cause: it accepts connections, but does not answer`;
    await expect(tidemark.ready({ timeoutMs: 500 })).rejects.toThrow(said);
    await expect(tidemark.redis.set("k", "1")).rejects.toThrow(said);
    await expect(tidemark.session().redis.get("k")).rejects.toBeInstanceOf(NoPrimaryError);
    const waiting = expect(tidemark.redis.get("k")).rejects.toBeInstanceOf(NoPrimaryError);
    await expect(tidemark.redis.quit()).rejects.toBeInstanceOf(NoPrimaryError);
    await waiting;
    const patient = new Tidemark({ ...options, redis: { maxRetriesPerRequest: null } });
    const settled = expect(patient.session().redis.set("k", "1")).rejects.toThrow("Connection is closed.");
    await patient.close({ timeoutMs: 100 });
    await settled;
  });

  it("does not prevent quit() from closing the Tidemark while a command is in flight", async () => {
    const { primary } = stage.group;
    const tidemark = await stage.open({ primaryTimeoutMs: 1_000 });
    primary.pause();
    const inFlight = expect(tidemark.redis.set("k", "1")).rejects.toBeInstanceOf(ConnectionLostError);
    await expect(tidemark.redis.quit()).rejects.toThrow();
    await inFlight;
    await expect(tidemark.redis.get("k")).rejects.toThrow("Connection is closed.");
  });
});
