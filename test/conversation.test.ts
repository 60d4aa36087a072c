/** What blocks or leaves state behind has a connection to itself, and nobody else notices. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { RefusedCommandError, type Tidemark, TransactionLostError } from "../src/index.js";
import { replicasAreEligible } from "./support/eligible-replicas.js";
import { holdReplicas, releaseReplicas } from "./support/held-replicas.js";
import { openTidemark } from "./support/open-tidemark.js";
import { type ReplicationGroup, startReplicationGroup } from "./support/replication-group.js";
import { listenToRoutes } from "./support/routes.js";
import { waitUntil } from "./support/wait-until.js";

let group: ReplicationGroup;
let tidemark: Tidemark;

beforeAll(async () => {
  group = await startReplicationGroup({ replicas: 1 });
});

afterAll(() => group.stop());

beforeEach(async () => {
  await group.primary.admin().flushall();
  tidemark = openTidemark(group);
  await replicasAreEligible(tidemark);
});

afterEach(async () => {
  vi.useRealTimers();
  await tidemark.close();
  await releaseReplicas(group);
});

/** How many clients of the primary wait in a command that blocks. */
async function blocked(): Promise<number> {
  return Number((await group.primary.info("clients")).blocked_clients);
}

/** Kills the connections of all clients but the one that asks. */
async function killOthers(): Promise<void> {
  await group.primary.admin().call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
}

describe("A command that blocks", () => {
  it("holds up nobody else, in a session or outside", async () => {
    const waits = [
      tidemark.session().redis.blpop("queue", 0),
      tidemark.redis.brpop("queue", 0),
      tidemark.session().redis.xread("BLOCK", 0, "STREAMS", "stream", "$"),
    ];
    await waitUntil(async () => (await blocked()) === 3, { what: "all three wait" });
    const { redis } = tidemark.session();
    await redis.set("k", "1");
    expect(await redis.get("k")).toBe("1");
    await redis.rpush("queue", "a", "b");
    await redis.xadd("stream", "1-1", "f", "v");
    expect((await Promise.all(waits)).map(String).sort()).toEqual(["queue,a", "queue,b", "stream,1-1,f,v"]);
  });

  it("is a write: its session reads what came of it, behind any lag", async () => {
    const session = tidemark.session();
    await session.redis.rpush("from", "job");
    await group.caughtUp();
    holdReplicas(group);
    expect(await session.redis.blmove("from", "to", "LEFT", "RIGHT", 0)).toBe("job");
    expect(session.token()).not.toBe("");
    const next = tidemark.session({ token: session.token() });
    expect([await next.redis.llen("from"), await next.redis.lrange("to", 0, -1)]).toEqual([0, ["job"]]);
  });

  it("works in a pipeline, which then has the connection as a whole", async () => {
    const { redis } = tidemark.session();
    const results = redis.pipeline().set("k", "1").blpop("queue", 0).get("k").exec();
    await waitUntil(async () => (await blocked()) === 1, { what: "the pipeline waits" });
    expect(await tidemark.redis.get("k")).toBe("1");
    await tidemark.redis.rpush("queue", "a");
    expect(await results).toEqual([
      [null, "OK"],
      [null, ["queue", "a"]],
      [null, "1"],
    ]);
  });

  it("does not wait inside MULTI, as Redis has it", async () => {
    const results = await tidemark.session().redis.multi().blpop("queue", 0).set("k", "1").exec();
    expect(results).toEqual([
      [null, null],
      [null, "OK"],
    ]);
  });

  it("takes a connection that another has given back, and leaves none behind for long", async () => {
    const { redis } = tidemark.session();
    await redis.rpush("queue", "a", "b", "c");
    const before = Number((await group.primary.info("clients")).connected_clients);
    for (const job of ["a", "b", "c"]) expect(await redis.blpop("queue", 0)).toEqual(["queue", job]);
    expect(Number((await group.primary.info("clients")).connected_clients)).toBe(before + 1);
    await tidemark.close();
    await waitUntil(async () => Number((await group.primary.info("clients")).connected_clients) < before, {
      what: "all connections are gone",
    });
  });

  it("is rejected when the Tidemark is closed, or its connection is", async () => {
    const killed = tidemark.session();
    const wait = killed.redis.blpop("queue", 0);
    await waitUntil(async () => (await blocked()) === 1, { what: "it waits" });
    await Promise.all([expect(wait).rejects.toThrow(/BLPOP: the connection to .* closed/), killOthers()]);
    expect(killed.pinned).toBe(true);
    const second = tidemark.session().redis.blpop("queue", 0);
    await waitUntil(async () => (await blocked()) === 1, { what: "the second waits" });
    await Promise.all([expect(second).rejects.toThrow(/closed/), tidemark.close()]);
  });
});

