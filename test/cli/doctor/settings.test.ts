/** The checks of the app's options, and of what servers allow. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { checked, finding } from "../../support/cli/inspected.js";
import { RewritingProxy } from "../../support/proxies/rewriting-proxy.js";
import { RedisServer } from "../../support/servers/redis-server.js";

let server: RedisServer;
let other: RedisServer;
beforeAll(async () => {
  [server, other] = await Promise.all([RedisServer.start(), RedisServer.start()]);
});
afterAll(() => Promise.all([server.stop(), other.stop()]));

describe("The check tidemark-options", () => {
  it.each([
    [{ tokenTtlMs: 10_000 }, "fail", "tokenTtlMs (10 s) is not greater"],
    [{ probeIntervalMs: 10_000 }, "warn", "probeIntervalMs (10 s) is not below"],
    [{ waitMs: 10_000 }, "warn", "waitMs (10 s) is not below"],
  ] as const)("finds %j", async (settings, verdict, words) => {
    expect(await checked("tidemark-options", [server.url], { settings })).toEqual([finding(verdict, words)]);
  });

  it("passes the defaults", async () => {
    expect(await checked("tidemark-options", [server.url])).toEqual([finding("pass", "tokenTtlMs (60 s)")]);
  });
});

describe("The check same-database", () => {
  it.each([
    ["/1", "/2", "different databases: 1 and 2"],
    ["", "/1", "different databases: 0 and 1"],
    ["?keyPrefix=a:", "?keyPrefix=b:", 'different key prefixes: "a:" and "b:"'],
  ])("fails the URLs that end in %j and %j", async (one, two, words) => {
    expect(await checked("same-database", [server.url + one, other.url + two])).toEqual([
      finding("fail", words),
    ]);
  });

  it("fails a database in a cluster", async () => {
    const options = { cluster: true };
    expect(await checked("same-database", [`${server.url}/3`], options)).toEqual([
      finding("fail", "database 3"),
    ]);
  });

  it("passes the same database", async () => {
    expect(await checked("same-database", [`${server.url}/1`, `${other.url}/1`])).toEqual([
      finding("pass", "database 1"),
    ]);
  });
});

describe("The check durability-mode", () => {
  it("says whether a write can wait for the disk", async () => {
    await using proxy = await RewritingProxy.start({ targetPort: server.port });
    const of = (version: string) => {
      proxy.rewrite = (text) => text.replace(/^redis_version:.*\r$/m, `redis_version:${version}\r`);
      return checked("durability-mode", [`redis://127.0.0.1:${proxy.port}`]);
    };
    expect(await of("7.0.15")).toEqual([finding("skip", "needs Redis or Valkey 7.2")]);
    expect(await of("7.2.0")).toEqual([finding("skip", "append-only file")]);
    await server.admin().call("CONFIG", "SET", "appendonly", "yes");
    expect(await of("8.0.0")).toEqual([finding("pass", "appendfsync is everysec", "up to a second")]);
    await server.admin().call("CONFIG", "SET", "appendonly", "no");
  });
});
