/** The checks of addresses, proxies and limits of connections, on real servers. */
import type { Socket } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Deployment } from "../../../src/cli/inspection/deployment.js";
import { InspectedServer } from "../../../src/cli/inspection/server.js";
import { checked, finding, findingsOf, inspected } from "../../support/cli/inspected.js";
import { RefusingProxy } from "../../support/proxies/refusing-proxy.js";
import { RewritingProxy } from "../../support/proxies/rewriting-proxy.js";
import { type Outlet, TcpProxy } from "../../support/proxies/tcp-proxy.js";
import { freePort } from "../../support/servers/free-port.js";
import { RedisServer } from "../../support/servers/redis-server.js";
import { type ReplicationGroup, startReplicationGroup } from "../../support/servers/replication-group.js";
import { findTwemproxy, Twemproxy } from "../../support/servers/twemproxy.js";
import { waitUntil } from "../../support/wait-until.js";

const twemproxy = await findTwemproxy();

/** Looks to its clients as if they all had one connection to the server, which has the same number for each. */
class SharingProxy extends TcpProxy {
  protected override openOutlet(client: Socket): Outlet {
    const same = (chunk: Buffer) => chunk.toString("latin1").replace(/^:\d+\r\n$/, ":7\r\n");
    return {
      write: (chunk) => client.write(Buffer.from(same(chunk), "latin1")),
      end: () => client.destroySoon(),
    };
  }
}

let group: ReplicationGroup;
let replica: RedisServer;
beforeAll(async () => {
  group = await startReplicationGroup({ replicas: 1 });
  const [first] = group.replicas;
  if (first === undefined) throw new Error("there is no replica");
  replica = first.server;
});
afterAll(() => group.stop());

async function setting(server: RedisServer, name: string, value: string): Promise<AsyncDisposable> {
  const [, before = ""] = (await server.admin().call("CONFIG", "GET", name)) as string[];
  await server.admin().call("CONFIG", "SET", name, value);
  return {
    [Symbol.asyncDispose]: async () => {
      await server.admin().call("CONFIG", "SET", name, before);
    },
  };
}

describe("The check announced-addresses", () => {
  it("passes addresses that can be reached", async () => {
    expect(await checked("announced-addresses", [group.primary.url])).toEqual([finding("pass", "reachable")]);
  });

  it("prints the line of natMap for a replica that announces another address", async () => {
    const nobody = await freePort();
    await using other = await RedisServer.start({
      args: ["--replica-announce-ip", "127.0.0.1", "--replica-announce-port", String(nobody)],
    });
    await using primary = await RedisServer.start();
    await other.replicate(primary);
    const isListed = async () =>
      (await primary.info("replication")).slave0?.includes("state=online") ?? false;
    await waitUntil(isListed, { what: "the primary lists the replica" });
    expect(await checked("announced-addresses", [primary.url, other.url])).toEqual([
      expect.objectContaining({
        server: `127.0.0.1:${nobody}`,
        verdict: "fail",
        fix: `redis: { natMap: { "127.0.0.1:${nobody}": { host: "127.0.0.1", port: ${other.port} } } }`,
      }),
    ]);
    const natMap = { [`127.0.0.1:${nobody}`]: { host: "127.0.0.1", port: other.port } };
    expect(await checked("announced-addresses", [primary.url], { natMap })).toEqual([
      finding("pass", "reachable"),
    ]);
    expect(await checked("announced-addresses", [primary.url])).toEqual([
      expect.objectContaining({ fix: expect.stringContaining('{ host: "<reachable host>"') }),
    ]);
  });

  it("is skipped if no server announces another", async () => {
    await using alone = await RedisServer.start();
    expect(await checked("announced-addresses", [alone.url])).toEqual([finding("skip", "no server")]);
  });
});

describe("The check distinct-servers", () => {
  it("fails two names for one server", async () => {
    const urls = [group.primary.url, `redis://localhost:${group.primary.port}`];
    expect(await checked("distinct-servers", urls)).toEqual([
      finding(
        "fail",
        `127.0.0.1:${group.primary.port}`,
        `localhost:${group.primary.port}`,
        "the same server",
      ),
    ]);
  });

  it("passes two servers", async () => {
    expect(await checked("distinct-servers", [group.primary.url, replica.url])).toEqual([
      finding("pass", "no server is given twice"),
    ]);
  });
});

describe("The check primary-first", () => {
  it("warns of a replica in the place of the primary", async () => {
    expect(await checked("primary-first", [replica.url, group.primary.url])).toEqual([
      expect.objectContaining({
        ...{ verdict: "warn", server: `127.0.0.1:${replica.port}` },
        fix: `tidemark doctor ${group.primary.url} ${replica.url}`,
      }),
    ]);
  });

  it("names the primary if only replicas are given", async () => {
    const urls = [replica.url, `redis://localhost:${replica.port}`];
    expect(await checked("primary-first", urls)).toEqual([
      expect.objectContaining({
        ...{ verdict: "warn", server: `127.0.0.1:${replica.port}` },
        // The replica knows its primary by the address of the proxy between them.
        fix: ["tidemark doctor", `redis://127.0.0.1:${group.replicas[0]?.link.port}`, ...urls].join(" "),
      }),
    ]);
  });

  it("says nothing if the primary comes first, or of a single replica", async () => {
    expect(await checked("primary-first", [group.primary.url, replica.url])).toEqual([]);
    expect(await checked("primary-first", [replica.url])).toEqual([]);
  });
});

