/** Servers with IPv6 addresses. */
import { networkInterfaces } from "node:os";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Tidemark } from "../../src/index.js";
import { follows } from "../support/servers/failover.js";
import { isPrimaryOf, promotionIsNoticed } from "../support/servers/promotion.js";
import { RedisServer } from "../support/servers/redis-server.js";
import { replicasAreEligible } from "../support/stages/eligible-replicas.js";
import { waitUntil } from "../support/wait-until.js";

const host = "::1";
const args = ["--bind", "127.0.0.1", host];

let primary: RedisServer;
let replica: RedisServer;

/** Containers often have none. */
const hasIPv6 = Object.values(networkInterfaces()).some((all) =>
  all?.some(({ address }) => address === host),
);
if (!hasIPv6) process.stderr.write("no IPv6 here: tests of its addresses are skipped\n");

describe.skipIf(!hasIPv6)("with IPv6 addresses", () => {
  beforeAll(async () => {
    primary = await RedisServer.start({ args });
    replica = await RedisServer.start({ args, replicaOf: { host, port: primary.port } });
    await follows(replica, primary);
  });

  afterAll(() => Promise.all([primary, replica].map((server) => server?.stop())));

  it.each([
    ["a URL", () => `redis://[${host}]:${primary.port}`],
    ["options", () => ({ host, port: primary.port })],
  ])("replicas are discovered, and their promotions followed, from %s", async (_what, server) => {
    const [before, heir] =
      (await replica.info("replication")).role === "slave" ? [primary, replica] : [replica, primary];
    await using tidemark = new Tidemark({ primary: server() });
    await waitUntil(
      async () => {
        await replicasAreEligible(tidemark);
        return tidemark.topology().length === 2;
      },
      { what: "the replica is known" },
    );
    expect(isPrimaryOf(tidemark, before)).toBe(true);
    expect(tidemark.topology().map(({ address }) => address)).toEqual(
      [before, heir].map(({ port }) => `${host}:${port}`),
    );
    await tidemark.redis.set("k", "v");
    await heir.replicate(undefined);
    await before.replicate({ host, port: heir.port });
    await promotionIsNoticed(tidemark, heir);
    await tidemark.redis.set("k", "new");
    expect(await heir.admin().get("k")).toBe("new");
  });
});
