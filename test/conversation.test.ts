/** What blocks or leaves state behind has a connection to itself, and nobody else notices. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { RefusedCommandError, type Tidemark, TransactionLostError } from "../src/index.js";
import { replicasAreEligible } from "./support/eligible-replicas.js";
import { holdReplicas, releaseReplicas } from "./support/held-replicas.js";
import { openTidemark } from "./support/open-tidemark.js";
import { type ReplicationGroup, startReplicationGroup } from "./support/replication-group.js";
import { listenToRoutes } from "./support/routes.js";
import { TcpProxy } from "./support/tcp-proxy.js";
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
    await Promise.all([redis.incr("other"), redis.call("MULTI")]);
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

describe("A connection that was borrowed", () => {
  it("is not another's while anything may be left on it", async () => {
    const { redis } = tidemark.session();
    for (const end of ["exec", "discard"] as const) {
      await redis.watch("k");
      await expect(redis[end]()).rejects.toThrow(/without MULTI/);
      await redis.unwatch();
      await tidemark.redis.set("k", end);
      const other = tidemark.session().redis;
      await other.multi({ pipeline: false });
      await other.set("mine", "1");
      expect(await other.exec()).toEqual([[null, "OK"]]);
    }
  });

  it("takes over a MULTI that a pipeline leaves open, so that nobody else's commands are queued", async () => {
    const { redis } = tidemark.session();
    expect(await redis.pipeline().call("MULTI").set("k", "1").exec()).toEqual([
      [null, "OK"],
      [null, "QUEUED"],
    ]);
    expect(await tidemark.redis.get("k")).toBeNull();
    expect(await redis.exec()).toEqual([[null, "OK"]]);
    const outside = await tidemark.redis.pipeline().call("MULTI").set("k", "2").exec();
    expect(outside?.[0]?.[0]).toBeInstanceOf(RefusedCommandError);
    expect(await tidemark.redis.get("k")).toBe("1");
  });

  it("is ended when a command has blocked for longer than it may, and takes nothing any more", async () => {
    for (const redis of [{ commandTimeout: 100 }, { blockingTimeout: 100 }]) {
      await using own = openTidemark(group, { redis });
      const session = own.session();
      const reply = session.redis.blpop("late", 0);
      if (redis.commandTimeout === undefined) expect(await reply).toBeNull();
      else await expect(reply).rejects.toThrow("Command timed out");
      await waitUntil(async () => (await blocked()) === 0, { what: "nothing blocks any more" });
      await waitUntil(async () => !session.writing, { what: "the session is done" });
      await group.primary.admin().rpush("late", "job");
      expect(await own.session().redis.watch("k")).toBe("OK");
      expect(await group.primary.admin().lpop("late")).toBe("job");
    }
  });

  it("is sent nothing before what was given before it", async () => {
    const session = tidemark.session();
    await session.redis.unwatch();
    const large = "x".repeat(8_000_000);
    const replies = await Promise.all([
      session.redis.set("k", large),
      session.redis.watch("k"),
      session.redis.strlen("k"),
      session.redis.multi({ pipeline: false }),
      session.redis.incr("n"),
      session.redis.exec(),
    ]);
    expect(replies.slice(2)).toEqual([large.length, "OK", "QUEUED", [[null, 1]]]);
  });

  it("sends nothing of a transaction again, also where reconnectOnError asks for it", async () => {
    let asked = 0;
    const reconnectOnError = (error: Error): 2 | false => {
      if (!error.message.startsWith("WRONGTYPE")) return false;
      asked += 1;
      return 2;
    };
    await using own = openTidemark(group, { redis: { reconnectOnError } });
    const { redis } = own.session();
    await redis.rpush("list", "a");
    await redis.watch("k");
    await expect(redis.incr("list")).rejects.toThrow("WRONGTYPE");
    await expect(redis.multi().set("k", "1").exec()).rejects.toThrow(TransactionLostError);
    expect([asked, await redis.get("k")]).toEqual([1, null]);
  });

  it("is waited for, although commands are not to wait for a connection", async () => {
    await using own = openTidemark(group, { redis: { enableOfflineQueue: false } });
    await own.ready();
    const { redis } = own.session();
    await redis.rpush("queue", "a");
    expect(await redis.blpop("queue", 0)).toEqual(["queue", "a"]);
  });

  it("has its commands answered before quit() is", async () => {
    await using own = openTidemark(group);
    const waits = own.session().redis.blpop("queue", 0);
    await waitUntil(async () => (await blocked()) === 1, { what: "it waits" });
    const quit = own.redis.quit();
    await group.primary.admin().rpush("queue", "a");
    expect(await Promise.all([waits, quit])).toEqual([["queue", "a"], "OK"]);
  });
});

describe("A transaction by hand when servers change", () => {
  it("leaves its session as it was when WATCH could not be sent", async () => {
    const own = await startReplicationGroup({ replicas: 1 });
    await using client = openTidemark(own, { redis: { maxRetriesPerRequest: 0 } });
    await replicasAreEligible(client);
    const { redis } = client.session();
    await own.primary.kill();
    await expect(redis.watch("k")).rejects.toThrow("max retries per request");
    expect(await redis.get("k")).toBeNull();
    await own.stop();
  });

  it("says that nothing was carried out when the connection closes on a command that is to be queued", async () => {
    await using proxy = await TcpProxy.start({ targetPort: group.primary.port });
    await using own = openTidemark(group, { primary: `redis://127.0.0.1:${proxy.port}` });
    const { redis } = own.session();
    await redis.watch("k");
    await redis.multi({ pipeline: false });
    proxy.stall();
    const queued = expect(redis.set("k", "1")).rejects.toThrow(TransactionLostError);
    proxy.cut();
    await queued;
    proxy.unstall();
    proxy.mend();
    await expect(redis.exec()).rejects.toThrow(TransactionLostError);
    expect(await redis.exists("k")).toBe(0);
  });

  it("waits for the server that was promoted", async () => {
    const own = await startReplicationGroup({ replicas: 1 });
    const promoted = own.replicas[0]?.server;
    if (promoted === undefined) throw new Error("the group has no replica");
    await using client = openTidemark(own, { probeIntervalMs: 20 });
    await replicasAreEligible(client);
    await promoted.admin().replicaof("NO", "ONE");
    await own.primary.admin().replicaof("127.0.0.1", promoted.port);
    await waitUntil(
      async () => {
        const { redis } = client.session();
        const watched = await redis.watch("k").catch(() => "refused");
        if (watched === "OK") await redis.unwatch();
        return watched === "OK" && client.topology()[0]?.address.endsWith(`:${promoted.port}`) === true;
      },
      { what: "WATCH finds the new primary by itself" },
    );
    const { redis } = client.session();
    await redis.watch("k");
    expect(await redis.multi().set("k", "1").exec()).toEqual([[null, "OK"]]);
    expect(await promoted.admin().get("k")).toBe("1");
    await own.stop();
  });
});
