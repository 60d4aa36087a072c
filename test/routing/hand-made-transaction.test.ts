/** WATCH, MULTI and EXEC as single commands: a session has a dedicated connection until the transaction ends. */
import { afterEach, describe, expect, it, vi } from "vitest";
import { RefusedCommandError, type Tidemark, TransactionLostError } from "../../src/index.js";
import { listenToRoutes } from "../support/listeners/routes.js";
import { holdReplicas } from "../support/servers/held-replicas.js";
import type { ReplicationGroup } from "../support/servers/replication-group.js";
import { stageTidemark } from "../support/stages/staged-tidemark.js";

let group: ReplicationGroup;
let tidemark: Tidemark;

stageTidemark({ replicas: 1 }, (stage) => {
  ({ group, tidemark } = stage);
});

/** Kills the connections of all clients but the one that asks. */
async function killOthers(): Promise<void> {
  await group.primary.admin().call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
}

afterEach(() => vi.useRealTimers());

describe("A transaction by hand", () => {
  it("fails when another client has changed a watched key, and succeeds otherwise", async () => {
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

  it("sends its reads to the primary, however far replicas have caught up", async () => {
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

  it("belongs to its session: 20 concurrent ones do not mix with each other or with other commands", async () => {
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

  it("stays in order without await, with commands before and after it", async () => {
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

  it("contains only its own commands, even when a write comes just before it", async () => {
    const { redis } = tidemark.session();
    await redis.watch("k");
    await Promise.all([redis.incr("other"), redis.call("MULTI")]);
    await redis.incr("k");
    expect(await redis.exec()).toEqual([[null, 1]]);
  });

  it("is covered by the token: the session's next read sees it despite any lag", async () => {
    const session = tidemark.session();
    await session.redis.get("warm");
    holdReplicas(group);
    await session.redis.multi({ pipeline: false });
    await session.redis.set("k", "1");
    await session.redis.exec();
    expect(await tidemark.session({ token: session.token() }).redis.get("k")).toBe("1");
  });

  it("ends with DISCARD, and returns the errors of Redis", async () => {
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

  it("does not send commands meant for its queue when the connection was lost meanwhile", async () => {
    const { redis } = tidemark.session();
    await redis.multi({ pipeline: false });
    await killOthers();
    await expect(redis.set("k", "1")).rejects.toThrow(TransactionLostError);
    await expect(redis.exec()).rejects.toThrow(TransactionLostError);
    expect(await redis.exists("k")).toBe(0);
    expect(await redis.set("k", "2")).toBe("OK");
  });

  it("releases its connection when it is abandoned, and reports that", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const { redis } = tidemark.session();
    await redis.watch("k");
    vi.advanceTimersByTime(5_001);
    expect(await redis.set("k", "1")).toBe("OK");
    await expect(redis.multi().set("k", "2").exec()).rejects.toThrow(/the app sent no command for 5000 ms/);
    expect(await redis.get("k")).toBe("1");
  });

  it("needs a session, because two requests could mix otherwise", async () => {
    for (const begin of [() => tidemark.redis.watch("k"), () => tidemark.redis.multi({ pipeline: false })]) {
      await expect(begin()).rejects.toThrow(RefusedCommandError);
      await expect(begin()).rejects.toThrow(/Call it in a session \(tidemark\.run, req\.redis\)/);
    }
    expect(await tidemark.run(tidemark.session(), () => tidemark.redis.watch("k"))).toBe("OK");
  });
});
