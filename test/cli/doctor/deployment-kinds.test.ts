/** The doctor with Sentinels, clusters, TLS, and addresses that only work inside; and what a Tidemark on these servers says. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, describe, expect, it, onTestFinished } from "vitest";
import { observeTidemark } from "../../../src/cli/doctor/observed-tidemark.js";
import type { Deployment } from "../../../src/cli/inspection/deployment.js";
import { sampleLag } from "../../../src/cli/inspection/lag.js";
import { openTidemark } from "../../../src/cli/opened-tidemark.js";
import { faultsOf, findingsOf, type Inspected, inspected } from "../../support/cli/inspected.js";
import { makeCertificates } from "../../support/servers/certificates.js";
import { type ClusterGroup, startClusterGroup } from "../../support/servers/cluster-group.js";
import { freePort } from "../../support/servers/free-port.js";
import { RedisServer } from "../../support/servers/redis-server.js";
import { startReplicationGroup } from "../../support/servers/replication-group.js";
import { startSentinelGroup } from "../../support/servers/sentinel-group.js";
import { waitUntil } from "../../support/wait-until.js";

const started: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of started.splice(0)) await one[Symbol.asyncDispose]();
});

function owed<Started extends AsyncDisposable>(one: Started): Started {
  started.push(one);
  return one;
}

async function observed(urls: readonly string[], options: Inspected = {}): Promise<Deployment> {
  const deployment = await inspected(urls, options);
  await observeTidemark(deployment, openTidemark);
  return deployment;
}

const rolesOf = ({ servers }: Deployment) => servers.map(({ role }) => role).sort();

describe("The doctor with Sentinels", () => {
  it("finds the other Sentinels and all servers, and a Tidemark that serves", async () => {
    const group = owed(
      await startSentinelGroup({ replicas: 2, password: "serv3rs", sentinelPassword: "sent1nels" }),
    );
    const [sentinel] = group.sentinels;
    const url = `redis://:sent1nels@127.0.0.1:${sentinel?.port}`;
    const deployment = await observed([url], { sentinel: group.name, password: "serv3rs" });
    expect(deployment.sentinels).toHaveLength(3);
    expect(rolesOf(deployment)).toEqual(["primary", "replica", "replica"]);
    expect(faultsOf(deployment, "reachable")).toEqual([]);
    expect(findingsOf(deployment, "tidemark-states").map(({ verdict }) => verdict)).toEqual([
      "pass",
      "pass",
      "pass",
    ]);
    expect(faultsOf(deployment, "min-replicas")).toMatchObject([
      {
        verdict: "warn",
        found: "min-replicas-to-write is 0",
        fix: expect.stringContaining("min-replicas-to-write 1"),
      },
    ]);
  });

  it("names a replica that Sentinels keep quiet about", async () => {
    const group = owed(await startSentinelGroup({ replicas: 1, sentinels: 1 }));
    const [replica] = await group.replicas();
    const look = () => inspected([group.sentinels[0]?.url ?? ""], { sentinel: group.name });
    expect(faultsOf(await look(), "failover-candidates")).toEqual([]);
    await replica?.server.admin().config("SET", "replica-announced", "no");
    expect(faultsOf(await look(), "failover-candidates")).toMatchObject([
      { verdict: "warn", found: "replica-announced is no", server: `127.0.0.1:${replica?.port}` },
    ]);
  });
});

describe("The doctor with a cluster", () => {
  const urlOf = (group: ClusterGroup): string => `redis://127.0.0.1:${group.nodes[0]?.port}`;

  it("finds all nodes, writes a canary on each shard, and opens a Tidemark that serves", async () => {
    const group = owed(await startClusterGroup({ shards: 2, replicasPerShard: 1 }));
    const deployment = await observed([urlOf(group)], { cluster: true });
    expect(rolesOf(deployment)).toEqual(["primary", "primary", "replica", "replica"]);
    expect(deployment.primaries.map((primary) => deployment.replicasOf(primary).length)).toEqual([1, 1]);
    await sampleLag(deployment, { seconds: 0.5, writesCanary: true });
    expect(findingsOf(deployment, "canary").map(({ verdict }) => verdict)).toEqual(["pass", "pass"]);
    for (const check of ["roles", "replication-position", "tidemark-states"])
      expect([check, faultsOf(deployment, check)]).toEqual([check, []]);
  });
});

describe("The doctor over TLS", () => {
  it("trusts the authority of --tls-ca, and names the certificate without it", async () => {
    const { ca, args } = await makeCertificates();
    const port = await freePort();
    const server = owed(await RedisServer.start({ args: args(port) }));
    const file = join(server.dir, "ca.crt");
    await writeFile(file, ca);
    const url = `rediss://127.0.0.1:${port}`;
    expect(faultsOf(await inspected([url], { tlsCa: file }), "reachable")).toEqual([]);
    expect(faultsOf(await inspected([url]), "reachable")).toMatchObject([
      { verdict: "fail", why: expect.stringContaining("--tls-ca") },
    ]);
    const plain = await inspected([`redis://127.0.0.1:${port}`], { timeoutMs: 1_000 });
    expect(faultsOf(plain, "reachable")).toMatchObject([
      { verdict: "fail", why: expect.stringContaining("expects TLS (rediss://)") },
    ]);
  });
});

describe("The doctor and addresses that only work inside", () => {
  it("reaches an announced server by --nat-map", async () => {
    const server = owed(await RedisServer.start());
    const inside = ["--replica-announce-ip", "192.0.2.7", "--replica-announce-port", "6379"];
    const replica = owed(await RedisServer.start({ args: inside, replicaOf: server }));
    await waitUntil(
      async () => (await server.info("replication")).slave0?.includes("state=online") === true,
      {
        what: "the replica is in sync",
      },
    );
    const natMap = { "192.0.2.7:6379": { host: "127.0.0.1", port: replica.port } };
    const deployment = await observed([server.url], { natMap });
    expect(rolesOf(deployment)).toEqual(["primary", "replica"]);
    expect(faultsOf(deployment, "tidemark-states")).toEqual([]);
    const lost = await inspected([server.url], { timeoutMs: 300 });
    expect(faultsOf(lost, "reachable")).toMatchObject([
      { verdict: "fail", server: "192.0.2.7:6379", found: expect.stringContaining("announces this address") },
    ]);
  });
});

describe("The check of what Tidemark sees", () => {
  it("gives the advice for a replica of another primary", async () => {
    const group = owed(await startReplicationGroup({ replicas: 1 }));
    const other = owed(await RedisServer.start());
    const stranger = owed(await RedisServer.start({ replicaOf: other }));
    await waitUntil(async () => (await stranger.info("replication")).master_link_status === "up", {
      what: "the stranger follows its primary",
    });
    const deployment = await observed([group.primary.url, stranger.url]);
    expect(faultsOf(deployment, "tidemark-states")).toMatchObject([
      {
        verdict: "fail",
        server: `127.0.0.1:${stranger.port}`,
        found: expect.stringContaining("replica, unknown-history"),
        why: expect.stringContaining("Give it the right primary with REPLICAOF"),
      },
    ]);
  });

  it("fails with the error of a Tidemark that cannot be made", async () => {
    const server = owed(await RedisServer.start());
    const settings = { tokenTtlMs: 10, maxStalenessMs: 1_000 };
    expect(faultsOf(await observed([server.url], { settings }), "tidemark-states")).toMatchObject([
      { verdict: "fail", found: expect.stringContaining("tokenTtlMs") },
    ]);
  });

  it("opens no Tidemark that would write a marker", async () => {
    const server = owed(await RedisServer.start());
    await server.admin().call("ACL", "SETUSER", "app", "on", ">hush", "~*", "+@all", "-info");
    const deployment = await observed([`redis://app:hush@127.0.0.1:${server.port}`]);
    expect(findingsOf(deployment, "tidemark-states")).toMatchObject([
      { verdict: "skip", found: expect.stringContaining("would write a key of its own") },
    ]);
    expect(await server.admin().keys("*")).toEqual([]);
    expect(await server.commandCalls("set")).toBe(0);
  });

  it("leaves no connection open", async () => {
    const server = owed(await RedisServer.start());
    const deployment = await observed([server.url]);
    onTestFinished(() => deployment.close());
    deployment.close();
    await waitUntil(async () => (await server.info("clients")).connected_clients === "1", {
      what: "all connections are closed",
    });
  });
});
