/** The doctor says nothing good of what it cannot see. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { examine } from "../../../src/cli/doctor/doctor.js";
import { inspected } from "../../support/cli/inspected.js";
import { RedisServer } from "../../support/servers/redis-server.js";
import { type ReplicationGroup, startReplicationGroup } from "../../support/servers/replication-group.js";

/** All that the doctor may send unasked. CLIENT TRACKING and MULTI count only for the doctor's own connections. */
const readOnly = new Set([
  ...[
    "acl|whoami",
    "client|id",
    "client|info",
    "client|list",
    "client|tracking",
    "command|info",
    "config|get",
  ],
  ...["dbsize", "discard", "exec", "hello", "info", "latency|latest", "module|list", "multi", "ping", "role"],
  ...["slowlog|get", "time", "wait"],
  // Sent by this test.
  "config|resetstat",
]);
const secret = "hush-hush-1";

let group: ReplicationGroup;
beforeAll(async () => {
  group = await startReplicationGroup({ replicas: 2 });
});
afterAll(() => group.stop());

async function allowed(...rules: readonly string[]): Promise<string> {
  for (const server of [group.primary, ...group.replicas.map(({ server: replica }) => replica)])
    await server.admin().call("ACL", "SETUSER", "app", "reset", "on", `>${secret}`, "~*", "&*", ...rules);
  return `redis://app:${secret}@127.0.0.1:${group.primary.port}`;
}

describe("The doctor", () => {
  it("passes only what it needs no answer for, if the user may only PING", async () => {
    const deployment = await inspected([await allowed("+ping")]);
    const findings = examine(deployment);
    const passed = findings.filter(({ verdict }) => verdict === "pass").map(({ check }) => check);
    expect(new Set(passed)).toEqual(
      new Set(["reachable", "round-trip", "version", "protocol", "tidemark-options", "same-database"]),
    );
    const hidden = findings.filter(({ verdict }) => verdict === "hidden").map(({ check }) => check);
    expect(hidden).toEqual(expect.arrayContaining(["announced-addresses", "proxy", "zones"]));
    expect(findings.filter(({ found }) => found.includes("the check itself failed"))).toEqual([]);
    expect(JSON.stringify(findings)).not.toContain(secret);
  });

  it("names the rule for each question that the user may not ask", async () => {
    const deployment = await inspected([await allowed("+@all", "-@dangerous", "-@admin", "+info")]);
    const findings = examine(deployment).filter(({ verdict }) => verdict === "hidden");
    const hidden = new Map(findings.map(({ check, fix = "" }) => [check, /'([^']+)'$/.exec(fix)?.[1]]));
    expect(Object.fromEntries(hidden)).toMatchObject({
      "idle-timeout": "+config|get",
      "keyspace-notifications": "+config|get",
      "min-replicas-after-failover": "+config|get",
      "primary-password": "+config|get",
      "slow-commands": "+slowlog|get",
      "replica-buffers": "+client|list",
      modules: "+module|list",
    });
  });

  it("says of a dead and of a frozen server only that they cannot be reached", async () => {
    const [dead, frozen] = group.replicas.map(({ server }) => server);
    if (dead === undefined || frozen === undefined) throw new Error("there are too few replicas");
    frozen.pause();
    await dead.kill();
    const urls = [group.primary.url, dead.url, frozen.url];
    const findings = examine(await inspected(urls, { timeoutMs: 500 }));
    frozen.resume();
    await dead.restart();
    await group.ready();
    for (const { port } of [dead, frozen]) {
      const said = findings.filter(({ server }) => server === `127.0.0.1:${port}`);
      expect(said.map(({ check, verdict }) => `${verdict} ${check}`)).toEqual(["fail reachable"]);
    }
    expect(findings.filter(({ found }) => found.includes("the check itself failed"))).toEqual([]);
  });

  it("sends nothing that changes a server", async () => {
    await using server = await RedisServer.start();
    await server.admin().call("CONFIG", "RESETSTAT");
    await inspected([server.url]);
    const stats = Object.keys(await server.info("commandstats"));
    const sent = stats.map((field) => field.replace("cmdstat_", ""));
    expect(sent).toEqual(expect.arrayContaining(["time", "slowlog|get", "module|list"]));
    expect(sent.filter((name) => !readOnly.has(name))).toEqual([]);
  });
});
