/** Users who write and read back while a replica is frozen, cut off, emptied or gone. */
import { afterEach, beforeEach, expect, it } from "vitest";
import { startUsers, type Users } from "../../support/load/users.js";
import { type BackendServer, describeOnServers } from "../../support/servers/backend.js";
import { callsOf } from "../../support/servers/info.js";
import { followsWithinMs, ServerStage } from "../../support/stages/server-stage.js";
import { waitUntil } from "../../support/wait-until.js";

describeOnServers("users who write and read back", () => {
  const stage = ServerStage.set();
  let users: Users;

  beforeEach(async () => {
    users = startUsers(await stage.open(), 8);
    await isUsed(stage.victim);
  });

  afterEach(async () => {
    await users.stop();
  });

  /** Resolves when the server has answered more reads than at the time of the call. */
  async function isUsed(server: BackendServer): Promise<void> {
    const before = await callsOf(server.admin(), "get");
    await waitUntil(async () => (await callsOf(server.admin(), "get")) > before + 20, {
      what: "the replica answers reads",
      timeoutMs: followsWithinMs,
    });
  }

  /** Resolves when the users have done more reads. */
  async function readsGoOn(): Promise<void> {
    const before = users.findings.reads;
    await waitUntil(() => users.findings.reads > before + 200, { what: "200 more reads" });
  }

  async function nobodyWasHarmed(): Promise<void> {
    const { stale, errors } = await users.stop();
    expect({ stale, errors }).toEqual({ stale: 0, errors: [] });
  }

  it("lose nothing when a replica freezes, and use it again when it wakes", async () => {
    await stage.victim.pause();
    await readsGoOn();
    await stage.victim.resume();
    await isUsed(stage.victim);
    await nobodyWasHarmed();
  });

  it("lose nothing when a replica cannot reach the primary, and use the replica again when it can", async () => {
    await stage.victim.disconnect("servers");
    await readsGoOn();
    await stage.victim.connect();
    await isUsed(stage.victim);
    await nobodyWasHarmed();
  });

  it("lose nothing when a replica is off the network, and use it again when it is back", async () => {
    await stage.victim.disconnect("everyone");
    await readsGoOn();
    await stage.victim.connect();
    await isUsed(stage.victim);
    await nobodyWasHarmed();
  });

  it("never miss existing data because of a replica that comes back empty and cannot synchronise", async () => {
    await stage.victim.disconnect("servers");
    await stage.victim.restart({ empty: true });
    await readsGoOn();
    expect(await callsOf(stage.victim.admin(), "get")).toBe(0);
    await stage.victim.connect();
    await isUsed(stage.victim);
    await nobodyWasHarmed();
  });

  it("lose nothing when a replica is killed, and use it again when it is started", async () => {
    await stage.victim.kill();
    await readsGoOn();
    await stage.victim.restart();
    await isUsed(stage.victim);
    await nobodyWasHarmed();
  });

  it("lose nothing when every replica is gone, and use them again when they are back", async () => {
    await Promise.all(stage.replicas.map((replica) => replica.kill()));
    await readsGoOn();
    await Promise.all(stage.replicas.map((replica) => replica.restart()));
    await Promise.all(stage.replicas.map(isUsed));
    await nobodyWasHarmed();
  });
});
