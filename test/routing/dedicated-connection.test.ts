/** The state left on a dedicated connection, and the connection's end when servers change. */
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

describe("A dedicated connection", () => {
  it("is not given to another session while it may have state left", async () => {
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

  it("takes over a MULTI that a pipeline leaves open, so that no other session's commands are queued", async () => {
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

  it("is closed when a command has blocked beyond its timeout, and takes no more data", async () => {
    for (const redis of [{ commandTimeout: 100 }, { blockingTimeout: 100 }]) {
      await using own = openTidemark(group, { redis });
      const session = own.session();
      const reply = session.redis.blpop("late", 0);
      if (redis.commandTimeout === undefined) expect(await reply).toBeNull();
      else await expect(reply).rejects.toThrow("Command timed out");
      await waitUntil(async () => (await blockedClients(group.primary)) === 0, {
        what: "nothing blocks any more",
      });
      await waitUntil(async () => !session.writing, { what: "the session has no write in flight" });
      await group.primary.admin().rpush("late", "job");
      expect(await own.session().redis.watch("k")).toBe("OK");
      expect(await group.primary.admin().lpop("late")).toBe("job");
    }
  });

  it("is sent no command before earlier commands of its session", async () => {
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

  it("never resends a command of a transaction, even if reconnectOnError asks for that", async () => {
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

  it("is awaited, even with enableOfflineQueue: false", async () => {
    await using own = openTidemark(group, { redis: { enableOfflineQueue: false } });
    await own.ready();
    const { redis } = own.session();
    await redis.rpush("queue", "a");
    expect(await redis.blpop("queue", 0)).toEqual(["queue", "a"]);
  });

  it("gets the replies of its commands before quit() resolves", async () => {
    await using own = openTidemark(group);
    const waits = own.session().redis.blpop("queue", 8);
    await waitUntil(async () => (await blockedClients(group.primary)) === 1, { what: "the command blocks" });
    const quit = own.redis.quit();
    await group.primary.admin().rpush("queue", "a");
    expect(await Promise.all([waits, quit])).toEqual([["queue", "a"], "OK"]);
  });
});

describe("A transaction by hand when servers change", () => {
  it("leaves its session unchanged when WATCH could not be sent", async () => {
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

  it("reports that nothing was carried out when the connection closes on a command to be queued", async () => {
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

  it("waits for the promoted server", async () => {
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
      { what: "WATCH works on the new primary" },
    );
    const { redis } = client.session();
    await redis.watch("k");
    expect(await redis.multi().set("k", "1").exec()).toEqual([[null, "OK"]]);
    expect(await promoted.admin().get("k")).toBe("1");
    await own.stop();
  });
});
