/** Replicas that get another primary: their offsets keep growing, in another history or in the same one. */
import { describe, expect, it } from "vitest";
import { LostWriteError, type Tidemark } from "../../src/index.js";
import { listenToRoutes } from "../support/listeners/routes.js";
import { failOver, follows, replicaOf } from "../support/servers/failover.js";
import { holdReplicas } from "../support/servers/held-replicas.js";
import { promotionIsNoticed } from "../support/servers/promotion.js";
import { RedisServer } from "../support/servers/redis-server.js";
import { stageGroup } from "../support/stages/staged-group.js";
import { waitUntil } from "../support/wait-until.js";

const stage = stageGroup({ replicas: 2 });

async function offsetOf(server: RedisServer, field: string): Promise<number> {
  return Number((await server.info("replication"))[field]);
}

/** Resolves when `tidemark`, which reads meanwhile, knows that the replica is out, or that it is not. */
async function isEligible(tidemark: Tidemark, server: RedisServer, expected: boolean): Promise<void> {
  await waitUntil(
    async () => {
      await tidemark.session().redis.exists("k");
      const status = tidemark.topology().find(({ address }) => address.endsWith(`:${server.port}`));
      return status?.eligible === expected;
    },
    { what: `port ${server.port} is ${expected ? "eligible" : "ineligible"}` },
  );
}

describe("a replica that was ahead of the promoted one", () => {
  it("proves nothing by its offset after it has gone back and grown past a lost write", async () => {
    const { group } = stage;
    const [heir, ahead] = [replicaOf(group), replicaOf(group, 1)];
    const tidemark = await stage.open({ onLostWrite: "error" });
    const session = tidemark.session();
    await session.redis.set("k", "kept");
    await group.caughtUp();
    holdReplicas(group, 0);
    await session.redis.set("k", "lost");
    await waitUntil(async () => (await ahead.admin().get("k")) === "lost", {
      what: "one replica has the write that will be lost",
    });
    const lostAt = await offsetOf(group.primary, "master_repl_offset");
    await failOver(group, heir);
    await waitUntil(
      async () => {
        await heir.admin().set("filler", "x".repeat(100));
        return (await offsetOf(ahead, "slave_repl_offset")) > lostAt;
      },
      { what: "the replica is past the lost write's offset" },
    );
    await promotionIsNoticed(tidemark, heir);
    await isEligible(tidemark, ahead, true);
    expect(await ahead.admin().get("k")).toBe("kept");
    await expect(session.redis.get("k")).rejects.toBeInstanceOf(LostWriteError);
    expect(await session.redis.get("k")).toBe("kept");
  });
});

describe("a replica that follows another group", () => {
  it("answers no read, however large its offset is", async () => {
    const { group } = stage;
    const stray = replicaOf(group);
    const elsewhere = await RedisServer.start();
    stage.owe(elsewhere);
    const guest = await RedisServer.start({ replicaOf: elsewhere });
    stage.owe(guest);
    await follows(guest, elsewhere);
    await elsewhere.admin().set("k", "x".repeat(100_000));
    const [tidemark, always] = await Promise.all([stage.open(), stage.open({ verify: "always" })]);
    const session = tidemark.session();
    await session.redis.set("k", "v");
    await group.caughtUp();
    await stray.replicate(elsewhere);
    const isStray = follows(stray, elsewhere).then(() => true);
    let arrived = false;
    isStray.then(() => {
      arrived = true;
    });
    for (let more = 50; more > 0; more -= arrived ? 1 : 0) {
      expect(await always.session({ token: session.token() }).redis.get("k")).toBe("v");
      expect(await always.session({ level: "eventual" }).redis.get("k")).toBe("v");
    }
    expect(await offsetOf(stray, "slave_repl_offset")).toBeGreaterThan(
      await offsetOf(group.primary, "master_repl_offset"),
    );
    await isEligible(tidemark, stray, false);
    const before = await stray.commandCalls("get");
    for (const level of ["session", "eventual", { maxStalenessMs: 5_000 }] as const) {
      for (let i = 0; i < 20; i++) {
        expect(await tidemark.session({ level, token: session.token() }).redis.get("k")).toBe("v");
      }
    }
    expect(await stray.commandCalls("get")).toBe(before);
  });
});

describe("a replica that follows another replica", () => {
  it("answers once it has the required data, and not before", async () => {
    const { group } = stage;
    const [chained, middle] = [replicaOf(group), replicaOf(group, 1)];
    const tidemark = await stage.open({ replicas: [chained.url] });
    await chained.replicate(middle);
    await follows(chained, middle);
    await isEligible(tidemark, chained, true);
    holdReplicas(group, 1);
    const session = tidemark.session();
    await session.redis.set("k", "v");
    for (let i = 0; i < 20; i++) {
      expect(await tidemark.session({ token: session.token() }).redis.get("k")).toBe("v");
    }
    await group.replicas[1]?.link.release();
    using routes = listenToRoutes();
    await waitUntil(
      async () => {
        expect(await tidemark.session({ token: session.token() }).redis.get("k")).toBe("v");
        return routes.of("get").at(-1) === "replica:known";
      },
      { what: "the chained replica answers" },
    );
  });
});
