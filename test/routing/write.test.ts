import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { ConnectionLostError, type Session, Tidemark } from "../../src/index.js";
import { decodeToken } from "../../src/session/token.js";
import { TcpProxy } from "../support/proxies/tcp-proxy.js";
import { RedisServer } from "../support/servers/redis-server.js";
import { type ReplicationGroup, startReplicationGroup } from "../support/servers/replication-group.js";
import { waitUntil } from "../support/wait-until.js";

let group: ReplicationGroup;
let tidemark: Tidemark;

beforeAll(async () => {
  group = await startReplicationGroup({ replicas: 1 });
});

afterAll(() => group.stop());

beforeEach(async () => {
  tidemark = new Tidemark({ primary: group.primary.url });
  await tidemark.ready();
});

afterEach(() => tidemark.close());

async function primaryOffset(): Promise<number> {
  return Number((await group.primary.info("replication")).master_repl_offset);
}

/** The one offset a token requires. */
function offsetOf(token: string): number {
  const positions = decodeToken(token)?.positions ?? [];
  expect(positions).toHaveLength(1);
  return positions[0]?.offset ?? Number.NaN;
}

function isPinned(token: string): boolean {
  return (decodeToken(token)?.pinnedAt ?? 0) > 0;
}

describe("a write of a session", () => {
  it("resolves when the session requires a position at or past the write", async () => {
    const session = tidemark.session();
    const before = await primaryOffset();
    await session.redis.set("k", "v");
    expect(offsetOf(session.token())).toBeGreaterThan(before);
    expect(offsetOf(session.token())).toBeLessThanOrEqual(await primaryOffset());
    expect(session.wrote).toBe(true);
  });

  it("that the server refuses is covered too", async () => {
    const session = tidemark.session();
    await session.redis.set("text", "v");
    const before = offsetOf(session.token());
    await group.primary.admin().set("other", "moves the offset");
    await expect(session.redis.lpush("text", "x")).rejects.toThrow(/^WRONGTYPE/);
    expect(offsetOf(session.token())).toBeGreaterThan(before);
  });

  it("shares one INFO with all writes of the same turn of the event loop", async () => {
    const before = await group.primary.commandCalls("info");
    const sessions = Array.from({ length: 100 }, () => tidemark.session());
    await Promise.all(sessions.map((session, i) => session.redis.set(`burst-${i}`, i)));
    // The two counts ask by INFO themselves: the second sees the first.
    expect((await group.primary.commandCalls("info")) - before).toBe(2);
    expect(new Set(sessions.map((session) => offsetOf(session.token()))).size).toBe(1);
  });

  it("in a transaction is covered after EXEC, not at its position inside", async () => {
    const session = tidemark.session();
    await session.redis.multi().set("a", 1).set("b", 2).exec();
    expect(offsetOf(session.token())).toBe(await primaryOffset());
  });

  it("in a script is covered after the script", async () => {
    const session = tidemark.session();
    await session.redis.eval("return redis.call('set', KEYS[1], 'x')", 1, "scripted");
    expect(offsetOf(session.token())).toBe(await primaryOffset());
  });

  it("by a script that the server has forgotten is awaited, although ioredis sends the script twice", async () => {
    tidemark.redis.defineCommand("put", {
      numberOfKeys: 1,
      lua: "return redis.call('set', KEYS[1], ARGV[1])",
    });
    const put = async (session: Session, value: string): Promise<unknown> =>
      Reflect.get(session.redis, "put").call(session.redis, "forgotten", value);
    await put(tidemark.session(), "1");
    await group.primary.admin().script("FLUSH");
    const session = tidemark.session();
    const written = put(session, "2");
    await session.settled();
    const offset = offsetOf(session.token());
    await written;
    expect(offset).toBe(await primaryOffset());
  });

  it("in a pipeline has its result or error per command, and is covered", async () => {
    const session = tidemark.session();
    const results = await session.redis.pipeline().set("p", "v").lpush("p", "x").get("p").exec();
    expect(results?.map(([error, value]) => error?.message.slice(0, 9) ?? value)).toEqual([
      "OK",
      "WRONGTYPE",
      "v",
    ]);
    expect(offsetOf(session.token())).toBe(await primaryOffset());
  });

  it("outside any session sometimes checks that the server is still a primary, and requests no position", async () => {
    const before = await group.primary.commandCalls("info");
    for (let i = 0; i < 200; i++) await tidemark.redis.set("ambient", i);
    expect((await group.primary.commandCalls("info")) - before).toBeLessThan(50);
  });
});

