/** Nothing waits forever while the primary is gone: subscriptions, blocking commands, and commands after them. */
import { describe, expect, it } from "vitest";
import { ClosedError, NoPrimaryError } from "../../src/index.js";
import { FickleProxy } from "../support/proxies/fickle-proxy.js";
import { TcpProxy } from "../support/proxies/tcp-proxy.js";
import { failOver, replicaOf } from "../support/servers/failover.js";
import { startReplicationGroup } from "../support/servers/replication-group.js";
import { startSentinelGroup } from "../support/servers/sentinel-group.js";
import { openTidemark } from "../support/stages/open-tidemark.js";
import { stageOwn } from "../support/stages/own-stage.js";
import { openWatched } from "../support/stages/watched-tidemark.js";
import { waitUntil } from "../support/wait-until.js";

const own = stageOwn(async (owe) => {
  const group = await startReplicationGroup({ replicas: 1 });
  owe(() => group.stop());
  const proxy = await TcpProxy.start({ targetPort: group.primary.port });
  owe(() => proxy.stop());
  const tidemark = openTidemark(group, {
    primary: `redis://127.0.0.1:${proxy.port}`,
    primaryTimeoutMs: 1_000,
  });
  owe(() => tidemark.close());
  tidemark.redis.on("error", () => {});
  await tidemark.ready();
  return { group, proxy, tidemark };
});

const subscriptions = ["subscribe", "psubscribe", "ssubscribe"] as const;

describe.concurrent("A subscription that no primary answers", () => {
  it.each(subscriptions)("is rejected in time: %s", async (name) => {
    const { proxy, tidemark } = own();
    await tidemark.redis[name]("before");
    proxy.stall();
    await expect(tidemark.redis[name]("frozen")).rejects.toThrow(NoPrimaryError);
    proxy.cut();
    await expect(tidemark.redis[name]("gone")).rejects.toThrow(NoPrimaryError);
  });

  it("delivers no messages after it was rejected", async () => {
    const { group, proxy, tidemark } = own();
    const heard: string[] = [];
    tidemark.redis.on("message", (channel) => heard.push(channel));
    await tidemark.redis.subscribe("kept");
    proxy.stall();
    await expect(tidemark.redis.subscribe("rejected")).rejects.toThrow(NoPrimaryError);
    proxy.unstall();
    await waitUntil(
      async () => {
        await group.primary.admin().publish("rejected", "1");
        await group.primary.admin().publish("kept", "1");
        const [, count] = (await group.primary.admin().pubsub("NUMSUB", "rejected")) as unknown[];
        return count === 0 && heard.at(-1) === "kept";
      },
      { what: "the rejected subscription has ended" },
    );
  });

  it.each(["close", "disconnect"] as const)("is rejected by %s()", async (end) => {
    const { group, proxy } = own();
    const primary = `redis://127.0.0.1:${proxy.port}`;
    await using slow = openTidemark(group, { primary, primaryTimeoutMs: 1_000 });
    slow.redis.on("error", () => {});
    await slow.redis.subscribe("before");
    proxy.stall();
    const pending = expect(slow.redis.subscribe("frozen")).rejects.toThrow(ClosedError);
    if (end === "close") await slow.close();
    else slow.redis.disconnect();
    await pending;
  });

  it("is rejected with the server's reason for refusing the connection", async () => {
    const { group } = own();
    const admin = group.primary.admin();
    await using another = openTidemark(group, {
      replicas: [],
      redis: { username: "app", password: "wrong" },
    });
    another.redis.on("error", () => {});
    await admin.call("ACL", "SETUSER", "app", "on", ">right", "+@all", "~*", "&*");
    await expect(another.redis.subscribe("news")).rejects.toThrow(/WRONGPASS/);
  });
});

describe.concurrent("A blocking command with a timeout shorter than the wait for a primary", () => {
  it("is rejected when there was no primary, because nobody knows whether the list had an element", async () => {
    const { proxy, tidemark } = own();
    proxy.cut();
    for (const seconds of [0.2, 5])
      await expect(tidemark.session().redis.blpop("queue", seconds)).rejects.toThrow(NoPrimaryError);
  });

  it("leaves its session unchanged when it times out before any server is known", async () => {
    await using sentinels = await startSentinelGroup({ replicas: 1, sentinels: 1 });
    await using slow = await TcpProxy.start({ targetPort: sentinels.sentinels[0]?.port ?? 0 });
    slow.stall();
    const redis = { blockingTimeout: 50, updateSentinels: false };
    await using another = openWatched(sentinels, {
      sentinels: [{ host: "127.0.0.1", port: slow.port }],
      redis,
    });
    const session = another.session();
    expect(await session.redis.blpop("queue", 0)).toBeNull();
    slow.unstall();
    await another.ready();
    await waitUntil(() => !session.writing, { what: "the session has no write in flight" });
  });
});

