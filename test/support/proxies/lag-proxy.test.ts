import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { RedisServer } from "../servers/redis-server.js";
import { type ReplicationGroup, startReplicationGroup } from "../servers/replication-group.js";
import { waitUntil } from "../wait-until.js";
import type { LagProxy } from "./lag-proxy.js";

describe("LagProxy", () => {
  let group: ReplicationGroup;
  let primary: RedisServer;
  let replica: RedisServer;
  let link: LagProxy;

  beforeEach(async () => {
    group = await startReplicationGroup({ replicas: 1 });
    const [only] = group.replicas;
    if (!only) throw new Error("no replica");
    primary = group.primary;
    replica = only.server;
    link = only.link;
    written = 0;
  });

  afterEach(async () => {
    await group.stop();
  });

  const applied = async () => (await replica.info("replication")).slave_repl_offset;
  let written: number;
  /** Sets n to 1, 2, 3 ..., one trip each, so that the last value shows the order too. */
  const write = async (count: number) => {
    for (let i = 0; i < count; i += 1) await primary.admin().set("n", ++written);
  };

  test("hold() freezes what the replica has applied, and release() applies all of it in order", async () => {
    await write(1);
    await group.caughtUp();
    link.hold();
    const before = await applied();
    await write(300);
    expect(await primary.admin().get("n")).toBe("301");
    expect(await replica.admin().get("n")).toBe("1");
    expect(await applied()).toBe(before);
    await link.release();
    await group.caughtUp();
    expect(await replica.admin().get("n")).toBe("301");
  });

  test("hold() still lets the replica's acknowledgements through", async () => {
    await write(10);
    await group.caughtUp();
    link.hold();
    // Without WAIT the primary only hears of it by the acknowledgement that comes each second.
    const acknowledged = `offset=${await applied()},`;
    const isAcknowledged = async () =>
      (await primary.info("replication")).slave0?.includes(acknowledged) ?? false;
    await waitUntil(isAcknowledged, { what: `the primary lists ${acknowledged}` });
  });

  test("delay() delays the replica by the given time", async () => {
    link.delay(80);
    const start = performance.now();
    await write(1);
    const writtenMs = performance.now() - start;
    await group.caughtUp();
    expect(writtenMs).toBeLessThan(80);
    expect(performance.now() - start).toBeGreaterThanOrEqual(79);
    expect(await replica.admin().get("n")).toBe("1");
  });

  test("throttle() passes the given number of bytes in a millisecond", async () => {
    link.throttle(100);
    const startedAt = performance.now();
    await primary.admin().set("large", "v".repeat(50_000));
    await group.caughtUp();
    expect(performance.now() - startedAt).toBeGreaterThan(450);
    link.throttle(Number.POSITIVE_INFINITY);
    await write(1);
    await group.caughtUp();
    expect(await replica.admin().get("n")).toBe("1");
  });

  test("delay() with jitter never changes the order", async () => {
    link.delay(5, 5);
    await writeOrderSensitive(primary, 5_000);
    await group.caughtUp();
    expect(await digest(replica)).toBe(await digest(primary));
    expect(await replica.admin().lrange("log", 0, -1)).toEqual(await primary.admin().lrange("log", 0, -1));
  });

  test("release() passes on the bytes that were delayed before hold(), and keeps the order", async () => {
    link.delay(60_000);
    await write(10);
    link.hold();
    await write(10);
    await link.release();
    link.delay(0);
    await write(10);
    await group.caughtUp();
    expect(await replica.admin().get("n")).toBe("30");
  });

  test("cut() takes the link down, and after mend() the replica catches up", async () => {
    link.cut();
    const isDown = async () => (await replica.info("replication")).master_link_status === "down";
    await waitUntil(isDown, { what: "the link is down" });
    await write(10);
    expect(await replica.admin().get("n")).toBeNull();
    link.mend();
    await group.ready();
    expect(await replica.admin().get("n")).toBe("10");
  });

  test("lets held bytes arrive before the end of a primary that died", async () => {
    link.hold();
    await write(10);
    await primary.kill();
    expect((await replica.info("replication")).master_link_status).toBe("up");
    await link.release();
    await waitUntil(async () => (await replica.admin().get("n")) === "10", {
      what: "the last write has arrived",
    });
  });
});

/** Commands whose outcome depends on their order, in many small writes, so that they travel in many chunks. */
async function writeOrderSensitive(server: RedisServer, count: number): Promise<void> {
  const admin = server.admin();
  const pending: Promise<unknown>[] = [];
  for (let i = 0; i < count; i += 5) {
    pending.push(admin.append("text", `${i},`), admin.rpush("log", i), admin.set("last", i));
    pending.push(admin.eval("redis.call('rpush', 'log', 'a'); redis.call('lpush', 'log', ARGV[1])", 0, i));
    pending.push(admin.multi().hset("hash", "field", i).rpush("log", "b").exec());
    await new Promise((resolve) => setImmediate(resolve));
  }
  await Promise.all(pending);
}

async function digest(server: RedisServer): Promise<unknown> {
  return server.admin().call("DEBUG", "DIGEST");
}
