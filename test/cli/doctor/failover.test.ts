/** The checks of passwords between servers, and of what counts after a promotion. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { checked, finding } from "../../support/cli/inspected.js";
import { RedisServer } from "../../support/servers/redis-server.js";
import { type ReplicationGroup, startReplicationGroup } from "../../support/servers/replication-group.js";
import { waitUntil } from "../../support/wait-until.js";

const secret = "hush-hush-1";

describe("The check primary-password", () => {
  let primary: RedisServer;
  let replica: RedisServer;
  beforeAll(async () => {
    const args = ["--requirepass", secret, "--masterauth", secret];
    [primary, replica] = await Promise.all([RedisServer.start({ args }), RedisServer.start({ args })]);
    await replica.replicate(primary);
    await linkIs("up");
  });
  afterAll(() => Promise.all([primary.stop(), replica.stop()]));

  async function linkIs(state: "up" | "down"): Promise<void> {
    const isSo = async () => (await replica.info("replication")).master_link_status === state;
    await waitUntil(isSo, { what: `the link is ${state}` });
  }

  async function setPassword(password: string): Promise<void> {
    await replica.admin().call("CONFIG", "SET", "masterauth", password);
  }

  it("passes a replica that logs in", async () => {
    expect(await checked("primary-password", [primary.url])).toEqual([finding("pass", "set")]);
  });

  it("warns of a missing password while the link is still up", async () => {
    await setPassword("");
    expect(await checked("primary-password", [primary.url])).toEqual([
      finding("warn", "masterauth is empty"),
    ]);
  });

  it("fails a missing and a wrong password while the link is down, and shows neither", async () => {
    await setPassword("");
    await primary.admin().call("CLIENT", "KILL", "TYPE", "replica");
    await linkIs("down");
    const urls = [primary.url, replica.url];
    const empty = await checked("primary-password", urls);
    expect(empty).toEqual([finding("fail", "its link is down, and its masterauth is empty")]);
    await setPassword("hush-hush-2");
    const wrong = await checked("primary-password", urls);
    expect(wrong).toEqual([finding("fail", "another password")]);
    expect(JSON.stringify([empty, wrong])).not.toContain("hush");
    await setPassword(secret);
    await linkIs("up");
  });

  it("passes a primary without a password", async () => {
    await using group = await startReplicationGroup({ replicas: 1 });
    expect(await checked("primary-password", [group.primary.url])).toEqual([
      finding("pass", "asks for none"),
    ]);
  });
});

describe("The check min-replicas-after-failover", () => {
  let group: ReplicationGroup;
  beforeAll(async () => {
    group = await startReplicationGroup({ replicas: 2 });
  });
  afterAll(() => group.stop());

  const required = async (least: string) => {
    for (const { server } of group.replicas)
      await server.admin().call("CONFIG", "SET", "min-replicas-to-write", least);
    return checked("min-replicas-after-failover", [group.primary.url]);
  };

  it("warns if a promoted replica would refuse writes", async () => {
    const findings = await required("2");
    expect(findings).toHaveLength(2);
    expect(findings).toContainEqual(
      expect.objectContaining({
        ...{ verdict: "warn", server: `127.0.0.1:${group.replicas[0]?.server.port}` },
        fix: `redis-cli -h 127.0.0.1 -p ${group.replicas[0]?.server.port} CONFIG SET min-replicas-to-write 1`,
      }),
    );
  });

  it("passes if enough replicas are left", async () => {
    expect(await required("1")).toEqual(Array(2).fill(finding("pass", "min-replicas-to-write is 1")));
    expect(await required("0")).toEqual(Array(2).fill(finding("pass", "min-replicas-to-write is 0")));
  });
});
