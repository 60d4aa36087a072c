import { access } from "node:fs/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { waitUntil } from "../wait-until.js";
import { keepsHistory } from "./abilities.js";
import { freePort } from "./free-port.js";
import { RedisServer } from "./redis-server.js";

describe("RedisServer", () => {
  let server: RedisServer;

  beforeEach(async () => {
    server = await RedisServer.start();
  });

  afterEach(async () => {
    await server.stop();
  });

  test("listens on a free port of the loopback interface only", async () => {
    await using other = await RedisServer.start();
    expect(await server.admin().ping()).toBe("PONG");
    expect(server.port).not.toBe(other.port);
    expect(server.url).toBe(`redis://127.0.0.1:${server.port}`);
    expect(await server.admin().config("GET", "bind")).toEqual(["bind", "127.0.0.1"]);
    expect((await server.info("server")).process_id).toBe(String(server.pid));
  });

  test("pause() leaves commands unanswered until resume()", async () => {
    await using other = await RedisServer.start();
    await server.admin().set("k", "v");
    server.pause();
    let answered = false;
    const reading = server
      .admin()
      .get("k")
      .finally(() => (answered = true));
    for (let trips = 0; trips < 200; trips += 1) await other.admin().ping();
    expect(answered).toBe(false);
    server.resume();
    expect(await reading).toBe("v");
  });

  test("kill() ends the process, even a paused one", async () => {
    server.pause();
    await server.kill();
    expect(server.isAlive).toBe(false);
    expect(server.pid).toBeUndefined();
    await expect(server.admin().ping()).rejects.toThrow();
  });

  test("restart() keeps the port, the data and, where the server can, the history", async () => {
    await using replica = await RedisServer.start({ replicaOf: server });
    await server.admin().set("k", "v");
    await waitUntil(async () => (await replica.admin().get("k")) === "v", { what: "the replica has k" });
    const { port, pid } = server;
    const before = await server.info("replication");
    await server.restart();
    const after = await server.info("replication");
    expect(server.port).toBe(port);
    expect(server.pid).not.toBe(pid);
    expect(await server.admin().get("k")).toBe("v");
    if (keepsHistory) expect(after.master_replid2).toBe(before.master_replid);
  });

  test.each([
    { kept: "a snapshot", args: [] },
    { kept: "an append-only log", args: ["--appendonly", "yes"] },
  ])("restart({ empty: true }) starts a new history without data, even with $kept", async ({ args }) => {
    await server.restart({ args });
    await server.admin().set("k", "v");
    await server.admin().save();
    const { master_replid: replid } = await server.info("replication");
    await server.restart({ empty: true });
    expect(await server.admin().get("k")).toBeNull();
    const after = await server.info("replication");
    expect(after.master_replid).not.toBe(replid);
    expect(after.master_replid2).toMatch(/^0+$/);
  });

  test("restart() after kill() restores nothing that an earlier restart kept", async () => {
    await server.admin().set("k", "v");
    await server.restart();
    await server.kill();
    await server.restart();
    expect(await server.admin().get("k")).toBeNull();
  });

  test("restart({ args }) replaces the arguments", async () => {
    await server.restart({ args: ["--maxmemory", "64mb"] });
    expect(await server.admin().config("GET", "maxmemory")).toEqual(["maxmemory", "67108864"]);
  });

  test("replicate() changes the role, and a restart keeps it", async () => {
    await using primary = await RedisServer.start();
    await primary.admin().set("k", "v");
    await server.replicate(primary);
    expect((await server.info("replication")).role).toBe("slave");
    await server.restart();
    await waitUntil(async () => (await server.admin().get("k")) === "v", { what: "the replica has k" });
    await server.replicate(undefined);
    expect((await server.info("replication")).role).toBe("master");
    await server.restart();
    expect((await server.info("replication")).role).toBe("master");
  });

  test("config is a file that the server may rewrite, and that a restart reads again", async () => {
    const args = ["--maxmemory", "64mb"];
    await using filed = await RedisServer.start({ config: "timeout 7\nmaxmemory 1mb\n", args });
    expect(await filed.admin().config("GET", "timeout")).toEqual(["timeout", "7"]);
    expect(await filed.admin().config("GET", "maxmemory")).toEqual(["maxmemory", "67108864"]);
    await filed.admin().config("SET", "timeout", "8");
    await filed.admin().config("REWRITE");
    await filed.restart();
    expect(await filed.admin().config("GET", "timeout")).toEqual(["timeout", "8"]);
  });

  test("becomes a sentinel by its arguments, and keeps its state over a restart", async () => {
    const config = `sentinel monitor some 127.0.0.1 ${server.port} 1\n`;
    await using sentinel = await RedisServer.start({ config, args: ["--sentinel"] });
    const id = await sentinel.admin().call("SENTINEL", "MYID");
    expect((await sentinel.info("sentinel")).master0).toContain(`address=127.0.0.1:${server.port}`);
    await sentinel.restart();
    expect(await sentinel.admin().call("SENTINEL", "MYID")).toBe(id);
  });

  test("commandCalls() counts the commands that the server ran", async () => {
    expect(await server.commandCalls("get")).toBe(0);
    await server.admin().get("k");
    await server.admin().get("k");
    expect(await server.commandCalls("get")).toBe(2);
  });

  test("admin() and the url include the password", async () => {
    await using locked = await RedisServer.start({ args: ["--requirepass", "s/crét"] });
    expect(await locked.admin().ping()).toBe("PONG");
    expect(new URL(locked.url).password).toBe(encodeURIComponent("s/crét"));
  });

  test("start() reports why the server ended", async () => {
    await expect(RedisServer.start({ args: ["--no-such-option", "1"] })).rejects.toThrow("no-such-option");
    await expect(RedisServer.start({ port: server.port })).rejects.toThrow("Address already in use");
    expect(await server.admin().ping()).toBe("PONG");
  });

  test("start() tries another port if one is taken", async () => {
    const ports = [server.port, server.port];
    const findPort = async () => ports.pop() ?? (await freePort());
    await using other = await RedisServer.start({ findPort });
    expect(ports).toEqual([]);
    expect(other.port).not.toBe(server.port);
  });

  test("stop() removes the folder", async () => {
    await access(server.dir);
    await server.stop();
    await expect(access(server.dir)).rejects.toThrow("ENOENT");
  });
});
