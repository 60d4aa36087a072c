/** Whole deployments with one planted mistake each, as people make them, and sound ones. */
import { mkdtemp } from "node:fs/promises";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { examine } from "../../../src/cli/doctor/doctor.js";
import type { Finding } from "../../../src/cli/doctor/finding.js";
import { observeTidemark } from "../../../src/cli/doctor/observed-tidemark.js";
import { openTidemark } from "../../../src/cli/opened-tidemark.js";
import { type Inspected, inspected } from "../../support/cli/inspected.js";
import { pasted } from "../../support/cli/pasted.js";
import { tidemark } from "../../support/cli/program.js";
import { ClockProxy } from "../../support/proxies/clock-proxy.js";
import { makeCertificates } from "../../support/servers/certificates.js";
import { startClusterGroup } from "../../support/servers/cluster-group.js";
import { Daemon } from "../../support/servers/daemon.js";
import { freePort } from "../../support/servers/free-port.js";
import { findRedisServer } from "../../support/servers/redis-binary.js";
import { type Address, RedisServer } from "../../support/servers/redis-server.js";
import { quickPeriods, startSentinelGroup } from "../../support/servers/sentinel-group.js";
import { waitUntil } from "../../support/wait-until.js";
import { Watchdog } from "../../support/watchdog.js";

/** Servers as careful people run them. */
const careful = ["--appendonly", "yes", "--repl-backlog-size", "16mb"];
const secret = "hush-hush-1";

/** Stops what a test has started when the test ends. */
function untilTheEnd<Started extends { stop(): Promise<void> }>(started: Started): Started {
  onTestFinished(() => started.stop());
  return started;
}

async function startServer(args: readonly string[] = [], replicaOf?: Address): Promise<RedisServer> {
  const options = { args: [...careful, ...args], ...(replicaOf === undefined ? {} : { replicaOf }) };
  return untilTheEnd(await RedisServer.start(options));
}

async function isLinked(replica: RedisServer): Promise<void> {
  const isUp = async () => (await replica.info("replication")).master_link_status === "up";
  await waitUntil(isUp, { what: `the replica at ${replica.port} is linked` });
}

/** A primary with replicas, without proxies between them. */
async function startPair(
  args: readonly string[] = [],
  ofReplica: readonly string[] = [],
): Promise<{ primary: RedisServer; replica: RedisServer }> {
  const primary = await startServer(args);
  const replica = await startServer([...args, ...ofReplica], primary);
  await isLinked(replica);
  return { primary, replica };
}

function urlOf({ host, port }: Address): string {
  return `redis://${host}:${port}`;
}

interface Given extends Inspected {
  readonly urls: readonly string[];
}

/** All that the doctor finds. */
async function diagnosed({ urls, ...options }: Given): Promise<readonly Finding[]> {
  const deployment = await inspected(urls, { timeoutMs: 1_000, ...options });
  try {
    await observeTidemark(deployment, openTidemark);
    return examine(deployment);
  } finally {
    deployment.close();
  }
}

function faultsIn(findings: readonly Finding[]): readonly Finding[] {
  return findings.filter(({ verdict }) => verdict === "fail" || verdict === "warn");
}

function isOf(fault: Finding, check: string, words: RegExp): boolean {
  return fault.check === check && words.test(`${fault.found} ${fault.why}`);
}

/** The finding of the mistake. Fails if the doctor does not find it, and with everything that it has found instead. */
function faultIn(findings: readonly Finding[], check: string, words: RegExp): Finding {
  const faults = faultsIn(findings);
  const found = faults.find((fault) => isOf(fault, check, words));
  if (found !== undefined) return found;
  const others = faults.map((fault) => `${fault.check} ${fault.server}: ${fault.found}`);
  throw new Error(`${check} did not find ${words}. Found: ${others.join("\n")}`);
}

/** Waits until the doctor finds no such mistake any more. */
async function isGone(given: Given, check: string, words: RegExp): Promise<void> {
  const isMended = async () => !faultsIn(await diagnosed(given)).some((fault) => isOf(fault, check, words));
  await waitUntil(isMended, { what: `${check} no longer finds ${words}`, timeoutMs: 30_000 });
}

