/** The life of a client as an ioredis user sees it: its status, its events, its end. */
import { Redis } from "ioredis";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ClosedError, RefusedCommandError, type Tidemark } from "../../src/index.js";
import { TcpProxy } from "../support/proxies/tcp-proxy.js";
import { promoteFirst, promotionIsNoticed } from "../support/servers/promotion.js";
import { type ReplicationGroup, startReplicationGroup } from "../support/servers/replication-group.js";
import { replicasAreEligible } from "../support/stages/eligible-replicas.js";
import { openTidemark } from "../support/stages/open-tidemark.js";
import { waitUntil } from "../support/wait-until.js";

let group: ReplicationGroup;
let proxy: TcpProxy;
let tidemark: Tidemark;

beforeEach(async () => {
  group = await startReplicationGroup({ replicas: 1 });
  proxy = await TcpProxy.start({ targetPort: group.primary.port });
  tidemark = openTidemark(group, { primary: `redis://127.0.0.1:${proxy.port}` });
});

afterEach(async () => {
  await tidemark.close();
  await proxy.stop();
  await group.stop();
});

describe("The events of tidemark.redis", () => {
  it("are those of the connection to the primary", async () => {
    const heard: string[] = [];
    for (const event of ["connect", "ready", "close", "reconnecting", "end"]) {
      tidemark.redis.on(event, () => heard.push(event));
    }
    await new Promise((resolve) => tidemark.redis.once("ready", resolve));
    expect(heard).toEqual(["connect", "ready"]);
    proxy.cut();
    await waitUntil(async () => heard.includes("reconnecting"), { what: "the client reconnects" });
    proxy.mend();
    await waitUntil(async () => heard.at(-1) === "ready", { what: "the client is ready again" });
    expect(heard.slice(2, 4)).toEqual(["close", "reconnecting"]);
    await tidemark.close();
    await waitUntil(async () => heard.at(-1) === "end", { what: "the client has ended" });
  });

  it("are not those of a replica", async () => {
    await tidemark.ready();
    const closed = vi.fn();
    tidemark.redis.on("close", closed);
    await group.replicas[0]?.server.kill();
    await waitUntil(async () => tidemark.topology()[1]?.reason?.startsWith("not connected") ?? false, {
      what: "the replica is gone",
    });
    expect(closed).not.toHaveBeenCalled();
  });

  it("report errors to listeners, and warn once for each outage when there are none", async () => {
    const printed = vi.spyOn(console, "error").mockImplementation(() => {});
    using warnings = listenToWarnings();
    await tidemark.ready();
    const errors: unknown[] = [];
    const listener = (error: unknown) => errors.push(error);
    tidemark.redis.on("error", listener);
    proxy.cut();
    await waitUntil(() => errors.length > 1, { what: "a listener receives errors" });
    expect(warnings.messages).toEqual([]);
    tidemark.redis.off("error", listener);
    const failures = vi.fn();
    tidemark.redis.on("close", failures);
    await waitUntil(() => failures.mock.calls.length > 3, { what: "the client has retried several times" });
    const unreachable = `The Redis primary at 127.0.0.1:${proxy.port} cannot be reached: `;
    expect(warnings.messages).toHaveLength(1);
    expect(warnings.messages[0]).toContain(unreachable);
    proxy.mend();
    await tidemark.ready();
    await waitUntil(() => warnings.messages.length === 2, { what: "the warning of recovery was emitted" });
    expect(warnings.messages[1]).toMatch(/can be reached again, after [0-9.]+ s\.$/);
    proxy.cut();
    await waitUntil(() => warnings.messages.length === 3, {
      what: "the warning of the next outage was emitted",
    });
    expect(warnings.messages[2]).toContain(unreachable);
    expect(printed).not.toHaveBeenCalled();
    printed.mockRestore();
  });

  it("are not printed before the first connection to a primary, and duplicate() is as in ioredis", async () => {
    const printed = vi.spyOn(console, "error").mockImplementation(() => {});
    using warnings = listenToWarnings();
    proxy.cut();
    await using own = openTidemark(group, {
      primary: `redis://127.0.0.1:${proxy.port}`,
      primaryTimeoutMs: 300,
    });
    const failures = vi.fn();
    own.redis.on("close", failures);
    await expect(own.redis.subscribe("news")).rejects.toThrow();
    await expect(own.session().redis.blpop("queue", 1)).rejects.toThrow();
    await expect(own.redis.set("k", "1")).rejects.toThrow();
    await waitUntil(() => failures.mock.calls.length > 3, { what: "the client has retried several times" });
    expect(printed).not.toHaveBeenCalled();
    expect(warnings.messages.filter((text) => text.includes("cannot be reached"))).not.toEqual([]);
    const plain = own.redis.duplicate();
    await waitUntil(() => printed.mock.calls.length > 0, { what: "ioredis prints the error" });
    expect(printed.mock.calls[0]?.[0]).toMatch(/Unhandled error event/);
    plain.disconnect();
    printed.mockRestore();
  });

  it("report a server's reason for refusing the connection, without the password", async () => {
    using warnings = listenToWarnings();
    await using own = openTidemark(group, {
      replicas: [],
      redis: { username: "nobody", password: "a wrong secret" },
    });
    await expect(own.redis.get("k")).rejects.toThrow();
    await waitUntil(() => warnings.messages.length > 0, { what: "a warning was emitted" });
    expect(warnings.messages[0]).toMatch(/cannot be reached: (WRONGPASS|ERR|NOAUTH)[^.]*\./);
    expect(warnings.messages.join()).not.toContain("a wrong secret");
  });

  it("report once that a database cannot be selected", async () => {
    using warnings = listenToWarnings();
    await using own = openTidemark(group, { replicas: [], redis: { db: 99 } });
    const failures = vi.fn();
    own.redis.on("close", failures);
    await expect(own.redis.get("k")).rejects.toThrow("DB index is out of range");
    await waitUntil(() => failures.mock.calls.length > 3, { what: "the client has retried several times" });
    expect(warnings.messages).toHaveLength(1);
    expect(warnings.messages[0]).toMatch(/cannot be reached: ERR DB index is out of range\./);
  });

  it("can be observed through a session, and are not lost through one", async () => {
    const heard: string[] = [];
    const { redis } = tidemark.session();
    redis.on("close", () => heard.push("session"));
    tidemark.redis.on("close", () => heard.push("base"));
    const other = (): void => {};
    tidemark.redis.on("ready", other).off("ready", other);
    await tidemark.ready();
    tidemark.redis.disconnect(true);
    await waitUntil(async () => heard.length === 2, { what: "both listeners were called" });
    expect(heard).toEqual(["session", "base"]);
  });
});