describe("A transaction by hand", () => {
  it("fails when a watched key was changed by anyone, and is carried out when not", async () => {
    const { redis } = tidemark.session();
    await redis.set("balance", "10");
    for (const disturbed of [true, false]) {
      await redis.watch("balance");
      const balance = Number(await redis.get("balance"));
      if (disturbed) await tidemark.redis.set("balance", "20");
      const results = await redis
        .multi()
        .set("balance", balance + 1)
        .exec();
      expect(results).toEqual(disturbed ? null : [[null, "OK"]]);
    }
    expect(await redis.get("balance")).toBe("21");
  });

  it("reads what it decides by from the primary, however far replicas have come", async () => {
    const other = tidemark.session();
    const { redis } = tidemark.session();
    await redis.get("warm");
    holdReplicas(group);
    await other.redis.set("k", "new");
    using routes = listenToRoutes();
    await redis.watch("k");
    expect(await redis.get("k")).toBe("new");
    await redis.unwatch();
    expect(routes.of("get")).toEqual(["primary:not-a-read"]);
  });

  it("is its session's own: 20 at once do not mix, nor does what others send meanwhile", async () => {
    const sessions = Array.from({ length: 20 }, () => tidemark.session());
    const results = await Promise.all(
      sessions.map(async ({ redis }, i) => {
        await redis.multi({ pipeline: false });
        expect(await redis.set(`k${i}`, i)).toBe("QUEUED");
        expect(await tidemark.redis.set("other", i)).toBe("OK");
        expect(await redis.get(`k${i}`)).toBe("QUEUED");
        return redis.exec();
      }),
    );
    expect(results).toEqual(
      sessions.map((_, i) => [
        [null, "OK"],
        [null, String(i)],
      ]),
    );
    for (const session of sessions) expect(session.token()).not.toBe("");
  });

  it("keeps order without await, also in front of it and behind it", async () => {
    const { redis } = tidemark.session();
    const replies = await Promise.all([
      redis.set("k", "0"),
      redis.watch("k"),
      redis.incr("k"),
      redis.get("k"),
      redis.unwatch(),
      redis.multi({ pipeline: false }),
      redis.incr("k"),
      redis.exec(),
      redis.get("k"),
      redis.incr("k"),
    ]);
    expect(replies).toEqual(["OK", "OK", 1, "1", "OK", "OK", "QUEUED", [[null, 2]], "2", 3]);
  });

  it("has nothing queued that nobody asked for, when a write comes just before it", async () => {
    const { redis } = tidemark.session();
    await redis.watch("k");
    await Promise.all([redis.incr("other"), redis.multi({ pipeline: false })]);
    await redis.incr("k");
    expect(await redis.exec()).toEqual([[null, 1]]);
  });

  it("is covered: the session's next read sees it behind any lag", async () => {
    const session = tidemark.session();
    await session.redis.get("warm");
    holdReplicas(group);
    await session.redis.multi({ pipeline: false });
    await session.redis.set("k", "1");
    await session.redis.exec();
    expect(await tidemark.session({ token: session.token() }).redis.get("k")).toBe("1");
  });

  it("ends with DISCARD, and gives the errors of Redis", async () => {
    const { redis } = tidemark.session();
    await redis.multi({ pipeline: false });
    await redis.set("k", "1");
    expect(await redis.discard()).toBe("OK");
    expect(await redis.get("k")).toBeNull();
    await expect(redis.exec()).rejects.toThrow("ERR EXEC without MULTI");
    await redis.multi({ pipeline: false });
    await expect(redis.call("set", "k")).rejects.toThrow("wrong number of arguments");
    await expect(redis.exec()).rejects.toThrow("EXECABORT");
    expect(await redis.get("k")).toBeNull();
  });

  it("is not carried out without its WATCH when the connection was lost meanwhile", async () => {
    const { redis } = tidemark.session();
    await redis.watch("k");
    await redis.get("k");
    await killOthers();
    await expect(redis.multi().set("k", "1").exec()).rejects.toThrow(TransactionLostError);
    expect(await redis.get("k")).toBeNull();
    await redis.watch("k");
    expect(await redis.multi().set("k", "2").exec()).toEqual([[null, "OK"]]);
  });

  it("sends nothing that was to be queued when the connection was lost meanwhile", async () => {
    const { redis } = tidemark.session();
    await redis.multi({ pipeline: false });
    await killOthers();
    await expect(redis.set("k", "1")).rejects.toThrow(TransactionLostError);
    await expect(redis.exec()).rejects.toThrow(TransactionLostError);
    expect(await redis.exists("k")).toBe(0);
    expect(await redis.set("k", "2")).toBe("OK");
  });

  it("gives its connection up when nobody goes on with it, and says so", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const { redis } = tidemark.session();
    await redis.watch("k");
    vi.advanceTimersByTime(5_001);
    expect(await redis.set("k", "1")).toBe("OK");
    await expect(redis.multi().set("k", "2").exec()).rejects.toThrow(/nothing was sent for 5000 ms/);
    expect(await redis.get("k")).toBe("1");
  });

  it("needs a session to belong to, or two requests could mix", async () => {
    for (const begin of [() => tidemark.redis.watch("k"), () => tidemark.redis.multi({ pipeline: false })]) {
      await expect(begin()).rejects.toThrow(RefusedCommandError);
      await expect(begin()).rejects.toThrow(/call it in a session \(tidemark\.run, req\.redis\)/);
    }
    expect(await tidemark.run(tidemark.session(), () => tidemark.redis.watch("k"))).toBe("OK");
  });
});
