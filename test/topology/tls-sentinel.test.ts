/** Sentinels and servers that use only TLS with each other and with Tidemark, and require a password. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { Tidemark } from "../../src/index.js";
import { readsBack } from "../support/commands/reads-back.js";
import { type Certificates, makeCertificates } from "../support/servers/certificates.js";
import { freePort } from "../support/servers/free-port.js";
import { isPrimaryOf } from "../support/servers/promotion.js";
import { RedisServer } from "../support/servers/redis-server.js";
import { HOST } from "../support/servers/server-arguments.js";
import { replicasAreEligible } from "../support/stages/eligible-replicas.js";
import { waitUntil } from "../support/wait-until.js";

const name = "over-tls";
const password = "s3cret";
const sentinelPassword = "0ther";

/** A server, and the port at which it listens for TLS. */
interface Secured {
  readonly server: RedisServer;
  readonly port: number;
}

let certificates: Certificates;
let primary: Secured;
let replica: Secured;
let sentinels: readonly Secured[];

async function start(config: string, args: readonly string[]): Promise<Secured> {
  const port = await freePort();
  const tls = [...certificates.args(port), "--tls-replication", "yes"];
  return { port, server: await RedisServer.start({ config, args: [...tls, ...args] }) };
}

function startNode(config: string): Promise<Secured> {
  return start(config, ["--requirepass", password, "--masterauth", password]);
}

function startSentinel(): Promise<Secured> {
  const lines = [
    `sentinel monitor ${name} ${HOST} ${primary.port} 2`,
    `sentinel auth-pass ${name} ${password}`,
    `sentinel down-after-milliseconds ${name} 1000`,
    `sentinel failover-timeout ${name} 3000`,
  ];
  return start(`${lines.join("\n")}\n`, ["--requirepass", sentinelPassword, "--sentinel"]);
}

beforeAll(async () => {
  certificates = await makeCertificates();
  primary = await startNode("");
  replica = await startNode(`replicaof ${HOST} ${primary.port}\n`);
  await waitUntil(async () => (await replica.server.info("replication")).master_link_status === "up", {
    what: "the replica follows",
  });
  sentinels = [await startSentinel(), await startSentinel(), await startSentinel()];
  const knowAll = async (): Promise<boolean> => {
    const views = await Promise.all(sentinels.map(({ server }) => server.info("sentinel")));
    return views.every(
      ({ master0 = "" }) => master0.includes("status=ok,") && /slaves=1,sentinels=3/.test(master0),
    );
  };
  await waitUntil(knowAll, { what: "the Sentinels know each other and the replica", timeoutMs: 20_000 });
});

afterAll(() => Promise.all([...(sentinels ?? []), primary, replica].map((one) => one?.server.stop())));

function open(trust: { sentinelTLS: object; tls: object }): Tidemark {
  const [first] = sentinels.map(({ port }) => ({ host: HOST, port }));
  const redis = { password, sentinelPassword, ...trust };
  return new Tidemark({ sentinels: first ? [first] : [], name, redis });
}

it("a Sentinel with an untrusted certificate receives no data, and the error names it", async () => {
  await using tidemark = open({ sentinelTLS: {}, tls: { ca: certificates.ca } });
  const read = tidemark.session().redis.get("k");
  await expect(read).rejects.toThrow(`${HOST}:${sentinels[0]?.port}: self-signed certificate`);
});

it("all is discovered over TLS, also by clients made from the Tidemark's, and a failover is followed through other Sentinels", async () => {
  const { ca } = certificates;
  await using tidemark = open({ sentinelTLS: { ca }, tls: { ca } });
  await replicasAreEligible(tidemark);
  expect(tidemark.topology().map(({ address }) => address)).toEqual(
    [primary, replica].map(({ port }) => `${HOST}:${port}`),
  );
  await readsBack(tidemark, "replica:known");
  const plain = tidemark.redis.duplicate();
  expect(await plain.get("k")).toBe("v");
  plain.disconnect();
  await sentinels[0]?.server.kill();
  await primary.server.kill();
  await waitUntil(() => isPrimaryOf(tidemark, replica), {
    what: "the promotion is followed",
    timeoutMs: 20_000,
  });
  const isWritten = async (): Promise<boolean> => (await tidemark.session().redis.set("k", "after")) === "OK";
  await waitUntil(isWritten, { what: "writes succeed again" });
  expect(await replica.server.admin().get("k")).toBe("after");
});
