import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Tidemark } from "../../src/index.js";
import { startUsers, type Users } from "../support/load/users.js";
import type { RedisServer } from "../support/servers/redis-server.js";
import {
  type GroupReplica,
  type ReplicationGroup,
  startReplicationGroup,
} from "../support/servers/replication-group.js";
import { openTidemark } from "../support/stages/open-tidemark.js";
import { waitUntil } from "../support/wait-until.js";

let group: ReplicationGroup;
let tidemark: Tidemark;
let users: Users;

beforeEach(async () => {
  group = await startReplicationGroup({ replicas: 2, lag: { ms: 5, jitterMs: 3 } });
  tidemark = openTidemark(group);
  await tidemark.ready();
  users = startUsers(tidemark, 12);
  await isUsed(victim().server);
});

afterEach(async () => {
  await users.stop();
  await tidemark.close();
  await group.stop();
});

function victim(): GroupReplica {
  const [first] = group.replicas;
  if (first === undefined) throw new Error("the group has no replica");
  return first;
}

/** Resolves when the server has answered more reads than at the time of the call. */
async function isUsed(server: RedisServer): Promise<void> {
  const before = await server.commandCalls("get");
  await waitUntil(async () => (await server.commandCalls("get")) > before + 20, {
    what: "the replica answers reads",
  });
}

/** Resolves when the users have done so many more reads. */
async function readsGoOn(reads = 300): Promise<void> {
  const before = users.findings.reads;
  await waitUntil(() => users.findings.reads > before + reads, { what: `${reads} more reads` });
}

async function nobodyWasHarmed(): Promise<void> {
  const { stale, errors } = await users.stop();
  expect({ stale, errors }).toEqual({ stale: 0, errors: [] });
}

describe("users who write and read back", () => {
  it("notice only a short delay when a replica freezes, and use it again when it wakes", async () => {
    victim().server.pause();
    await readsGoOn();
    const slowWhileFrozen = users.findings.slow;
    victim().server.resume();
    await isUsed(victim().server);
    await nobodyWasHarmed();
    expect(slowWhileFrozen).toBe(0);
  });

  it("lose nothing when a replica is killed, and use it again when it is back with its data", async () => {
    await victim().server.kill();
    await readsGoOn();
    await victim().server.restart();
    await victim().server.replicate(victim().link);
    await isUsed(victim().server);
    await nobodyWasHarmed();
  });

  it("never miss existing data because of a replica that came back empty and cannot synchronise", async () => {
    await victim().server.kill();
    victim().link.cut();
    await victim().server.restart({ empty: true });
    await victim().server.replicate(victim().link);
    await readsGoOn();
    expect(await victim().server.commandCalls("get")).toBe(0);
    victim().link.mend();
    await isUsed(victim().server);
    await nobodyWasHarmed();
  });

  it("do not read from a replica that was disconnected from its primary and has fallen behind", async () => {
    victim().link.cut();
    await readsGoOn();
    victim().link.mend();
    await isUsed(victim().server);
    await nobodyWasHarmed();
  });

  it("notice nothing when the connections to a replica are closed", async () => {
    for (let i = 0; i < 20; i++) {
      await victim().server.admin().call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
      await readsGoOn(20);
    }
    await isUsed(victim().server);
    await nobodyWasHarmed();
  });

  it("lose nothing when every replica is gone", async () => {
    await Promise.all(group.replicas.map(({ server }) => server.kill()));
    await readsGoOn();
    await nobodyWasHarmed();
  });

  it("do not read from a replica that its operator has promoted", async () => {
    await victim().server.replicate(undefined);
    await readsGoOn();
    const before = await victim().server.commandCalls("get");
    await readsGoOn();
    expect(await victim().server.commandCalls("get")).toBe(before);
    await nobodyWasHarmed();
  });
});
