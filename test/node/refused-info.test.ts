/** Servers that do not answer INFO: servers that died right after it, and several kinds of proxies. */
import type { RedisOptions } from "ioredis";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Tidemark } from "../../src/index.js";
import { listenToWarnings, type Warnings } from "../support/listeners/warnings.js";
import { RefusingProxy } from "../support/proxies/refusing-proxy.js";
import { stageGroup } from "../support/stages/staged-group.js";
import { waitUntil } from "../support/wait-until.js";

const stage = stageGroup({ replicas: 1 });

describe("A primary behind something that refuses INFO", () => {
  let proxy: RefusingProxy;
  let warnings: Warnings;

  beforeEach(async () => {
    proxy = await RefusingProxy.start({ targetPort: stage.group.primary.port });
    stage.owe(proxy);
    warnings = listenToWarnings();
  });

  afterEach(() => {
    warnings[Symbol.dispose]();
  });

  function open(redis: RedisOptions = {}): Tidemark {
    const [replica] = stage.group.replicas;
    const tidemark = new Tidemark({
      primary: { host: proxy.host, port: proxy.port },
      replicas: [replica?.server.url ?? ""],
      redis,
    });
    tidemark.redis.on("error", () => {});
    stage.owe({ stop: () => tidemark.close() });
    return tidemark;
  }

  const proofOf = (tidemark: Tidemark): string | undefined => tidemark.topology()[0]?.proof;

  function isRead(tidemark: Tidemark): Promise<void> {
    const isEligible = async (): Promise<boolean> => {
      await tidemark.session().redis.get("k");
      return tidemark.topology()[1]?.eligible === true;
    };
    return waitUntil(isEligible, { what: "the replica may answer sessions" });
  }

  it.each<[string, RedisOptions]>([
    ["", {}],
    [" without a ready check", { protocol: 2, enableReadyCheck: false, disableClientInfo: true }],
  ])("only for a moment does not count as a proxy%s", async (_, redis) => {
    proxy.atMost = 1;
    const tidemark = open(redis);
    const session = tidemark.session();
    expect(await session.redis.set("k", "v")).toBe("OK");
    await isRead(tidemark);
    expect(proofOf(tidemark)).toBe("position");
    expect(proxy.refusals).toBe(1);
    expect(warnings.inFull("TIDEMARK_PROXY")).toEqual([]);
  });

  it("counts as a proxy until a reconnect reaches the server directly", async () => {
    const tidemark = open();
    expect(await tidemark.session().redis.set("k", "v")).toBe("OK");
    expect(proofOf(tidemark)).toBe("proxy");
    await waitUntil(() => warnings.inFull("TIDEMARK_PROXY").length === 1, { what: "a warning was emitted" });
    proxy.manner = "forwards";
    proxy.cut();
    proxy.mend();
    await isRead(tidemark);
    expect(proofOf(tidemark)).toBe("position");
    const session = tidemark.session();
    await session.redis.set("k", "w");
    expect(await session.redis.get("k")).toBe("w");
    // Again with all that is asked of a server of its own.
    proxy.cut();
    proxy.mend();
    const isTaken = (): Promise<boolean> => session.redis.set("k", "x").then(Boolean, () => false);
    await waitUntil(isTaken, { what: "a write succeeds again" });
    await isRead(tidemark);
    expect(await session.redis.get("k")).toBe("x");
    expect(warnings.inFull("TIDEMARK_PROXY")).toHaveLength(1);
  });

  it("is detected even when an earlier connection reached the server directly", async () => {
    proxy.manner = "forwards";
    const tidemark = open();
    const session = tidemark.session();
    await session.redis.set("k", "v");
    await isRead(tidemark);
    proxy.manner = "closes";
    proxy.cut();
    proxy.mend();
    await waitUntil(() => proofOf(tidemark) === "proxy", { what: "the server is known to be a proxy" });
    expect(await session.redis.set("k", "w")).toBe("OK");
    expect(await tidemark.session({ token: session.token() }).redis.get("k")).toBe("w");
    expect(tidemark.topology()[1]?.eligible).toBe(false);
  });

  it.each<[string, RedisOptions]>([
    ["the defaults of ioredis", {}],
    ["no ready check", { enableReadyCheck: false }],
    ["one retry for each request", { maxRetriesPerRequest: 1 }],
  ])("counts as a proxy also if it answers that it does not know INFO, with %s", async (_, redis) => {
    proxy.manner = "answers";
    const tidemark = open(redis);
    const session = tidemark.session();
    expect(await session.redis.set("k", "v")).toBe("OK");
    expect(await session.redis.get("k")).toBe("v");
    await waitUntil(() => proofOf(tidemark) === "proxy", { what: "the server is known to be a proxy" });
    expect(warnings.inFull("TIDEMARK_PROXY")).toHaveLength(1);
    expect(warnings.inFull("TIDEMARK_PROXY")[0]).toMatch(/answers INFO with "ERR unknown command/);
    expect(warnings.inFull("TIDEMARK_POSITION_UNKNOWN")).toEqual([]);
    // It forwards MULTI, which the server knows.
    expect(await session.redis.multi().incr("n").exec()).toEqual([[null, 1]]);
    const eventual = tidemark.session({ level: "eventual" });
    await stage.group.caughtUp();
    await waitUntil(async () => (await eventual.redis.get("k")) === "v" && eventual.stale, {
      what: "the configured replica answers a read at level eventual",
    });
  });

  it("does not count as a proxy while it is unreachable too, and the write fails with ioredis's error", async () => {
    const tidemark = open({ maxRetriesPerRequest: 2 });
    proxy.cut();
    await expect(tidemark.session().redis.set("k", "v")).rejects.toThrow(/max retries/);
    expect(proofOf(tidemark)).toBeUndefined();
    expect(warnings.inFull("TIDEMARK_PROXY")).toEqual([]);
  });
});
