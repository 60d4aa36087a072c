/** Servers that are reached over TLS. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { Tidemark } from "../../src/index.js";
import { readsBack } from "../support/commands/reads-back.js";
import { makeCertificates } from "../support/servers/certificates.js";
import { follows } from "../support/servers/failover.js";
import { freePort } from "../support/servers/free-port.js";
import { promotionIsNoticed } from "../support/servers/promotion.js";
import { RedisServer } from "../support/servers/redis-server.js";
import { replicasAreEligible } from "../support/stages/eligible-replicas.js";
import { waitUntil } from "../support/wait-until.js";

let ca: string;
let primary: RedisServer;
let replica: RedisServer;
let ports: readonly [number, number];

beforeAll(async () => {
  const certificates = await makeCertificates();
  ca = certificates.ca;
  ports = [await freePort(), await freePort()];
  primary = await RedisServer.start({ args: certificates.args(ports[0]) });
  // The announced address has to use TLS too.
  const announce = ["--replica-announce-port", String(ports[1])];
  replica = await RedisServer.start({
    args: [...certificates.args(ports[1]), ...announce],
    replicaOf: primary,
  });
  await follows(replica, primary);
});

afterAll(() => Promise.all([primary, replica].map((server) => server?.stop())));

it.each([
  ["given", true],
  ["discovered", false],
])("reads and writes use TLS, with replicas that are %s", async (_how, given) => {
  const [first, second] = ports.map((port) => `rediss://127.0.0.1:${port}`);
  await using tidemark = new Tidemark({
    primary: first ?? "",
    ...(given ? { replicas: [second ?? ""] } : {}),
    redis: { tls: { ca } },
  });
  await waitUntil(
    async () => {
      await replicasAreEligible(tidemark);
      return tidemark.topology().length === 2;
    },
    { what: "both servers are known" },
  );
  await readsBack(tidemark, "replica:known");
  expect(tidemark.topology().map(({ address }) => address)).toEqual(ports.map((port) => `127.0.0.1:${port}`));
});

it("a promotion is followed over TLS", async () => {
  await using tidemark = new Tidemark({ primary: `rediss://127.0.0.1:${ports[0]}`, redis: { tls: { ca } } });
  await waitUntil(
    async () => {
      await replicasAreEligible(tidemark);
      return tidemark.topology().length === 2;
    },
    { what: "the replica is known" },
  );
  await replica.replicate(undefined);
  await primary.replicate({ host: "127.0.0.1", port: replica.port });
  await waitUntil(() => promotionIsNoticed(tidemark, { port: ports[1] }).then(() => true), {
    what: "the promotion is noticed",
  });
  await tidemark.redis.set("after", "1");
  expect(await replica.admin().get("after")).toBe("1");
});

it("a server with an untrusted certificate gets no command", async () => {
  const before = await primary.commandCalls("get");
  await using tidemark = new Tidemark({
    primary: { host: "127.0.0.1", port: ports[0], tls: {} },
    replicas: [],
    redis: { maxRetriesPerRequest: 1 },
  });
  await expect(tidemark.session().redis.get("k")).rejects.toThrow(/certificate|retries/);
  expect(await primary.commandCalls("get")).toBe(before);
});
