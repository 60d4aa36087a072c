/** Primaries that cannot be reached: which reads are answered without them, and when commands are rejected. */
import { beforeEach, describe, expect, it } from "vitest";
import { InvalidOptionError, NoPrimaryError, type Tidemark } from "../../src/index.js";
import { listenToRoutes } from "../support/listeners/routes.js";
import { replicaOf } from "../support/servers/failover.js";
import { isPrimaryOf } from "../support/servers/promotion.js";
import { type GroupOptions, openTidemark } from "../support/stages/open-tidemark.js";
import { stageGroup } from "../support/stages/staged-group.js";
import { waitUntil } from "../support/wait-until.js";

const stage = stageGroup({ replicas: 2 });

beforeEach(async () => {
  await stage.group.primary.admin().set("k", "v");
  await stage.group.caughtUp();
});

/** Not waited for, since nobody may be there. */
function open(options: GroupOptions = {}): Tidemark {
  const tidemark = openTidemark(stage.group, options);
  stage.owe({ stop: () => tidemark.close() });
  return tidemark;
}

function noneIsProven(tidemark: Tidemark): boolean {
  return tidemark
    .topology()
    .every(({ role, position, eligible }) => role === "primary" || (position !== undefined && !eligible));
}

describe.concurrent("a read at level eventual", () => {
  it("is answered by a replica of unproven age when the primary has been gone for long", async () => {
    const tidemark = await stage.open({ maxStalenessMs: 300 });
    await stage.group.primary.kill();
    await waitUntil(() => noneIsProven(tidemark), { what: "no position is proven any more" });
    using routes = listenToRoutes();
    const session = tidemark.session({ level: "eventual" });
    for (let i = 0; i < 10; i++) expect(await session.redis.get("k")).toBe("v");
    expect(await session.redis.pipeline().get("k").exists("k").exec()).toEqual([
      [null, "v"],
      [null, 1],
    ]);
    expect(new Set(routes.of("get"))).toEqual(new Set(["replica:unproven"]));
    expect(session.stale).toBe(true);
    expect(tidemark.topology().map(({ lagMs = 301 }) => lagMs > 300)).toEqual([true, true, true]);
  });

  it("is answered when the primary is down at the start or its password is wrong", async () => {
    await stage.group.primary.kill();
    expect(await open().session({ level: "eventual" }).redis.get("k")).toBe("v");
    await stage.group.primary.restart({ args: ["--requirepass", "right"] });
    const primary = { host: stage.group.primary.host, port: stage.group.primary.port, password: "wrong" };
    expect(await open({ primary }).session({ level: "eventual" }).redis.get("k")).toBe("v");
  });

  it("is answered by the next replica when the freshest one is frozen", async () => {
    const tidemark = await stage.open({ maxStalenessMs: 300 });
    await stage.group.primary.kill();
    await waitUntil(() => noneIsProven(tidemark), { what: "no position is proven any more" });
    for (const { server } of stage.group.replicas) {
      server.pause();
      expect(await tidemark.session({ level: "eventual" }).redis.get("k")).toBe("v");
      server.resume();
      await waitUntil(() => noneIsProven(tidemark), { what: "no position is proven any more" });
    }
  });

  it("waits for the primary when no replica has data, and is rejected with the cause", async () => {
    await replicaOf(stage.group).restart({ empty: true });
    await stage.group.primary.kill();
    await replicaOf(stage.group).restart({ empty: true });
    const tidemark = open({ replicas: [replicaOf(stage.group).url], primaryTimeoutMs: 1_500 });
    await expect(tidemark.session({ level: "eventual" }).redis.get("k")).rejects.toThrow("ECONNREFUSED");
  });
});

describe.concurrent("a command that needs the primary", () => {
  it("is rejected with the address and the cause after primaryTimeoutMs", async () => {
    const tidemark = await stage.open({ maxStalenessMs: 300, primaryTimeoutMs: 1_000 });
    const { primary } = stage.group;
    await primary.kill();
    await waitUntil(() => noneIsProven(tidemark), { what: "no position is proven any more" });
    const session = tidemark.session();
    const calls = [
      session.redis.get("k"),
      session.redis.set("k", "w"),
      tidemark.session({ level: "strong" }).redis.get("k"),
      tidemark.session({ level: { maxStalenessMs: 100 } }).redis.get("k"),
      tidemark.session().redis.blpop("list", 0),
      tidemark.redis.get("k"),
    ];
    const began = performance.now();
    for (const { reason } of (await Promise.allSettled(calls)) as PromiseRejectedResult[]) {
      expect(reason).toBeInstanceOf(NoPrimaryError);
      expect(reason.message).toContain(
        `${primary.host}:${primary.port} is not available, so nothing was sent. Cause: connect ECONNREFUSED`,
      );
      expect(reason.cause).toMatchObject({ code: "ECONNREFUSED" });
    }
    expect(performance.now() - began).toBeLessThan(10_000);
    await primary.restart();
    await waitUntil(async () => (await tidemark.redis.set("k", "w")) === "OK", {
      what: "the primary is used again",
    });
  });

  it("waits without limit with maxRetriesPerRequest: null", async () => {
    const tidemark = await stage.open({ primaryTimeoutMs: 50, redis: { maxRetriesPerRequest: null } });
    await stage.group.primary.kill();
    await waitUntil(() => tidemark.topology()[0]?.eligible === false, { what: "the primary is ineligible" });
    const write = tidemark.session().redis.set("k", "w");
    await expect(tidemark.ready({ timeoutMs: 500 })).rejects.toBeInstanceOf(NoPrimaryError);
    await stage.group.primary.restart();
    expect(await write).toBe("OK");
  });
});

describe.concurrent("ready()", () => {
  it("resolves when a replica replaces a primary that was never reached", async () => {
    await stage.group.primary.kill();
    const tidemark = open({ primaryTimeoutMs: 20_000 });
    const write = tidemark.session().redis.set("k", "w");
    await expect(tidemark.ready({ timeoutMs: 200 })).rejects.toThrow("ECONNREFUSED");
    await waitUntil(() => noneIsProven(tidemark), { what: "the replicas are known" });
    const ready = tidemark.ready({ timeoutMs: 20_000 });
    const heir = replicaOf(stage.group);
    await heir.replicate(undefined);
    await ready;
    expect(isPrimaryOf(tidemark, heir)).toBe(true);
    expect(await write).toBe("OK");
    expect(await heir.admin().get("k")).toBe("w");
  });

  it("refuses an invalid timeoutMs", async () => {
    const tidemark = open();
    for (const timeoutMs of [0, -1, Number.NaN])
      await expect(tidemark.ready({ timeoutMs })).rejects.toBeInstanceOf(InvalidOptionError);
    await tidemark.ready({ timeoutMs: Number.POSITIVE_INFINITY });
  });

  it("does not resolve for a new primary that was never seen as a replica", async () => {
    await stage.group.primary.kill();
    const stranger = replicaOf(stage.group);
    await stranger.restart({ empty: true });
    await stranger.replicate(undefined);
    const tidemark = open({ replicas: [stranger.url] });
    await expect(tidemark.ready({ timeoutMs: 2_500 })).rejects.toBeInstanceOf(NoPrimaryError);
    expect(isPrimaryOf(tidemark, stranger)).toBe(false);
  });
});