describe("The check proxy", () => {
  it("passes a direct connection, and one through a forwarder of its own", async () => {
    await using forwarder = await TcpProxy.start({ targetPort: replica.port });
    const urls = [group.primary.url, `redis://127.0.0.1:${forwarder.port}`];
    const findings = await checked("proxy", urls);
    const of = (port: number) => findings.find(({ server }) => server === `127.0.0.1:${port}`);
    expect(of(group.primary.port)).toEqual(finding("pass", "connected directly"));
    expect(of(forwarder.port)).toEqual(finding("pass", "behind a proxy", `127.0.0.1:${replica.port}`));
  });

  it.runIf(twemproxy)("fails a real Twemproxy", async () => {
    if (twemproxy === undefined) return;
    await using servers = await Twemproxy.start(twemproxy, [[group.primary]]);
    expect(await checked("proxy", [`redis://127.0.0.1:${servers.pools[0]?.port}`])).toEqual([
      finding("fail", "spreads commands", "closes the connection when it receives INFO"),
    ]);
  });

  it("fails a proxy that answers INFO with an error", async () => {
    await using proxy = await RefusingProxy.start({ targetPort: group.primary.port });
    proxy.manner = "answers";
    const findings = await checked("proxy", [`redis://127.0.0.1:${proxy.port}`]);
    expect(findings).toContainEqual(finding("fail", "spreads commands", "unknown command"));
  });

  it("fails a proxy whose connections share one connection to the server", async () => {
    await using proxy = await SharingProxy.start({ targetPort: group.primary.port });
    const findings = await checked("proxy", [`redis://127.0.0.1:${proxy.port}`]);
    expect(findings).toContainEqual(finding("fail", "share one connection"));
  });

  it("fails a server without transactions", async () => {
    await using renamed = await RedisServer.start({ args: ["--rename-command", "MULTI", "''"] });
    expect(await checked("proxy", [renamed.url])).toEqual([finding("fail", "does not run MULTI")]);
  });

  it("warns of a reader endpoint", async () => {
    const server = new InspectedServer({
      options: { host: "orders-ro.abc123.ng.0001.euw1.cache.amazonaws.com" },
      source: "given",
    });
    const real = await inspected([group.primary.url], { depth: "roles" });
    const deployment: Deployment = Object.create(real, { servers: { value: [server] } });
    expect(findingsOf(deployment, "proxy")).toEqual([finding("warn", "reader endpoint")]);
  });
});

describe("The check idle-timeout", () => {
  it("warns of a server that closes idle connections soon", async () => {
    await using _ = await setting(replica, "timeout", "5");
    expect(await checked("idle-timeout", [replica.url])).toContainEqual(
      expect.objectContaining({
        verdict: "warn",
        fix: `redis-cli -h 127.0.0.1 -p ${replica.port} CONFIG SET timeout 0`,
      }),
    );
  });

  it("warns of a server without keepalive", async () => {
    await using _ = await setting(replica, "tcp-keepalive", "0");
    expect(await checked("idle-timeout", [replica.url])).toContainEqual(
      finding("warn", "tcp-keepalive is 0"),
    );
  });

  it("passes a server that keeps connections", async () => {
    const passes = finding("pass", "timeout is 0, tcp-keepalive is 300");
    expect(await checked("idle-timeout", [replica.url])).toEqual([passes, passes]);
  });
});

describe("The check connection-limit", () => {
  const limits = async (maxclients: string, processes: number) => {
    await using _ = await setting(group.primary, "maxclients", maxclients);
    const findings = await checked("connection-limit", [group.primary.url], { settings: { processes } });
    return findings.find(({ server }) => server === `127.0.0.1:${group.primary.port}`);
  };

  it("fails if the processes of the app do not fit", async () => {
    expect(await limits("40", 20)).toEqual(finding("fail", "of 40 connections", "opens 40 more"));
  });

  it("warns if the processes of the app fill most of it", async () => {
    expect(await limits("100", 45)).toEqual(finding("warn", "of 100 connections"));
  });

  it("passes if there is room", async () => {
    expect(await limits("100", 1)).toEqual(finding("pass", "opens 2 more (processes: 1)"));
  });
});

describe("The check zones", () => {
  const zoned = async (...zones: readonly (string | undefined)[]) => {
    const proxies = await Promise.all(
      [group.primary, replica].map(async ({ port }, index) => {
        const proxy = await RewritingProxy.start({ targetPort: port });
        const zone = zones[index];
        if (zone !== undefined)
          proxy.rewrite = (text) => text.replace(/^redis_mode:/m, `availability_zone:${zone}\r\nredis_mode:`);
        return proxy;
      }),
    );
    const findings = await checked(
      "zones",
      proxies.map(({ port }) => `redis://127.0.0.1:${port}`),
    );
    await Promise.all(proxies.map((proxy) => proxy.stop()));
    return findings;
  };

  it("is skipped if no server reports it", async () => {
    expect(await zoned()).toEqual([finding("skip", "no server reports its zone")]);
  });

  it("prints the option if only some report it", async () => {
    expect(await zoned("a")).toEqual([
      expect.objectContaining({
        ...{ verdict: "warn", found: expect.stringMatching(/in a, but .* reports no zone/) },
        fix: expect.stringMatching(/^zones: \{ "127.0.0.1:\d+": "a", "127.0.0.1:\d+": "<zone>" \}$/),
      }),
    ]);
  });

  it("passes if all report it", async () => {
    expect(await zoned("a", "b")).toEqual([finding("pass", "in a", "in b")]);
  });
});
