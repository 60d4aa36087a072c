/** What is left on a connection that was lent, and what becomes of it when servers change. */
import { describe, expect, it } from "vitest";
import { RefusedCommandError, type Tidemark, TransactionLostError } from "../../src/index.js";
import { TcpProxy } from "../support/proxies/tcp-proxy.js";
import { blockedClients } from "../support/servers/blocked-clients.js";
import { isPrimaryOf, promoteFirst } from "../support/servers/promotion.js";
import { type ReplicationGroup, startReplicationGroup } from "../support/servers/replication-group.js";
import { replicasAreEligible } from "../support/stages/eligible-replicas.js";
import { openTidemark } from "../support/stages/open-tidemark.js";
import { stageTidemark } from "../support/stages/staged-tidemark.js";
import { waitUntil } from "../support/wait-until.js";

let group: ReplicationGroup;
let tidemark: Tidemark;

stageTidemark({ replicas: 1 }, (stage) => {
  ({ group, tidemark } = stage);
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
      await waitUntil(async () => (await blockedClients(group.primary)) === 0, {
        what: "nothing blocks any more",
      });
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
    const waits = own.session().redis.blpop("queue", 8);
    await waitUntil(async () => (await blockedClients(group.primary)) === 1, { what: "it waits" });
    const quit = own.redis.quit();
    await group.primary.admin().rpush("queue", "a");
    expect(await Promise.all([waits, quit])).toEqual([["queue", "a"], "OK"]);
  });
});

describe("A transaction by hand when servers change", () => {
  it("leaves its session as it was when WATCH could not be sent", async () => {
    const own = await startReplicationGroup({ replicas: 1 });
    await using client = openTidemark(own, { redis: { maxRetriesPerRequest: 0 } });
    // A replica that has lost its primary has no position before something was written.
    await own.primary.admin().set("other", "1");
    await own.caughtUp();
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
    await using client = openTidemark(own, { probeIntervalMs: 20 });
    await replicasAreEligible(client);
    const promoted = await promoteFirst(own);
    await waitUntil(
      async () => {
        const { redis } = client.session();
        const watched = await redis.watch("k").catch(() => "refused");
        if (watched === "OK") await redis.unwatch();
        return watched === "OK" && isPrimaryOf(client, promoted);
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
