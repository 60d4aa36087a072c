/** Checks of connections: each fires on a server with that fault, and on no other. */
import type { Socket } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { applyFix, faultsOf, findingsOf, inspected, verdictsOf } from "../../support/cli/inspected.js";
import { LagProxy } from "../../support/proxies/lag-proxy.js";
import { RefusingProxy } from "../../support/proxies/refusing-proxy.js";
import { RewritingProxy } from "../../support/proxies/rewriting-proxy.js";
import { type Outlet, TcpProxy } from "../../support/proxies/tcp-proxy.js";
import { RedisServer } from "../../support/servers/redis-server.js";

/** Leads each connection to another server than the one before. */
class Balancer extends TcpProxy {
  others: readonly number[] = [];
  #clients = 0;

  protected override openOutlet(client: Socket): Outlet {
    const next = this.others[this.#clients++ % this.others.length];
    if (next !== undefined) this.retarget(next);
    return super.openOutlet(client);
  }
}

let server: RedisServer;
beforeEach(async () => {
  server = await RedisServer.start();
});
afterEach(() => server.stop());

describe("A sound server", () => {
  it("passes every check of the connection", async () => {
    const deployment = await inspected([server.url]);
    for (const check of ["reachable", "round-trip", "version", "managed-service", "same-server", "rights"])
      expect([check, verdictsOf(deployment, check)]).toEqual([check, ["pass"]]);
  });
});

describe("The check of the connection", () => {
  it("says why a server cannot be used, and what to do", async () => {
    await using locked = await RedisServer.start({ args: ["--requirepass", "right"] });
    const urls = [server.url, "redis://127.0.0.1:1", `redis://:wr0ng-w0rd@127.0.0.1:${locked.port}`];
    const faults = faultsOf(await inspected(urls), "reachable");
    expect(faults).toMatchObject([
      { verdict: "fail", server: "127.0.0.1:1", found: expect.stringContaining("ECONNREFUSED") },
      { verdict: "fail", why: expect.stringContaining("Check the user name and the password") },
    ]);
    expect(JSON.stringify(faults)).not.toContain("wr0ng-w0rd");
  });

  it("warns of a server that asks for no password although one was given", async () => {
    const deployment = await inspected([`redis://:needless-word@127.0.0.1:${server.port}`]);
    const faults = faultsOf(deployment, "reachable");
    expect(faults).toMatchObject([
      { verdict: "warn", found: expect.stringContaining("asks for no password") },
    ]);
    expect(JSON.stringify(faults)).not.toContain("needless-word");
  });
});

describe("The check of the round trip", () => {
  it("fires for a server that is far away", async () => {
    await using far = await LagProxy.start({ targetPort: server.port });
    far.delay(15);
    expect(faultsOf(await inspected([`redis://127.0.0.1:${far.port}`]), "round-trip")).toMatchObject([
      { verdict: "warn", found: expect.stringContaining("ms (p99)") },
    ]);
  });
});

describe("The check of the version", () => {
  it("fires for a server that is too old", async () => {
    await using old = await RewritingProxy.start({ targetPort: server.port });
    old.rewrite = (text) => text.replace(/redis_version:\S+/, "redis_version:6.0.16");
    expect(faultsOf(await inspected([`redis://127.0.0.1:${old.port}`]), "version")).toMatchObject([
      { verdict: "warn", found: "Redis 6.0.16 is older than 6.2" },
    ]);
  });

  it("names Valkey by its own version", async () => {
    await using valkey = await RewritingProxy.start({ targetPort: server.port });
    valkey.rewrite = (text) => text.replace(/(redis_version:\S+)/, "$1\r\nvalkey_version:8.1.4");
    expect(findingsOf(await inspected([`redis://127.0.0.1:${valkey.port}`]), "version")).toMatchObject([
      { verdict: "pass", found: "Valkey 8.1.4" },
    ]);
  });
});

describe("The check of the engine or service", () => {
  it("fires for an engine that does not replicate as Redis does", async () => {
    await using engine = await RewritingProxy.start({ targetPort: server.port });
    engine.rewrite = (text) => text.replace("redis_mode:", "dragonfly_version:df-v1.27.1\r\nredis_mode:");
    expect(faultsOf(await inspected([`redis://127.0.0.1:${engine.port}`]), "managed-service")).toMatchObject([
      {
        verdict: "warn",
        found: expect.stringContaining("Dragonfly"),
        why: expect.stringContaining("replicas: []"),
      },
    ]);
  });

  it("recognizes ElastiCache by its INFO", async () => {
    await using managed = await RewritingProxy.start({ targetPort: server.port });
    managed.rewrite = (text) => text.replace(/\bos:.*/, "os:Amazon ElastiCache");
    expect(
      findingsOf(await inspected([`redis://127.0.0.1:${managed.port}`]), "managed-service"),
    ).toMatchObject([{ verdict: "pass", found: expect.stringContaining("Amazon ElastiCache") }]);
  });
});

describe("The check of the server behind an address", () => {
  it("fires for a balancer that leads to several servers", async () => {
    await using other = await RedisServer.start();
    await using balancer = await Balancer.start({ targetPort: server.port });
    balancer.others = [other.port, server.port];
    expect(faultsOf(await inspected([`redis://127.0.0.1:${balancer.port}`]), "same-server")).toMatchObject([
      {
        verdict: "fail",
        found: "9 connections led to 2 servers, so there is a balancer behind this address",
      },
    ]);
  });
});

describe("The check of the user's rights", () => {
  const url = () => `redis://app:hush@127.0.0.1:${server.port}`;

  it("names the consequence and the rules if INFO is forbidden, until its fix is applied", async () => {
    await server.admin().call("ACL", "SETUSER", "app", "on", ">hush", "~app:*", "+@all", "-@dangerous");
    const [finding, ...others] = faultsOf(await inspected([url()]), "rights");
    expect(others).toEqual([]);
    expect(finding).toMatchObject({
      verdict: "fail",
      found: "app may not use INFO, keys that begin with tidemark:",
      why: expect.stringContaining("the primary answers every read"),
    });
    if (finding !== undefined) await applyFix(finding);
    expect(verdictsOf(await inspected([url()]), "rights")).toEqual(["pass"]);
  });

  it("only warns if the marker can take the place of INFO, or if a lesser right is missing", async () => {
    await server.admin().call("ACL", "SETUSER", "app", "on", ">hush", "~*", "+@all", "-info");
    expect(faultsOf(await inspected([url()]), "rights")).toMatchObject([
      {
        verdict: "warn",
        found: "app may not use INFO",
        why: expect.stringContaining("discovers no replicas"),
      },
    ]);
    await server.admin().call("ACL", "SETUSER", "app", "+info", "-time");
    expect(faultsOf(await inspected([url()]), "rights")).toMatchObject([
      { verdict: "warn", found: "app may not use TIME" },
    ]);
  });

  it("says hidden, with the ACL rule, for everything that the user may not see", async () => {
    await server
      .admin()
      .call("ACL", "SETUSER", "app", "on", ">hush", "~*", "+@all", "-@dangerous", "-@admin");
    const deployment = await inspected([url()]);
    expect(findingsOf(deployment, "persistence")).toMatchObject([
      { verdict: "hidden", fix: expect.stringMatching(/ACL SETUSER app '\+info'$/) },
    ]);
    expect(findingsOf(deployment, "replication-timeout")).toMatchObject([
      { verdict: "hidden", fix: expect.stringMatching(/ACL SETUSER app '\+config\|get'$/) },
    ]);
  });

  it("reports a command that the server does not know", async () => {
    await using proxy = await RefusingProxy.start({ targetPort: server.port });
    proxy.manner = "answers";
    const deployment = await inspected([`redis://127.0.0.1:${proxy.port}`]);
    expect(faultsOf(deployment, "rights")).toMatchObject([
      { verdict: "warn", found: "the server does not know info, client|tracking" },
    ]);
    expect(findingsOf(deployment, "persistence")).toMatchObject([{ verdict: "skip" }]);
  });
});