/** The doctor finds the mistake, and no longer when the line of the finding was pasted. */
async function isFoundAndMendedByItsLine(
  given: Given,
  check: string,
  words: RegExp,
  password = "",
): Promise<void> {
  await pasted(faultIn(await diagnosed(given), check, words).fix ?? "", password);
  // Once a primary answers, its replicas are discovered, and they may have the same fault.
  const isMended = async () => {
    const fault = faultsIn(await diagnosed(given)).find((one) => isOf(one, check, words));
    if (fault?.fix !== undefined) await pasted(fault.fix, password);
    return fault === undefined;
  };
  await waitUntil(isMended, { what: `${check} no longer finds ${words}`, timeoutMs: 30_000 });
}

/** The doctor finds the mistake, and no longer with what was given instead. */
async function isFoundAndMendedBy(
  given: Given,
  instead: Given,
  check: string,
  words: RegExp,
): Promise<Finding> {
  const fault = faultIn(await diagnosed(given), check, words);
  await isGone(instead, check, words);
  return fault;
}

describe("The doctor finds the mistake in a deployment", () => {
  it("with a replica of another primary", async () => {
    const { primary } = await startPair();
    const other = await startPair();
    const given = { urls: [primary.url, other.replica.url] };
    const words = new RegExp(`from 127.0.0.1:${other.primary.port}, which is not the primary`);
    await isFoundAndMendedByItsLine(given, "replication-position", words);
  });

  it("with two names for one server", async () => {
    const { primary, replica } = await startPair();
    const twice = `redis://localhost:${primary.port}`;
    const given = { urls: [primary.url, twice] };
    const instead = { urls: [primary.url, replica.url] };
    await isFoundAndMendedBy(given, instead, "distinct-servers", /are the same server/);
  });

  it("whose only URL is that of a replica", async () => {
    const { primary, replica } = await startPair();
    const words = new RegExp(`is a replica of 127.0.0.1:${primary.port}`);
    await isFoundAndMendedBy({ urls: [replica.url] }, { urls: [primary.url] }, "roles", words);
  });

  it("whose replica comes first, where the primary belongs", async () => {
    const { primary, replica } = await startPair();
    const [given, instead] = [{ urls: [replica.url, primary.url] }, { urls: [primary.url, replica.url] }];
    await isFoundAndMendedBy(given, instead, "primary-first", /the first URL is that of a replica/);
  });

  it("with another database in one URL", async () => {
    const { primary, replica } = await startPair();
    const given = { urls: [`${primary.url}/1`, `${replica.url}/2`] };
    const instead = { urls: [`${primary.url}/1`, `${replica.url}/1`] };
    await isFoundAndMendedBy(given, instead, "same-database", /different databases: 1 and 2/);
  });

  it("with a database that does not exist", async () => {
    const { primary } = await startPair();
    const [given, instead] = [{ urls: [`${primary.url}/99`] }, { urls: [`${primary.url}/9`] }];
    await isFoundAndMendedBy(given, instead, "same-database", /database 99/);
  });

  it("with another key prefix in one URL", async () => {
    const { primary, replica } = await startPair();
    const given = { urls: [`${primary.url}?keyPrefix=a:`, `${replica.url}?keyPrefix=b:`] };
    const instead = { urls: [`${primary.url}?keyPrefix=a:`, replica.url] };
    await isFoundAndMendedBy(given, instead, "same-database", /different key prefixes/);
  });

  it("with a primary that renames INFO", async () => {
    const [{ path, env }, port] = await Promise.all([findRedisServer(), freePort()]);
    const folder = await mkdtemp(join(Watchdog.ofThisProcess().folder, "renamed-"));
    const args = ["--port", String(port), "--bind", "127.0.0.1", "--dir", folder, "--save", "''"];
    const renaming = [...args, "--rename-command", "INFO", "''"];
    untilTheEnd(await Daemon.start({ program: { path, env }, args: renaming, port, folder }));
    const { primary } = await startPair();
    const given = { urls: [`redis://127.0.0.1:${port}`] };
    await isFoundAndMendedBy(
      given,
      { urls: [primary.url] },
      "commands",
      /does not know INFO.*rename-command/s,
    );
  });

  it("with another password on one replica", async () => {
    const locks = ["--requirepass", secret, "--masterauth", secret];
    const { primary, replica } = await startPair(locks, ["--requirepass", "hush-hush-2"]);
    const given = { urls: [primary.url] };
    const words = /WRONGPASS.*password/s;
    const { server } = faultIn(await diagnosed(given), "reachable", words);
    expect(server).toBe(`127.0.0.1:${replica.port}`);
    await replica.admin().call("CONFIG", "SET", "requirepass", secret);
    await isGone(given, "reachable", words);
  });

  it("with an ACL user that the replica does not have", async () => {
    const { primary, replica } = await startPair();
    const rules = ["ACL", "SETUSER", "app", "on", `>${secret}`, "~*", "&*", "+@all"] as const;
    await primary.admin().call(...rules);
    const given = { urls: [`redis://app:${secret}@127.0.0.1:${primary.port}`] };
    const { server } = faultIn(await diagnosed(given), "reachable", /WRONGPASS.*user/s);
    expect(server).toBe(`127.0.0.1:${replica.port}`);
    await replica.admin().call(...rules);
    await isGone(given, "reachable", /WRONGPASS/);
  });

  it("with a replica that does not log in to its primary", async () => {
    const primary = await startServer(["--requirepass", secret, "--masterauth", secret]);
    const replica = await startServer(["--requirepass", secret], primary);
    const given = { urls: [primary.url, replica.url] };
    await isFoundAndMendedByItsLine(
      given,
      "primary-password",
      /link is down, and its masterauth is empty/,
      secret,
    );
  });

  it("with a replica that would refuse writes after its promotion", async () => {
    const { primary } = await startPair([], ["--min-replicas-to-write", "1"]);
    await isFoundAndMendedByItsLine(
      { urls: [primary.url] },
      "min-replicas-after-failover",
      /after its promotion/,
    );
  });

  it("with one Sentinel that watches another name", async () => {
    const group = untilTheEnd(await startSentinelGroup({ replicas: 1, sentinels: 2, periods: quickPeriods }));
    const { host, port } = await group.primary();
    const config = `sentinel monitor other ${host} ${port} 2\n`;
    const third = untilTheEnd(await RedisServer.start({ config, args: ["--sentinel"] }));
    const given = { urls: [...group.sentinels, third].map(({ url }) => url), sentinel: group.name };
    await isFoundAndMendedByItsLine(given, "sentinel-name", /It watches "other"/);
  });

  it("with Sentinels that are given as servers", async () => {
    const group = untilTheEnd(await startSentinelGroup({ replicas: 1, sentinels: 1, periods: quickPeriods }));
    const urls = group.sentinels.map(({ url }) => url);
    const words = /a Sentinel, but was given as a server/;
    const fault = await isFoundAndMendedBy({ urls }, { urls, sentinel: group.name }, "sentinel-mode", words);
    expect(fault.fix).toBe(`tidemark doctor --sentinel <name> ${urls[0]}`);
  });

  const outside = Object.values(networkInterfaces())
    .flatMap((all) => all ?? [])
    .find(({ internal, family }) => !internal && family === "IPv4")?.address;

  it.runIf(outside)("with protected mode", async () => {
    const server = await startServer(["--bind", "*", "--protected-mode", "yes"]);
    const given = { urls: [`redis://${outside}:${server.port}`] };
    const words = /protected mode/;
    faultIn(await diagnosed(given), "reachable", words);
    await server.admin().call("CONFIG", "SET", "protected-mode", "no");
    await isGone(given, "reachable", words);
  });

  it("with a node of a cluster that is not given as one", async () => {
    const group = untilTheEnd(await startClusterGroup({ shards: 1, args: careful }));
    const [first] = group.nodes;
    if (first === undefined) throw new Error("there is no node");
    const urls = [urlOf(first)];
    const fault = await isFoundAndMendedBy(
      { urls },
      { urls, cluster: true },
      "cluster-mode",
      /not given as one/,
    );
    expect(fault.fix).toBe(`tidemark doctor --cluster ${urls[0]}`);
  });

  it("with a server that refuses RESP3", async () => {
    const { primary } = await startPair(["--rename-command", "HELLO", "''"]);
    const sound = await startPair();
    await isFoundAndMendedBy(
      { urls: [primary.url] },
      { urls: [sound.primary.url] },
      "protocol",
      /HELLO 3 is refused/,
    );
  });

  it("with a port for TLS that is given without TLS", async () => {
    const [certificates, port] = await Promise.all([makeCertificates({ days: 90 }), freePort()]);
    await startServer(certificates.args(port));
    const given = { urls: [`redis://127.0.0.1:${port}`] };
    const words = /speaks only TLS/;
    const { fix } = faultIn(await diagnosed(given), "tls", words);
    await isGone({ urls: [String(fix)], tlsCa: certificates.caFile }, "tls", words);
  });

  it("with a replica that announces an address behind NAT", async () => {
    const nobody = await freePort();
    const announced = ["--replica-announce-ip", "127.0.0.1", "--replica-announce-port", String(nobody)];
    const { primary, replica } = await startPair([], announced);
    const given = { urls: [primary.url] };
    const natMap = { [`127.0.0.1:${nobody}`]: { host: "127.0.0.1", port: replica.port } };
    const fault = await isFoundAndMendedBy(
      given,
      { ...given, natMap },
      "announced-addresses",
      /cannot be reached/,
    );
    expect(fault.fix).toContain(`"127.0.0.1:${nobody}"`);
  });

  it("with a replica that announces the address of another server", async () => {
    const other = await startServer();
    const announced = ["--replica-announce-ip", "127.0.0.1", "--replica-announce-port", String(other.port)];
    const { primary, replica } = await startPair([], announced);
    const given = { urls: [primary.url] };
    const words = /announces this address for its replica, but another primary answers/;
    const fault = faultIn(await diagnosed(given), "announced-addresses", words);
    expect(fault.server).toBe(`127.0.0.1:${other.port}`);
    await replica.admin().call("CONFIG", "SET", "replica-announce-port", "0");
    // The address counts from the next connection.
    await primary.admin().call("CLIENT", "KILL", "TYPE", "replica");
    await isGone(given, "announced-addresses", words);
  });

  it("with a port for TLS that asks for a certificate of the client", async () => {
    const [certificates, port] = await Promise.all([makeCertificates({ days: 90 }), freePort()]);
    const server = await startServer([...certificates.args(port), "--tls-auth-clients", "yes"]);
    const given = { urls: [`rediss://127.0.0.1:${port}`], tlsCa: certificates.caFile };
    const words = /asks for a certificate of the client/;
    faultIn(await diagnosed(given), "tls", words);
    await server.admin().call("CONFIG", "SET", "tls-auth-clients", "optional");
    await isGone(given, "tls", words);
  });

  it("with a Sentinel that cannot log in to the primary", async () => {
    const { primary } = await startPair(["--requirepass", secret, "--masterauth", secret]);
    const config = `sentinel monitor orders 127.0.0.1 ${primary.port} 1\nsentinel down-after-milliseconds orders 500\n`;
    const sentinel = untilTheEnd(await RedisServer.start({ config, args: ["--sentinel"] }));
    const isDown = async () =>
      String(await sentinel.admin().call("SENTINEL", "MASTER", "orders")).includes("s_down");
    await waitUntil(isDown, { what: "the Sentinel takes the primary for dead" });
    const given = { urls: [sentinel.url], sentinel: "orders", password: secret };
    await isFoundAndMendedByItsLine(given, "sentinel-agreement", /cannot log in/, secret);
  });

  it("with a replica whose clock is wrong", async () => {
    const { primary, replica } = await startPair();
    const proxy = untilTheEnd(await ClockProxy.start({ targetPort: replica.port }));
    proxy.aheadSeconds = 30;
    const given = { urls: [primary.url, `redis://127.0.0.1:${proxy.port}`] };
    const words = /clock is 30 s ahead/;
    faultIn(await diagnosed(given), "clock-skew", words);
    proxy.aheadSeconds = 0;
    await isGone(given, "clock-skew", words);
  });

  it("with a user that may not use INFO", async () => {
    const { primary, replica } = await startPair();
    const rules = ["ACL", "SETUSER", "app", "on", `>${secret}`, "~*", "&*", "+@all", "-info"] as const;
    await Promise.all([primary, replica].map((server) => server.admin().call(...rules)));
    const given = { urls: [`redis://app:${secret}@127.0.0.1:${primary.port}`] };
    await isFoundAndMendedByItsLine(given, "rights", /app may not use INFO/);
  });

  it("with a user that may not read on the replica", async () => {
    const { primary, replica } = await startPair();
    for (const [server, rule] of [
      [primary, "+@all"],
      [replica, "-@read"],
    ] as const)
      await server.admin().call("ACL", "SETUSER", "app", "on", `>${secret}`, "~*", "&*", "+@all", rule);
    const given = { urls: [`redis://app:${secret}@127.0.0.1:${primary.port}`] };
    await isFoundAndMendedByItsLine(given, "same-rights", /fewer rights here than on the primary/);
  });

  it.each([
    [
      "a replica that takes writes",
      "replica-read-only",
      "no",
      "read-only-replicas",
      /replica-read-only is no/,
    ],
    ["a replica that swaps data sets", "repl-diskless-load", "swapdb", "diskless-load", /swapdb/],
    ["a replica that closes idle connections", "timeout", "5", "idle-timeout", /timeout is 5/],
    [
      "a replica that is silent without its primary",
      "replica-serve-stale-data",
      "no",
      "serve-stale-data",
      /is no/,
    ],
  ])("with %s", async (_, name, value, check, words) => {
    const { primary, replica } = await startPair();
    await replica.admin().call("CONFIG", "SET", name, value);
    await isFoundAndMendedByItsLine({ urls: [primary.url, replica.url] }, check, words);
  });

  it("with a primary that refuses writes for want of replicas", async () => {
    const { primary } = await startPair(["--min-replicas-to-write", "2"], ["--min-replicas-to-write", "0"]);
    await isFoundAndMendedByItsLine({ urls: [primary.url] }, "min-replicas", /min-replicas-to-write is 2/);
  });

  it("with Sentinels whose quorum is out of reach", async () => {
    const group = untilTheEnd(await startSentinelGroup({ replicas: 1, sentinels: 3, periods: quickPeriods }));
    for (const sentinel of group.sentinels)
      await sentinel.admin().call("SENTINEL", "SET", group.name, "quorum", "4");
    const given = { urls: group.sentinels.map(({ url }) => url), sentinel: group.name };
    const words = /the quorum is 4/;
    const lines = faultsIn(await diagnosed(given)).filter(({ found }) => words.test(found));
    for (const { fix = "" } of lines) await pasted(fix);
    expect(lines).toHaveLength(3);
    await isGone(given, "sentinel-quorum", words);
  });

  it("with a replica of a cluster that may not be promoted", async () => {
    const group = untilTheEnd(await startClusterGroup({ shards: 1, args: careful }));
    const [, replica] = group.nodes;
    await replica?.server.admin().call("CONFIG", "SET", "cluster-replica-no-failover", "yes");
    const given = { urls: group.nodes.map(urlOf), cluster: true };
    await isFoundAndMendedByItsLine(given, "cluster-settings", /cluster-replica-no-failover is yes/);
  });
});

