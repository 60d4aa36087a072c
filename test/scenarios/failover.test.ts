/** Failovers without data loss: earlier writes are read from replicas, and no write is refused. */
import { describe, expect, it } from "vitest";
import { NotPrimaryError, type Tidemark } from "../../src/index.js";
import { decodeToken } from "../../src/session/token.js";
import { listenToRoutes } from "../support/listeners/routes.js";
import { startUsers } from "../support/load/users.js";
import { failOver, follows, replicaOf } from "../support/servers/failover.js";
import { isPrimaryOf, promotionIsNoticed } from "../support/servers/promotion.js";
import { replicasAreEligible } from "../support/stages/eligible-replicas.js";
import { stageGroup } from "../support/stages/staged-group.js";
import { waitUntil } from "../support/wait-until.js";

const stage = stageGroup({ replicas: 2 });
const { open } = stage;

/** Has the primary hand over to the first replica, as an operator asks it to who wants to lose nothing. */
async function handOver(): Promise<void> {
  const heir = replicaOf(stage.group);
  await stage.group.primary.admin().call("FAILOVER", "TO", heir.host, String(heir.port));
  await waitUntil(async () => (await heir.info("replication")).role === "master", {
    what: "the replica is promoted",
  });
  await follows(stage.group.primary, heir);
}

const failovers: readonly [string, () => Promise<unknown>][] = [
  ["FAILOVER TO", handOver],
  ["REPLICAOF NO ONE", () => failOver(stage.group, replicaOf(stage.group))],
];

/** Tokens of users who each wrote their number. */
async function tokensOfUsers(tidemark: Tidemark): Promise<readonly string[]> {
  const sessions = Array.from({ length: 10 }, () => tidemark.session());
  await Promise.all(sessions.map((session, i) => session.redis.set(`user-${i}`, i)));
  await stage.group.caughtUp();
  return sessions.map((session) => session.token());
}

async function readBack(tidemark: Tidemark, tokens: readonly string[]): Promise<unknown[]> {
  return Promise.all(tokens.map((token, i) => tidemark.session({ token }).redis.get(`user-${i}`)));
}

const numbers = Array.from({ length: 10 }, (_, i) => String(i));

// One after the other, because what a busy process knows of its replicas is soon too old.
describe.each(failovers)("tokens from before a %s", (_how, change) => {
  it("let old and new replicas answer, and cause no reads on the primary", async () => {
    const tidemark = await open();
    const tokens = await tokensOfUsers(tidemark);
    const heir = replicaOf(stage.group);
    await change();
    await promotionIsNoticed(tidemark, heir);
    await replicasAreEligible(tidemark);
    const before = await heir.commandCalls("get");
    using routes = listenToRoutes();
    for (let i = 0; i < 5; i++) expect(await readBack(tidemark, tokens)).toEqual(numbers);
    expect(new Set(routes.of("get"))).toEqual(new Set(["replica:known"]));
    expect(await heir.commandCalls("get")).toBe(before);
    expect(stage.lostWrites.heard).toEqual([]);
  });

  it("are understood by a process that never knew the old primary in its role", async () => {
    const tokens = await tokensOfUsers(await open());
    await change();
    const heir = replicaOf(stage.group);
    const replicas = [stage.group.primary, replicaOf(stage.group, 1)].map(({ url }) => url);
    const tidemark = await open({ primary: heir.url, replicas });
    const before = await heir.commandCalls("get");
    expect(await readBack(tidemark, tokens)).toEqual(numbers);
    expect(await heir.commandCalls("get")).toBe(before);
  });

  it("work for reads during the change, at every level", async () => {
    const tidemark = await open();
    const tokens = await tokensOfUsers(tidemark);
    const done = change();
    const levels = ["session", "strong", "eventual", { maxStalenessMs: 5_000 }] as const;
    for (const level of levels) {
      const sessions = tokens.map((token) => tidemark.session({ token, level }));
      const reads = sessions.map((session, i) => session.redis.get(`user-${i}`));
      expect(await Promise.all(reads)).toEqual(numbers);
    }
    await done;
    expect(stage.lostWrites.heard).toEqual([]);
  });
});

describe.concurrent("writes while a primary hands over", () => {
  it("are neither refused nor lost, and no user reads older data", async () => {
    const tidemark = await open();
    const users = startUsers(tidemark, 8);
    const readsGoOn = async (): Promise<void> => {
      const { reads } = users.findings;
      await waitUntil(() => users.findings.reads > reads + 200, { what: "200 more reads" });
    };
    await readsGoOn();
    await handOver();
    await readsGoOn();
    const { stale, errors } = await users.stop();
    expect({ stale, errors }).toEqual({ stale: 0, errors: [] });
    expect(isPrimaryOf(tidemark, replicaOf(stage.group))).toBe(true);
    expect(stage.lostWrites.heard).toEqual([]);
  });

  it("go to the new primary when the old one refuses them, in a session or outside", async () => {
    // Nobody finds the change out but the writes.
    const tidemark = await open({ probeIntervalMs: 20_000, maxStalenessMs: 50_000 });
    await failOver(stage.group, replicaOf(stage.group));
    const session = tidemark.session();
    const writes = [session.redis.set("k", "1"), session.redis.incr("n"), tidemark.redis.set("ambient", "1")];
    expect(await Promise.all(writes)).toEqual(["OK", 1, "OK"]);
    expect(await replicaOf(stage.group).admin().mget("k", "n", "ambient")).toEqual(["1", "1", "1"]);
    expect(decodeToken(session.token())).toMatchObject({ pinnedAt: 0, freshAsOf: 0, positions: [{}] });
    expect(session.writing).toBe(false);
    const write = session.redis.set("k", "2");
    expect(session.writing).toBe(true);
    expect(await session.redis.get("k")).toBe("2");
    await write;
    expect(session.writing).toBe(false);
  });

  it("go to the new primary as a pipeline too, outside any session", async () => {
    const tidemark = await open({ probeIntervalMs: 20_000, maxStalenessMs: 50_000 });
    await failOver(stage.group, replicaOf(stage.group));
    const replies = await tidemark.redis.pipeline().set("k", "1").incr("n").exec();
    expect(replies).toEqual([
      [null, "OK"],
      [null, 1],
    ]);
    expect(await replicaOf(stage.group).admin().mget("k", "n")).toEqual(["1", "1"]);
  });

  it("reject with their own error when no server is the primary", async () => {
    const tidemark = await open();
    await stage.group.primary.replicate(replicaOf(stage.group));
    const writes = [tidemark.session().redis.set("k", "1"), tidemark.redis.set("k", "1")];
    // Both at once: the other one may be rejected while the first is awaited.
    await Promise.all(writes.map((write) => expect(write).rejects.toBeInstanceOf(NotPrimaryError)));
  });
});