describe("lazyConnect", () => {
  it("opens no connection until the first command, and then connects to the replicas too", async () => {
    await tidemark.ready();
    await using lazy = openTidemark(group, { redis: { lazyConnect: true } });
    expect([lazy.redis.status, lazy.redis.options.lazyConnect]).toEqual(["wait", true]);
    const heard: string[] = [];
    for (const event of ["connecting", "connect", "ready"]) lazy.redis.on(event, () => heard.push(event));
    const before = await group.primary.info("clients");
    expect(await lazy.redis.set("k", "1")).toBe("OK");
    const after = await group.primary.info("clients");
    expect(Number(after.connected_clients)).toBe(Number(before.connected_clients) + 1);
    expect(heard).toEqual(["connecting", "connect", "ready"]);
    expect(lazy.topology()[1]?.reason).toBe("not connected");
    await replicasAreEligible(lazy);
    await using unused = openTidemark(group, { redis: { lazyConnect: true } });
    await unused.close();
    await expect(unused.redis.get("k")).rejects.toThrow(ClosedError);
  });
});

describe("tidemark.redis.quit()", () => {
  it("closes the Tidemark when every command is answered", async () => {
    const session = tidemark.session();
    const replies = [session.redis.set("k", "1"), tidemark.redis.get("k"), session.redis.get("k")];
    expect(await tidemark.redis.quit()).toBe("OK");
    expect(await Promise.all(replies)).toEqual(["OK", "1", "1"]);
    await waitUntil(() => tidemark.redis.status === "end", { what: "the connection has ended" });
    await expect(tidemark.redis.get("k")).rejects.toThrow(ClosedError);
    expect(await tidemark.redis.quit()).toBe("OK");
  });

  it("is refused on a session, because its connections are shared", async () => {
    await expect(tidemark.session().redis.quit()).rejects.toThrow(RefusedCommandError);
    expect(await tidemark.redis.ping()).toBe("PONG");
  });
});