/** The doctor finds no fault, and the program exits with 0 even if it is strict. */
async function isSound(given: Given, ...flags: readonly string[]): Promise<readonly Finding[]> {
  const findings = await diagnosed(given);
  expect(faultsIn(findings)).toEqual([]);
  const { code, stdout } = await tidemark(["doctor", "--strict", "--seconds", "0", ...flags, ...given.urls]);
  expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringContaining("PASS") });
  return findings;
}

describe("The doctor finds nothing wrong with a sound deployment", () => {
  it("of a primary and a replica that are both named", async () => {
    const { primary, replica } = await startPair();
    await isSound({ urls: [primary.url, replica.url] });
  });

  it("of a primary whose replicas are discovered", async () => {
    const { primary } = await startPair();
    await isLinked(await startServer([], primary));
    await isSound({ urls: [primary.url] });
  });

  it("that Sentinels watch", async () => {
    const args = [...careful, "--min-replicas-to-write", "1"];
    const group = untilTheEnd(await startSentinelGroup({ periods: quickPeriods, args }));
    const given = { urls: group.sentinels.map(({ url }) => url), sentinel: group.name };
    await isSound(given, "--sentinel", group.name);
  });

  it("of a cluster", async () => {
    const group = untilTheEnd(await startClusterGroup({ args: careful }));
    expect(faultsIn(await diagnosed({ urls: group.nodes.slice(0, 1).map(urlOf), cluster: true }))).toEqual(
      [],
    );
  });

  it("with TLS and an ACL user", async () => {
    const certificates = await makeCertificates({ days: 90 });
    const start = async (primary?: Address) => {
      const port = await freePort();
      const tls = [
        ...certificates.args(port),
        "--tls-replication",
        "yes",
        "--replica-announce-port",
        String(port),
      ];
      const server = await startServer(tls, primary);
      const rules = [
        "on",
        `>${secret}`,
        "~*",
        "&*",
        "+@all",
        "-@dangerous",
        "+info",
        "+config|get",
        "+client",
        "+slowlog",
        "+latency",
        "+role",
        "+acl|whoami",
        "+module|list",
      ];
      await server.admin().call("ACL", "SETUSER", "app", ...rules);
      return { server, port };
    };
    const primary = await start();
    const replica = await start({ host: "127.0.0.1", port: primary.port });
    await isLinked(replica.server);
    const urls = [`rediss://app:${secret}@127.0.0.1:${primary.port}`];
    const given = { urls, tlsCa: certificates.caFile };
    const findings = await isSound(given, "--tls-ca", certificates.caFile);
    expect(findings.filter(({ check }) => check === "tls")).toHaveLength(2);
    expect(JSON.stringify(findings)).not.toContain(secret);
  });
});
