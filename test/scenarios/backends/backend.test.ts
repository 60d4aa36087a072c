/** The behaviour of servers that the tests in this folder rely on, for every backend. */
import { Redis } from "ioredis";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import {
  type BackendServer,
  describeOnServers,
  type ServerGroup,
  startServers,
} from "../../support/servers/backend.js";
import { hasValue, isLinked } from "../../support/stages/server-stage.js";
import { waitUntil } from "../../support/wait-until.js";

describeOnServers("a server of a group", () => {
  let group: ServerGroup;
  let replica: BackendServer;

  beforeAll(async () => {
    group = await startServers({ replicas: 1 });
    const [first] = group.replicas;
    if (first === undefined) throw new Error("the group has no replica");
    replica = first;
  });

  afterAll(() => group?.stop());

  beforeEach(async () => {
    await group.primary.admin().set("k", "old");
    await hasValue(replica, "k", "old");
  });

  function get(): Promise<string | null> {
    return replica.admin().get("k");
  }

  it("answers nothing while it is frozen, and everything afterwards", async () => {
    await replica.pause();
    let isAnswered = false;
    const answer = get().finally(() => {
      isAnswered = true;
    });
    for (let trips = 0; trips < 200; trips++) await group.primary.admin().ping();
    expect(isAnswered).toBe(false);
    await replica.resume();
    expect(await answer).toBe("old");
  });

  it("receives no writes while disconnected from servers, does not notice, and receives them later", async () => {
    // Else it would conclude so by itself on a slow day.
    await replica.admin().config("SET", "repl-timeout", 600);
    await replica.disconnect("servers");
    await group.primary.admin().set("k", "new");
    for (let trips = 0; trips < 200; trips++) await group.primary.admin().ping();
    expect(await get()).toBe("old");
    expect((await replica.info("replication")).master_link_status).toBe("up");
    await replica.connect();
    await hasValue(replica, "k", "new");
    await replica.admin().config("SET", "repl-timeout", 3);
  });

  it("loses its clients when it is disconnected from everyone, and can be reached again later", async () => {
    const client = new Redis({ host: replica.host, port: replica.port, retryStrategy: null });
    client.on("error", () => {});
    await client.ping();
    await replica.disconnect("everyone");
    await waitUntil(() => client.status === "end", { what: "the client has lost its connection" });
    await expect(client.connect()).rejects.toThrow();
    await replica.connect();
    await waitUntil(async () => (await get()) === "old", { what: "the server is reachable" });
    client.disconnect();
  });

  it("restarts in its role with its data, or empty on request", async () => {
    await replica.disconnect("servers");
    await replica.restart();
    expect(await get()).toBe("old");
    expect((await replica.info("replication")).role).toBe("slave");
    await replica.restart({ empty: true });
    expect(await get()).toBeNull();
    await replica.restart();
    await replica.kill();
    await replica.restart();
    expect(await get()).toBeNull();
    expect((await replica.info("replication")).role).toBe("slave");
    await replica.connect();
    await hasValue(replica, "k", "old");
  });

  it("keeps its data over one restart only", async () => {
    await replica.restart();
    await replica.disconnect("servers");
    await replica.kill();
    await replica.restart();
    expect(await get()).toBeNull();
    await replica.connect();
    await hasValue(replica, "k", "old");
  });

  it("stays the primary after a promotion and a restart, and its former primary stays its replica", async () => {
    await replica.replicate(undefined);
    await group.primary.replicate(replica);
    await isLinked(group.primary);
    await Promise.all([replica.restart(), group.primary.restart()]);
    await isLinked(group.primary);
    await replica.admin().set("k", "new");
    await hasValue(group.primary, "k", "new");
    await group.primary.replicate(undefined);
    await replica.replicate(group.primary);
    await isLinked(replica);
  });
});
