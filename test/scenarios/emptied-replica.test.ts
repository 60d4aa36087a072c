/** Replicas that a failed synchronisation has emptied, and that still report their old history. */
import { describe, expect, it } from "vitest";
import { SpoilingProxy } from "../support/proxies/spoiling-proxy.js";
import { TcpProxy } from "../support/proxies/tcp-proxy.js";
import { failOver, replicaOf } from "../support/servers/failover.js";
import { isPrimaryOf, promotionIsNoticed } from "../support/servers/promotion.js";
import { RedisServer } from "../support/servers/redis-server.js";
import { replicasAreEligible } from "../support/stages/eligible-replicas.js";
import { stageGroup } from "../support/stages/staged-group.js";
import { waitUntil } from "../support/wait-until.js";

const stage = stageGroup({ replicas: 2 });

/** Has `server` synchronise from another history with snapshots that it cannot load, again and again. */
async function empty(server: RedisServer): Promise<void> {
  const other = await RedisServer.start();
  const proxy = await SpoilingProxy.start({ targetPort: other.port });
  stage.owe(proxy);
  stage.owe(other);
  // Valkey looks at a snapshot before it flushes anything, unless told to load what arrives at once.
  await server
    .admin()
    .config("SET", "repl-diskless-load", "flush-before-load")
    .catch(() => {});
  await server.replicate(proxy);
  await waitUntil(async () => (await server.admin().dbsize()) === 0, { what: "the replica is emptied" });
}

async function write(): Promise<void> {
  await stage.group.primary.admin().set("k", "v");
  await stage.group.caughtUp();
}

describe("a replica that a failed synchronisation has emptied", () => {
  it("still reports its old history, with the offset of its own backlog", async () => {
    await write();
    const server = replicaOf(stage.group);
    const before = await server.info("replication");
    await empty(server);
    const { master_replid, master_repl_offset, slave_repl_offset } = await server.info("replication");
    expect({ master_replid, slave_repl_offset }).toEqual({
      master_replid: before.master_replid,
      slave_repl_offset: "1",
    });
    expect(Number(master_repl_offset)).toBeGreaterThan(1);
  });

  it('answers no read that is proven by verify "always", before, during or after', async () => {
    await write();
    const tidemark = await stage.open({ verify: "always" });
    const server = replicaOf(stage.group);
    let isEmptied = false;
    const emptied = empty(server).then(() => {
      isEmptied = true;
    });
    for (let more = 100; more > 0; more -= isEmptied ? 1 : 0) {
      expect(await tidemark.session().redis.get("k")).toBe("v");
      expect(await tidemark.session({ level: "eventual" }).redis.get("k")).toBe("v");
    }
    await emptied;
  });

  it("answers no read at any level once Tidemark has asked for its position", async () => {
    await write();
    const tidemark = await stage.open();
    const session = tidemark.session();
    await session.redis.set("own", "v");
    const server = replicaOf(stage.group);
    await empty(server);
    await waitUntil(
      async () => {
        await tidemark.session().redis.exists("k");
        return tidemark.topology().some(({ eligible }) => !eligible);
      },
      { what: "the replica is ineligible" },
    );
    const before = await server.commandCalls("get");
    for (const level of ["session", "eventual", { maxStalenessMs: 5_000 }] as const) {
      for (let i = 0; i < 20; i++) {
        expect(await tidemark.session({ level }).redis.get("k")).toBe("v");
        expect(await tidemark.session({ level, token: session.token() }).redis.get("own")).toBe("v");
      }
    }
    expect(await server.commandCalls("get")).toBe(before);
  });

  it("is not accepted as the primary when it is promoted, and the other replica is", async () => {
    await write();
    const front = await TcpProxy.start({ targetPort: stage.group.primary.port });
    stage.owe(front);
    const [emptied, heir] = [replicaOf(stage.group), replicaOf(stage.group, 1)];
    const tidemark = await stage.open({ primary: `redis://${front.host}:${front.port}` });
    const session = tidemark.session();
    await session.redis.set("own", "v");
    await stage.group.caughtUp();
    await empty(emptied);
    await emptied.replicate(undefined);
    expect(await emptied.info("replication")).toMatchObject({ role: "master", repl_backlog_active: "0" });
    front.cut();
    await heir.replicate(undefined);
    expect(await tidemark.session({ level: "strong" }).redis.get("k")).toBe("v");
    expect(await session.redis.get("own")).toBe("v");
    expect(isPrimaryOf(tidemark, heir)).toBe(true);
    expect(stage.lostWrites.heard).toEqual([]);
  });

  it("proves no write lost: sessions continue on the server that was promoted, and are not notified", async () => {
    await write();
    const tidemark = await stage.open();
    const session = tidemark.session();
    await session.redis.set("own", "v");
    await stage.group.caughtUp();
    const emptied = replicaOf(stage.group);
    await empty(emptied);
    await promotionIsNoticed(tidemark, await failOver(stage.group, emptied));
    await replicasAreEligible(tidemark);
    for (let i = 0; i < 5; i++) expect(await session.redis.get("own")).toBe(null);
    expect(stage.lostWrites.heard).toEqual([]);
  });
});
