import { describe, expect, test } from "vitest";
import { startReplicationGroup } from "./replication-group.js";

describe("startReplicationGroup()", () => {
  test("starts replicas that receive writes immediately", async () => {
    await using group = await startReplicationGroup({ replicas: 2 });
    const { connected_slaves, slave0, slave1 } = await group.primary.info("replication");
    expect(connected_slaves).toBe("2");
    expect([slave0, slave1]).toEqual([expect.stringContaining("online"), expect.stringContaining("online")]);
    await group.primary.admin().set("k", "v");
    await group.caughtUp();
    for (const { server } of group.replicas) {
      expect(await server.admin().get("k")).toBe("v");
      await expect(server.admin().set("k", "w")).rejects.toThrow("READONLY");
    }
  });

  test("connects each replica through its own link", async () => {
    await using group = await startReplicationGroup({ replicas: 2 });
    const [held, free] = group.replicas;
    held?.link.hold();
    await group.primary.admin().set("k", "v");
    const acknowledged = await group.primary.admin().wait(1, 5_000);
    expect(acknowledged).toBe(1);
    expect(await held?.server.admin().get("k")).toBeNull();
    expect(await free?.server.admin().get("k")).toBe("v");
  });

  test("caughtUp() waits for a replica that is held", async () => {
    await using group = await startReplicationGroup({ replicas: 1 });
    const [replica] = group.replicas;
    replica?.link.hold();
    await group.primary.admin().set("k", "v");
    let isCaughtUp = false;
    const catching = group.caughtUp().then(() => (isCaughtUp = true));
    for (let trips = 0; trips < 200; trips += 1) await replica?.server.admin().ping();
    expect(isCaughtUp).toBe(false);
    await replica?.link.release();
    await catching;
    expect(await replica?.server.admin().get("k")).toBe("v");
  });

  test("applies the given lag and arguments", async () => {
    const args = ["--repl-backlog-size", "2mb"];
    await using group = await startReplicationGroup({ replicas: 1, args, lag: { ms: 60 } });
    for (const server of [group.primary, ...group.replicas.map((replica) => replica.server)]) {
      expect((await server.info("replication")).repl_backlog_size).toBe(String(2 * 1024 * 1024));
    }
    const start = performance.now();
    await group.primary.admin().set("k", "v");
    await group.caughtUp();
    expect(performance.now() - start).toBeGreaterThanOrEqual(59);
  });

  test("consists of the primary only when there are no replicas", async () => {
    await using group = await startReplicationGroup({ replicas: 0 });
    await group.primary.admin().set("k", "v");
    await group.caughtUp();
    expect((await group.primary.info("replication")).connected_slaves).toBe("0");
  });

  test("leaves nothing running when a server does not start", async () => {
    const starting = startReplicationGroup({ replicas: 1, args: ["--no-such-option", "1"] });
    await expect(starting).rejects.toThrow("no-such-option");
  });
});
