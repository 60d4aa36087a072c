/** The checks of what servers understand, on real servers. */
import { execFile } from "node:child_process";
import { mkdtemp, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { checked, finding } from "../../support/cli/inspected.js";
import { RewritingProxy } from "../../support/proxies/rewriting-proxy.js";
import { Daemon } from "../../support/servers/daemon.js";
import { freePort } from "../../support/servers/free-port.js";
import { findRedisServer } from "../../support/servers/redis-binary.js";
import { RedisServer } from "../../support/servers/redis-server.js";
import { startReplicationGroup } from "../../support/servers/replication-group.js";
import { Watchdog } from "../../support/watchdog.js";

const run = promisify(execFile);
const hasCompiler = await run("cc", ["--version"]).then(
  () => true,
  () => false,
);

function without(command: string): Promise<RedisServer> {
  return RedisServer.start({ args: ["--rename-command", command, "''"] });
}

describe("The check commands", () => {
  it("passes a server that knows all", async () => {
    await using server = await RedisServer.start();
    expect(await checked("commands", [server.url])).toEqual([finding("pass", "all are known")]);
  });

  it("warns if a command is renamed that Tidemark can do without", async () => {
    await using server = await without("WAIT");
    expect(await checked("commands", [server.url])).toEqual([
      expect.objectContaining({
        ...{ verdict: "warn", found: "renamed or disabled: WAIT" },
        why: expect.stringContaining("replicated() rejects"),
      }),
    ]);
  });

  it("fails if a command is renamed that Tidemark needs", async () => {
    await using server = await without("EXEC");
    expect(await checked("commands", [server.url])).toEqual([finding("fail", "renamed or disabled: EXEC")]);
  });

  it("fails a server that renames INFO", async () => {
    const [{ path, env }, port] = await Promise.all([findRedisServer(), freePort()]);
    const folder = await mkdtemp(join(Watchdog.ofThisProcess().folder, "renamed-"));
    const args = ["--port", String(port), "--bind", "127.0.0.1", "--dir", folder, "--save", "''"];
    const program = { path, env };
    await using _ = await Daemon.start({
      program,
      args: [...args, "--rename-command", "INFO", "''"],
      port,
      folder,
    });
    expect(await checked("commands", [`redis://127.0.0.1:${port}`])).toEqual([
      finding("fail", "does not know INFO"),
    ]);
    expect(await checked("proxy", [`redis://127.0.0.1:${port}`])).toEqual([
      finding("skip", "INFO is unknown"),
    ]);
  });

  it("leaves out the commands of clusters elsewhere", async () => {
    await using server = await without("ASKING");
    expect(await checked("commands", [server.url])).toEqual([finding("pass", "all are known")]);
  });
});

describe("The check protocol", () => {
  it("passes a server that speaks it", async () => {
    await using server = await RedisServer.start();
    expect(await checked("protocol", [server.url])).toEqual([finding("pass", "spoken")]);
  });

  it("warns of a server that refuses HELLO 3", async () => {
    await using server = await without("HELLO");
    expect(await checked("protocol", [server.url])).toEqual([
      finding("warn", "HELLO 3 is refused", "unknown command"),
    ]);
  });
});

describe("The check version-skew", () => {
  it("fails an older replica, warns of another engine, and passes the same and newer versions", async () => {
    await using group = await startReplicationGroup({ replicas: 1 });
    const { primary, replicas } = group;
    await using proxy = await RewritingProxy.start({ targetPort: replicas[0]?.server.port ?? 0 });
    const as = async (...lines: readonly string[]) => {
      proxy.rewrite = (text) => text.replace(/^redis_version:.*\r$/m, `${lines.join("\r\n")}\r`);
      const findings = await checked("version-skew", [primary.url, `redis://127.0.0.1:${proxy.port}`]);
      return findings.filter(({ server }) => server === `127.0.0.1:${proxy.port}`);
    };
    const { redis_version: own = "" } = await primary.info("server");
    expect(await as(`redis_version:${own}`)).toEqual([finding("pass", `its primary is redis ${own} too`)]);
    expect(await as("redis_version:5.0.14")).toEqual([
      finding("fail", "older than its primary", "redis 5.0.14"),
    ]);
    expect(await as("redis_version:99.0.0")).toEqual([finding("pass", "redis 99.0.0")]);
    const [major = "", minor = ""] = own.split(".");
    expect(await as(`redis_version:${major}.${minor}.0`)).toEqual([
      finding("pass", `redis ${major}.${minor}.0`),
    ]);
    expect(await as("redis_version:7.2.4", "server_name:valkey", "valkey_version:8.0.1")).toEqual([
      finding("warn", "valkey 8.0.1", `redis ${own}`),
    ]);
  });
});

describe("The check keyspace-notifications", () => {
  it("tells whether they are on", async () => {
    await using server = await RedisServer.start();
    expect(await checked("keyspace-notifications", [server.url])).toEqual([finding("pass", "off")]);
    await server.admin().call("CONFIG", "SET", "notify-keyspace-events", "KEA");
    expect(await checked("keyspace-notifications", [server.url])).toEqual([
      finding("pass", "on (", "only from the server"),
    ]);
  });
});

/** The least that Redis loads. It takes the functions of Redis from the first field of the context. */
const emptyModule = `
  typedef int (*Get)(const char *, void *);
  int RedisModule_OnLoad(void *ctx, void **argv, int argc) {
    void (*describe)(void *, const char *, int, int) = 0;
    (*(Get *)ctx)("RedisModule_SetModuleAttribs", &describe);
    describe(ctx, "empty", 1, 1);
    return 0;
  }`;

describe("The check modules", () => {
  it("passes a server without modules", async () => {
    await using server = await RedisServer.start();
    expect(await checked("modules", [server.url])).toEqual([finding("pass", "none")]);
  });

  it.runIf(hasCompiler)("names the modules", async () => {
    const folder = await mkdtemp(join(Watchdog.ofThisProcess().folder, "module-"));
    const [source, library] = [join(folder, "empty.c"), join(folder, "empty.so")];
    await writeFile(source, emptyModule);
    await run("cc", ["-shared", "-fPIC", "-w", "-o", library, source]);
    await using server = await RedisServer.start({ args: ["--loadmodule", library] });
    expect(await checked("modules", [server.url])).toEqual([
      finding("pass", "empty.", "counts them as writes"),
    ]);
  });
});