describe("a write whose connection is lost", () => {
  it("is rejected and pins the session when the INFO's reply is lost and the client is on another server by then", async () => {
    const other = await RedisServer.start();
    const proxy = await TcpProxy.start({ targetPort: group.primary.port });
    const behindProxy = new Tidemark({ primary: { host: "127.0.0.1", port: proxy.port } });
    try {
      await behindProxy.ready();
      const session = behindProxy.session();
      proxy.retarget(other.port);
      // Nothing else that the connection is sent looks like this reply.
      await group.primary.admin().set("half", "the old value");
      proxy.cutAfterReply("the old value\r\n");
      await expect(session.redis.getset("half", "v")).rejects.toThrow(ConnectionLostError);
      await behindProxy.redis.ping();
      expect(decodeToken(session.token())?.positions).toEqual([]);
      expect(isPinned(session.token())).toBe(true);
      expect(await group.primary.admin().get("half")).toBe("v");
    } finally {
      await behindProxy.close();
      await proxy.stop();
      await other.stop();
    }
  });

  it("pins the session when the INFO's reply does not arrive, and resolves with its own reply", async () => {
    const proxy = await TcpProxy.start({ targetPort: group.primary.port });
    // A loaded machine must not take the silence for that of a dead server.
    const behindProxy = new Tidemark({
      primary: { host: "127.0.0.1", port: proxy.port },
      primaryTimeoutMs: 60_000,
    });
    try {
      await behindProxy.ready();
      const session = behindProxy.session();
      await group.primary.admin().set("stalled", "the old value");
      const stalled = proxy.stallAfterReply("the old value\r\n");
      expect(await session.redis.getset("stalled", "v")).toBe("the old value");
      await stalled;
      expect(isPinned(session.token())).toBe(true);
      const late = behindProxy.session();
      const write = late.redis.set("late", "v");
      await late.settled();
      expect(isPinned(late.token())).toBe(true);
      proxy.unstall();
      expect(await write).toBe("OK");
    } finally {
      await behindProxy.close();
      await proxy.stop();
    }
  });

  it("is rejected with ConnectionLostError, pins the session, and is never resent", async () => {
    const proxy = await TcpProxy.start({ targetPort: group.primary.port });
    const behindProxy = new Tidemark({ primary: { host: "127.0.0.1", port: proxy.port } });
    try {
      await behindProxy.ready();
      await group.primary.admin().set("counter", 0);
      await group.primary.admin().config("RESETSTAT");
      const session = behindProxy.session();
      proxy.stall();
      const write = session.redis.incr("counter");
      const failure = expect(write).rejects.toThrow(ConnectionLostError);
      proxy.cut();
      await failure;
      expect(isPinned(session.token())).toBe(true);
      proxy.mend();
      proxy.unstall();
      await waitUntil(async () => (await behindProxy.redis.ping()) === "PONG", {
        what: "the client has reconnected",
      });
      expect(await group.primary.commandCalls("incr")).toBe(0);
    } finally {
      await behindProxy.close();
      await proxy.stop();
    }
  });

  it("waits for a connection when there is none yet", async () => {
    const proxy = await TcpProxy.start({ targetPort: group.primary.port });
    proxy.cut();
    const early = new Tidemark({ primary: { host: "127.0.0.1", port: proxy.port } });
    try {
      const session = early.session();
      const write = session.redis.set("early", "v");
      const read = session.redis.get("early");
      expect(session.writing).toBe(true);
      proxy.mend();
      expect(await write).toBe("OK");
      expect(await read).toBe("v");
      expect(isPinned(session.token())).toBe(false);
    } finally {
      await early.close();
      await proxy.stop();
    }
  });

  it("fails as in ioredis after maxRetriesPerRequest attempts to connect, without pinning", async () => {
    const proxy = await TcpProxy.start({ targetPort: group.primary.port });
    proxy.cut();
    const redis = { maxRetriesPerRequest: 1, retryStrategy: () => 1 };
    const down = new Tidemark({ primary: { host: "127.0.0.1", port: proxy.port }, redis });
    try {
      const session = down.session();
      await expect(session.redis.set("never", "v")).rejects.toThrow(/max retries per request limit/);
      expect(session.token()).toBe("");
    } finally {
      await down.close();
      await proxy.stop();
    }
  });
});
