/** Blocking commands have a dedicated connection and delay no other command. */
import { describe, expect, it } from "vitest";
import type { Tidemark } from "../../src/index.js";
import { blockedClients } from "../support/servers/blocked-clients.js";
import { holdReplicas } from "../support/servers/held-replicas.js";
import type { ReplicationGroup } from "../support/servers/replication-group.js";
import { stageTidemark } from "../support/stages/staged-tidemark.js";
import { waitUntil } from "../support/wait-until.js";

let group: ReplicationGroup;
let tidemark: Tidemark;

stageTidemark({ replicas: 1 }, (stage) => {
  ({ group, tidemark } = stage);
});

/** Kills the connections of all clients but the one that asks. */
async function killOthers(): Promise<void> {
  await group.primary.admin().call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
}

describe("A command that blocks", () => {
  it("delays no other command, in a session or outside", async () => {
    const waits = [
      tidemark.session().redis.blpop("queue", 0),
      tidemark.redis.brpop("queue", 0),
      tidemark.session().redis.xread("BLOCK", 0, "STREAMS", "stream", "$"),
    ];
    await waitUntil(async () => (await blockedClients(group.primary)) === 3, {
      what: "all three commands block",
    });
    const { redis } = tidemark.session();
    await redis.set("k", "1");
    expect(await redis.get("k")).toBe("1");
    await redis.rpush("queue", "a", "b");
    await redis.xadd("stream", "1-1", "f", "v");
    expect((await Promise.all(waits)).map(String).sort()).toEqual(["queue,a", "queue,b", "stream,1-1,f,v"]);
  });

  it("counts as a write: later reads of its session see its effects despite any lag", async () => {
    const session = tidemark.session();
    await session.redis.rpush("from", "job");
    await group.caughtUp();
    holdReplicas(group);
    expect(await session.redis.blmove("from", "to", "LEFT", "RIGHT", 0)).toBe("job");
    expect(session.token()).not.toBe("");
    const next = tidemark.session({ token: session.token() });
    expect([await next.redis.llen("from"), await next.redis.lrange("to", 0, -1)]).toEqual([0, ["job"]]);
  });

  it("works in a pipeline, which then has the connection to itself", async () => {
    const { redis } = tidemark.session();
    const results = redis.pipeline().set("k", "1").blpop("queue", 0).get("k").exec();
    await waitUntil(async () => (await blockedClients(group.primary)) === 1, { what: "the pipeline blocks" });
    expect(await tidemark.redis.get("k")).toBe("1");
    await tidemark.redis.rpush("queue", "a");
    expect(await results).toEqual([
      [null, "OK"],
      [null, ["queue", "a"]],
      [null, "1"],
    ]);
  });

  it("does not block inside MULTI, as in Redis", async () => {
    const results = await tidemark.session().redis.multi().blpop("queue", 0).set("k", "1").exec();
    expect(results).toEqual([
      [null, null],
      [null, "OK"],
    ]);
  });

  it("reuses a released connection, and leaves none open for long", async () => {
    const { redis } = tidemark.session();
    await redis.rpush("queue", "a", "b", "c");
    const before = Number((await group.primary.info("clients")).connected_clients);
    for (const job of ["a", "b", "c"]) expect(await redis.blpop("queue", 0)).toEqual(["queue", job]);
    expect(Number((await group.primary.info("clients")).connected_clients)).toBe(before + 1);
    await tidemark.close();
    await waitUntil(async () => Number((await group.primary.info("clients")).connected_clients) < before, {
      what: "all connections are closed",
    });
  });

  it("is rejected when the Tidemark or its connection is closed", async () => {
    const killed = tidemark.session();
    const wait = killed.redis.blpop("queue", 0);
    await waitUntil(async () => (await blockedClients(group.primary)) === 1, { what: "the command blocks" });
    await Promise.all([expect(wait).rejects.toThrow(/BLPOP: the connection to .* closed/), killOthers()]);
    expect(killed.pinned).toBe(true);
    const second = tidemark.session().redis.blpop("queue", 0);
    await waitUntil(async () => (await blockedClients(group.primary)) === 1, {
      what: "the second command blocks",
    });
    await Promise.all([expect(second).rejects.toThrow(/closed/), tidemark.close()]);
  });
});