describe.concurrent("A WATCH that is never answered", () => {
  it("is sent again to the next primary, even on a pooled connection", async () => {
    const { group, proxy } = own();
    await using another = openTidemark(group, { primary: `redis://127.0.0.1:${proxy.port}` });
    await another.ready();
    expect(await another.redis.blpop("queue", 0.1)).toBeNull();
    await group.caughtUp();
    proxy.stall();
    const { redis } = another.session();
    const watched = redis.watch("k");
    await replicaOf(group).replicate(undefined);
    expect(await watched).toBe("OK");
    expect(await redis.multi().set("k", "1").exec()).toEqual([[null, "OK"]]);
  });
});

describe.concurrent("A pooled connection that no server answers any more", () => {
  it("is not used again", async () => {
    const { group } = own();
    await using hole = await FickleProxy.start(group.primary.port);
    const primary = `redis://127.0.0.1:${hole.port}`;
    await using another = openTidemark(group, { primary, replicas: [], primaryTimeoutMs: 1_000 });
    another.redis.on("error", () => {});
    expect(await another.redis.blpop("queue", 0.1)).toBeNull();
    hole.swallow();
    await expect(another.redis.set("k", "1")).rejects.toThrow(/closed before the reply arrived/);
    await group.primary.admin().rpush("queue", "job");
    expect(await another.redis.blpop("queue", 5)).toEqual(["queue", "job"]);
  });
});

describe.concurrent("duplicate()", () => {
  it("keeps the order of commands that a demoted primary refuses", async () => {
    const { group, tidemark } = own();
    const plain = tidemark.redis.duplicate();
    await plain.set("k", "first");
    await failOver(group, replicaOf(group));
    const numbers = Array.from({ length: 2_000 }, (_, i) => String(i));
    await Promise.all(numbers.map((number) => plain.rpush("list", number)));
    expect(await replicaOf(group).admin().lrange("list", 0, -1)).toEqual(numbers);
    plain.disconnect();
  });

  it("repeats no command that a healthy primary has not answered yet when it hands over", async () => {
    const { group } = own();
    await using slow = await FickleProxy.start(group.primary.port);
    await using another = openTidemark(group, { primary: `redis://127.0.0.1:${slow.port}` });
    await another.ready();
    const session = another.session();
    await session.redis.set("other", "0");
    slow.delayNewcomers(1_500);
    const plain = another.redis.duplicate();
    const counted = plain.incr("count");
    await waitUntil(async () => (await group.primary.admin().get("count")) === "1", {
      what: "the write was executed",
    });
    await failOver(group, replicaOf(group));
    await session.redis.set("other", "1");
    expect(await counted).toBe(1);
    expect(await replicaOf(group).admin().get("count")).toBe("1");
    plain.disconnect();
  });

  it("ends a monitor that has followed a failover, which has one connection", async () => {
    const { group, proxy, tidemark } = own();
    const monitor = await tidemark.redis.monitor();
    monitor.on("error", () => {});
    await group.primary.kill();
    proxy.cut();
    const heir = replicaOf(group);
    await heir.replicate(undefined);
    const monitors = async () =>
      String(await heir.admin().client("LIST"))
        .split("\n")
        .filter((line) => line.includes("cmd=monitor")).length;
    await waitUntil(async () => (await monitors()) > 0, { what: "the monitor follows the new primary" });
    // A second one would come within the time that ioredis waits between two attempts.
    const seen: string[] = [];
    monitor.on("monitor", (_time, args: string[]) => seen.push(args.join(" ")));
    await waitUntil(
      async () => {
        await heir.admin().set("seen", String(seen.length));
        return seen.length > 40;
      },
      { what: "the monitor has received 40 commands" },
    );
    expect(await monitors()).toBe(1);
    expect(new Set(seen).size).toBe(seen.length);
    monitor.disconnect();
    await waitUntil(async () => monitor.status === "end" && (await monitors()) === 0, {
      what: "the monitor has ended",
    });
  });
});