describe("tidemark.redis.duplicate()", () => {
  it("is a plain client of the current primary, with the user's options", async () => {
    await using own = openTidemark(group, { redis: { keyPrefix: "app:", enableAutoPipelining: true } });
    const plain = own.redis.duplicate({ db: 3 });
    expect(plain).toBeInstanceOf(Redis);
    expect(plain.options).toMatchObject({ keyPrefix: "app:", db: 3, enableAutoPipelining: true });
    await plain.set("k", "1");
    expect(await group.primary.admin().dbsize()).toBe(0);
    plain.disconnect();
  });

  it("goes to the server that was promoted", async () => {
    await tidemark.ready();
    const promoted = await promoteFirst(group);
    await promotionIsNoticed(tidemark, promoted);
    const plain = tidemark.redis.duplicate();
    expect(plain.options.port).toBe(promoted.port);
    expect(await plain.set("k", "1")).toBe("OK");
    plain.disconnect();
  });
});

describe("tidemark.redis.monitor()", () => {
  it("shows the primary's commands, on a dedicated connection", async () => {
    await tidemark.ready();
    const monitor = await tidemark.redis.monitor();
    const heard = new Promise((resolve) => {
      monitor.on("monitor", (_time, args: string[]) => args[0] === "set" && resolve(args));
    });
    await tidemark.session().redis.set("k", "1");
    expect(await heard).toEqual(["set", "k", "1"]);
    monitor.disconnect();
    expect(await tidemark.redis.get("k")).toBe("1");
  });
});

describe("tidemark.redis.connect()", () => {
  it("reconnects after disconnect(), with replicas and pub/sub too", async () => {
    await replicasAreEligible(tidemark);
    await expect(tidemark.redis.connect()).rejects.toThrow("Redis is already connecting/connected");
    const ended = new Promise((resolve) => tidemark.redis.once("end", resolve));
    tidemark.redis.disconnect();
    await ended;
    await expect(tidemark.redis.get("k")).rejects.toThrow(ClosedError);
    await tidemark.redis.connect();
    expect(await tidemark.redis.set("k", "1")).toBe("OK");
    expect(await tidemark.session().redis.rpush("queue", "job")).toBe(1);
    expect(await tidemark.session().redis.blpop("queue", 1)).toEqual(["queue", "job"]);
    await replicasAreEligible(tidemark);
  });

  it("reconnects when disconnect() came between two attempts to connect", async () => {
    await tidemark.ready();
    const ended = new Promise((resolve) => tidemark.redis.once("end", resolve));
    const isBetween = new Promise((resolve) => tidemark.redis.once("reconnecting", resolve));
    proxy.cut();
    await isBetween;
    tidemark.redis.disconnect();
    await ended;
    proxy.mend();
    await tidemark.redis.connect();
    expect(await tidemark.redis.set("k", "1")).toBe("OK");
  });

  it("restores the subscriptions", async () => {
    await tidemark.ready();
    await tidemark.redis.subscribe("news");
    const ended = new Promise((resolve) => tidemark.redis.once("end", resolve));
    tidemark.redis.disconnect();
    await ended;
    await tidemark.redis.connect();
    const heard = new Promise((resolve) => tidemark.redis.once("message", (_channel, text) => resolve(text)));
    await waitUntil(async () => (await tidemark.redis.publish("news", "again")) === 1, {
      what: "the subscriber receives the message",
    });
    expect(await heard).toBe("again");
  });
});

describe("enableAutoPipelining", () => {
  it("counts the commands of one turn, and changes nothing else", async () => {
    await using own = openTidemark(group, {
      redis: { enableAutoPipelining: true, autoPipeliningIgnoredCommands: ["ping"] },
    });
    const replies = [own.redis.set("k", "1"), own.redis.get("k"), own.redis.ping()];
    expect(own.redis.autoPipelineQueueSize).toBe(2);
    expect(await Promise.all(replies)).toEqual(["OK", "1", "PONG"]);
    expect(own.redis.autoPipelineQueueSize).toBe(0);
    expect(tidemark.redis.autoPipelineQueueSize).toBe(0);
  });
});

/** The messages of the process's warnings from now on. */
function listenToWarnings(): { readonly messages: string[] } & Disposable {
  const messages: string[] = [];
  const listener = ({ name, message }: Error): void => {
    if (name === "TidemarkWarning") messages.push(message);
  };
  process.on("warning", listener);
  return { messages, [Symbol.dispose]: () => process.off("warning", listener) };
}
