/** A deployment is looked at from outside: its servers, who announced them, and what they say. */
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { InspectedServer } from "../../src/cli/inspection/server.js";
import { inspected } from "../support/cli/inspected.js";
import { RedisServer } from "../support/servers/redis-server.js";
import { type ReplicationGroup, startReplicationGroup } from "../support/servers/replication-group.js";

describe("An inspected group", () => {
  let group: ReplicationGroup;
  beforeAll(async () => {
    group = await startReplicationGroup({ replicas: 2 });
  });
  afterAll(() => group.stop());

  it("has the replicas that the primary announces", async () => {
    const deployment = await inspected([group.primary.url]);
    const [primary] = deployment.primaries;
    if (primary === undefined) throw new Error("there is no primary");
    expect(primary).toMatchObject({ address: `127.0.0.1:${group.primary.port}`, source: "given" });
    expect(new Set(deployment.replicasOf(primary).map(({ address }) => address))).toEqual(
      new Set(group.replicas.map(({ server }) => `127.0.0.1:${server.port}`)),
    );
    expect(deployment.servers).toHaveLength(3);
  });

  it("knows the answers and the settings of each server", async () => {
    const deployment = await inspected([group.primary.url]);
    for (const server of deployment.servers) {
      expect(server.config("repl-timeout")).toEqual({ kind: "value", value: "60" });
      expect(server.roundTripsMs).toMatchObject({ kind: "value" });
      expect(server.answer("user")).toEqual({ kind: "value", value: "default" });
      expect(server.answer("sentinelPrimary").kind).toBe("failed");
    }
  });

  it("says which ACL rule a restricted user lacks", async () => {
    await using server = await RedisServer.start();
    await server
      .admin()
      .call("ACL", "SETUSER", "app", "on", ">hush", "~*", "+@all", "-@dangerous", "-@admin");
    const { servers } = await inspected([`redis://app:hush@127.0.0.1:${server.port}`]);
    expect(servers[0]?.info).toEqual({ kind: "hidden", rule: "+info" });
    expect(servers[0]?.config("save")).toEqual({ kind: "hidden", rule: "+config|get" });
    expect(servers[0]?.role).toBe("primary");
  });

  it("connects once if two callers connect at the same time", async () => {
    const server = new InspectedServer({
      options: { host: "127.0.0.1", port: group.primary.port },
      source: "given",
    });
    onTestFinished(() => server.close());
    const answers = await Promise.all([server.connect(), server.connect()]);
    expect(answers.map(({ kind }) => kind)).toEqual(["value", "value"]);
    expect(await server.ask("PING")).toEqual({ kind: "value", value: "PONG" });
  });

  it("goes on when a server is dead, frozen or refuses the password", async () => {
    await using frozen = await RedisServer.start();
    await using locked = await RedisServer.start({ args: ["--requirepass", "right"] });
    frozen.pause();
    const urls = [`redis://127.0.0.1:1`, frozen.url, `redis://:wr0ng-secret@127.0.0.1:${locked.port}`];
    const deployment = await inspected([group.primary.url, ...urls], { timeoutMs: 300 });
    const said = deployment.servers.slice(1, 4).map(({ connection }) => connection);
    expect(said).toMatchObject([
      { kind: "failed", message: expect.stringContaining("ECONNREFUSED") },
      { kind: "failed", message: "it did not answer PING within 0.3 s" },
      { kind: "failed", message: expect.stringContaining("WRONGPASS") },
    ]);
    expect(deployment.servers.filter(({ connection }) => connection.kind === "value")).toHaveLength(3);
  });
});
