/** Checks of roles, links and positions: each fires on a deployment with that fault, and on no other. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Deployment } from "../../../src/cli/inspection/deployment.js";
import { sampleLag } from "../../../src/cli/inspection/lag.js";
import { applyFix, faultsOf, findingsOf, inspected, verdictsOf } from "../../support/cli/inspected.js";
import { RewritingProxy } from "../../support/proxies/rewriting-proxy.js";
import { RedisServer } from "../../support/servers/redis-server.js";
import {
  type GroupReplica,
  type ReplicationGroup,
  startReplicationGroup,
} from "../../support/servers/replication-group.js";
import { waitUntil } from "../../support/wait-until.js";

let group: ReplicationGroup;
beforeEach(async () => {
  group = await startReplicationGroup({ replicas: 2 });
});
afterEach(() => group.stop());

const look = (...urls: readonly string[]): Promise<Deployment> => inspected([group.primary.url, ...urls]);
const at = ({ port }: { readonly port: number }): string => `127.0.0.1:${port}`;

function replica(index = 0): GroupReplica {
  const found = group.replicas[index];
  if (found === undefined) throw new Error("the group has no such replica");
  return found;
}

async function replicationSays(server: RedisServer, field: string, value: string): Promise<void> {
  await waitUntil(async () => (await server.info("replication"))[field] === value, {
    what: `${field} is ${value}`,
  });
}

describe("A sound group", () => {
  it("passes every check of the replication", async () => {
    const deployment = await look();
    await sampleLag(deployment, { seconds: 0.5, writesCanary: true });
    for (const check of [
      "roles",
      "replication-link",
      "replication-position",
      "replica-chain",
      "canary",
      "full-resyncs",
    ]) {
      expect(verdictsOf(deployment, check).length).toBeGreaterThan(0);
      expect([check, faultsOf(deployment, check)]).toEqual([check, []]);
    }
  });
});

describe("The check of the roles", () => {
  it("fires for two primaries", async () => {
    await using other = await RedisServer.start();
    expect(faultsOf(await look(other.url), "roles")).toMatchObject([
      { verdict: "fail", found: `there are 2 primaries: ${at(group.primary)}, ${at(other)}` },
    ]);
  });

  it("fires for a primary without a replica", async () => {
    await using alone = await RedisServer.start();
    expect(faultsOf(await inspected([alone.url]), "roles")).toMatchObject([
      { verdict: "warn", server: at(alone), found: "primary without a replica" },
    ]);
  });

  it("fires if no server is the primary", async () => {
    await group.primary.kill();
    const deployment = await inspected([replica().server.url]);
    expect(faultsOf(deployment, "roles")).toMatchObject([
      { verdict: "fail", found: "no server reports to be the primary" },
    ]);
  });

  it("says so if the only given server is a replica", async () => {
    expect(faultsOf(await inspected([replica().server.url]), "roles")).toMatchObject([
      { verdict: "warn", server: at(replica().server), found: expect.stringMatching(/^is a replica of 127/) },
    ]);
  });
});

describe("The check of the link", () => {
  it("fires for a link that is down, with the time", async () => {
    replica().link.cut();
    await replicationSays(replica().server, "master_link_status", "down");
    // The primary no longer lists this replica.
    expect(faultsOf(await look(replica().server.url), "replication-link")).toMatchObject([
      {
        verdict: "fail",
        server: at(replica().server),
        found: expect.stringMatching(/has been down for \d+ (m?s)$/),
      },
    ]);
  });

  it("fires for a replica that has heard nothing of its primary for too long", async () => {
    await using quiet = await RewritingProxy.start({ targetPort: replica().server.port });
    quiet.rewrite = (text) => text.replace(/master_last_io_seconds_ago:\d+/, "master_last_io_seconds_ago:47");
    expect(faultsOf(await look(`redis://127.0.0.1:${quiet.port}`), "replication-link")).toMatchObject([
      { verdict: "warn", server: at(quiet), found: expect.stringContaining("for 47 s") },
    ]);
  });

  it("fires for a replica that loads or copies its data", async () => {
    await using busy = await RewritingProxy.start({ targetPort: replica().server.port });
    busy.rewrite = (text) => text.replace("master_sync_in_progress:0", "master_sync_in_progress:1");
    const url = `redis://127.0.0.1:${busy.port}`;
    expect(faultsOf(await look(url), "replication-link")).toMatchObject([
      { verdict: "warn", found: expect.stringContaining("is copying all data") },
    ]);
    busy.rewrite = (text) => text.replace("\r\nloading:0", "\r\nloading:1");
    expect(faultsOf(await look(url), "replication-link")).toMatchObject([
      { verdict: "warn", found: "is loading its data" },
    ]);
  });
});

describe("The check of the position", () => {
  it("fires for a replica of another primary, until its fix is applied", async () => {
    await using other = await RedisServer.start();
    await using stranger = await RedisServer.start({ replicaOf: other });
    await replicationSays(stranger, "master_link_status", "up");
    const deployment = await inspected([group.primary.url, stranger.url]);
    expect(faultsOf(deployment, "roles")).toEqual([]);
    const [finding, ...others] = faultsOf(deployment, "replication-position");
    expect(others).toEqual([]);
    expect(finding).toMatchObject({
      verdict: "fail",
      server: at(stranger),
      found: expect.stringContaining(at(other)),
    });
    if (finding !== undefined) await applyFix(finding);
    await replicationSays(stranger, "master_link_status", "up");
    await group.caughtUp();
    expect(faultsOf(await look(stranger.url), "replication-position")).toEqual([]);
  });

  it("fires for a server whose INFO has no replication id, as some proxies and other engines", async () => {
    await using engine = await RewritingProxy.start({ targetPort: group.primary.port });
    engine.rewrite = (text) => text.replace(/master_replid:\S+\r\n/, "");
    expect(
      faultsOf(await inspected([`redis://127.0.0.1:${engine.port}`]), "replication-position"),
    ).toMatchObject([
      { verdict: "fail", server: at(engine), why: expect.stringContaining("lacks a role, a master_replid") },
      { verdict: "skip" },
      { verdict: "skip" },
    ]);
  });
});

describe("The check of replicas of replicas", () => {
  it("fires for the replica that feeds another one", async () => {
    await replica(1).server.replicate(replica(0).server);
    await replicationSays(replica(0).server, "connected_slaves", "1");
    await replicationSays(replica(1).server, "master_link_status", "up");
    const deployment = await look();
    expect(faultsOf(deployment, "replica-chain")).toMatchObject([
      { verdict: "warn", server: at(replica(0).server), found: "one replica replicates from this replica" },
    ]);
    const [primary] = deployment.primaries;
    expect(primary && deployment.replicasOf(primary)).toHaveLength(2);
  });
});

describe("The check with a canary", () => {
  it("is not tried without --write-canary", async () => {
    expect(findingsOf(await look(), "canary")).toMatchObject([
      { verdict: "skip", found: expect.stringContaining("--write-canary") },
    ]);
  });

  it("fires for a replica that does not get the write", async () => {
    replica().link.hold();
    const deployment = await look();
    await sampleLag(deployment, { seconds: 0, writesCanary: true });
    expect(faultsOf(deployment, "canary")).toMatchObject([
      { verdict: "fail", found: `a write did not reach ${at(replica().server)} within 5 s` },
    ]);
  });

  it("fires for a replica that has the position without the value", async () => {
    const deployment = await look();
    await sampleLag(deployment, { seconds: 0, writesCanary: true });
    const lost = { kind: "value", value: false } as const;
    deployment.canaries = deployment.canaries?.map((canary) => ({
      ...canary,
      replicas: canary.replicas.map((one) => ({ ...one, hasValue: lost })),
    }));
    expect(faultsOf(deployment, "canary")).toMatchObject([
      { verdict: "fail", found: expect.stringContaining("reached the position without the value") },
    ]);
  });

  it("says hidden if the user may not write", async () => {
    await group.primary.admin().call("ACL", "SETUSER", "reader", "on", ">hush", "~*", "+@all", "-@write");
    const deployment = await inspected([`redis://reader:hush@127.0.0.1:${group.primary.port}`]);
    await sampleLag(deployment, { seconds: 0, writesCanary: true });
    expect(findingsOf(deployment, "canary")).toMatchObject([
      { verdict: "hidden", fix: expect.stringContaining("ACL SETUSER reader '+set'") },
    ]);
  });
});

describe("The check of full resynchronisations", () => {
  it("fires if one began while the doctor looked", async () => {
    const deployment = await look();
    const sampling = sampleLag(deployment, { seconds: 1 });
    await using late = await RedisServer.start({ replicaOf: group.primary });
    await replicationSays(late, "master_link_status", "up");
    await sampling;
    expect(faultsOf(deployment, "full-resyncs")).toMatchObject([
      { verdict: "fail", found: expect.stringMatching(/^1 began in/) },
    ]);
  });
});
