/** Acknowledged writes that a failover has lost: which sessions are notified, and how often. */
import { beforeEach, describe, expect, it } from "vitest";
import { LostWriteError, type Session, type Tidemark } from "../../src/index.js";
import { decodeToken } from "../../src/session/token.js";
import { listenToReads } from "../support/listeners/read-messages.js";
import { listenToRoutes } from "../support/listeners/routes.js";
import { failOver, replicaOf } from "../support/servers/failover.js";
import { holdReplicas } from "../support/servers/held-replicas.js";
import { promotionIsNoticed } from "../support/servers/promotion.js";
import type { RedisServer } from "../support/servers/redis-server.js";
import type { ReplicationGroup } from "../support/servers/replication-group.js";
import { replicasAreEligible } from "../support/stages/eligible-replicas.js";
import { stageGroup } from "../support/stages/staged-group.js";
import { waitUntil } from "../support/wait-until.js";

const stage = stageGroup({ replicas: 2 });
const { open } = stage;

let group: ReplicationGroup;

beforeEach(() => {
  group = stage.group;
});

/** A session with a write that no replica will ever get, beside one that all have. */
async function sessionToLose(tidemark: Tidemark): Promise<Session> {
  const session = tidemark.session();
  await session.redis.set("k", "kept");
  await group.caughtUp();
  holdReplicas(group);
  await session.redis.set("k", "lost");
  return session;
}

/** Makes the first replica the primary, and resolves when `tidemarks` have noticed. */
async function promote(...tidemarks: readonly Tidemark[]): Promise<RedisServer> {
  const promoted = await failOver(group, replicaOf(group));
  await Promise.all(tidemarks.map((tidemark) => promotionIsNoticed(tidemark, promoted)));
  return promoted;
}

async function offset(server: RedisServer, field: string): Promise<number> {
  return Number((await server.info("replication"))[field]);
}

describe("a session that lost a write in a failover", () => {
  it("is notified when it reads, with the lost and the surviving position", async () => {
    const tidemark = await open();
    const session = await sessionToLose(tidemark);
    const position = decodeToken(session.token())?.positions[0];
    const promoted = await promote(tidemark);
    expect(await session.redis.get("k")).toBe("kept");
    const survivor = { replid: position?.replid, offset: (await offset(promoted, "second_repl_offset")) - 1 };
    const gap = (position?.offset ?? 0) - survivor.offset;
    const primary = `${promoted.host}:${promoted.port}`;
    expect(stage.lostWrites.heard).toEqual([{ tidemark, session, position, survivor, gap, primary }]);
    expect(tidemark.lostWrites).toBe(1);
    for (let i = 0; i < 5; i++) expect(await session.redis.get("k")).toBe("kept");
    expect(tidemark.lostWrites).toBe(1);
  });

  it('rejects one read with onLostWrite "error", and then reads from replicas', async () => {
    const tidemark = await open({ onLostWrite: "error" });
    const session = await sessionToLose(tidemark);
    await promote(tidemark);
    using reads = listenToReads();
    await expect(session.redis.get("k")).rejects.toBeInstanceOf(LostWriteError);
    expect(reads.heard).toMatchObject([{ session, command: "get", error: expect.any(LostWriteError) }]);
    expect(await session.redis.get("k")).toBe("kept");
    await replicasAreEligible(tidemark);
    using routes = listenToRoutes();
    await waitUntil(
      async () => {
        expect(await session.redis.get("k")).toBe("kept");
        return routes.of("get").at(-1)?.startsWith("replica:") === true;
      },
      { what: "a replica answers" },
    );
    expect(tidemark.lostWrites).toBe(1);
  });

  it("is notified once, and its next token is good everywhere", async () => {
    const [tidemark, other] = await Promise.all([open(), open()]);
    const session = await sessionToLose(tidemark);
    const before = session.token();
    await promote(tidemark, other);
    await session.redis.get("k");
    expect(await other.session({ token: session.token() }).redis.get("k")).toBe("kept");
    expect(other.lostWrites).toBe(0);
    expect(await other.session({ token: before }).redis.get("k")).toBe("kept");
    expect(other.lostWrites).toBe(1);
  });

  it.each<[string, (session: Session) => Promise<unknown>]>([
    ["a strong read", (session) => session.at("strong").get("k")],
    ["a bounded read", (session) => session.at({ maxStalenessMs: 5_000 }).get("k")],
    ["a read at level eventual", (session) => session.at("eventual").get("k")],
    ["a scan", (session) => session.redis.scan(0)],
    ["a lookup command", (session) => session.redis.config("GET", "save")],
  ])('rejects %s with onLostWrite "error"', async (_what, read) => {
    const tidemark = await open({ onLostWrite: "error" });
    const session = await sessionToLose(tidemark);
    await promote(tidemark);
    await expect(read(session)).rejects.toBeInstanceOf(LostWriteError);
    await read(session);
    expect(stage.lostWrites.heard).toHaveLength(1);
  });

  it('rejects every read of a pipeline with onLostWrite "error", and none of the next', async () => {
    const tidemark = await open({ onLostWrite: "error" });
    const session = await sessionToLose(tidemark);
    await promote(tidemark);
    const pipeline = (): Promise<unknown> => session.redis.pipeline().get("k").exists("k").exec();
    expect(await pipeline()).toEqual([[expect.any(LostWriteError)], [expect.any(LostWriteError)]]);
    expect(await pipeline()).toEqual([
      [null, "kept"],
      [null, 1],
    ]);
    expect(tidemark.lostWrites).toBe(1);
  });

  it("is notified by the read that discovers the promotion", async () => {
    const tidemark = await open({ onLostWrite: "error" });
    const session = await sessionToLose(tidemark);
    const promoted = replicaOf(group);
    await promoted.replicate(undefined);
    // The old primary keeps what it has, because nothing of the new one's reaches it.
    for (const { link } of group.replicas) link.retarget(promoted.port);
    await group.primary.replicate(group.replicas[0]?.link);
    const read = (): Promise<unknown> =>
      session
        .at("strong")
        .get("k")
        .catch((error: unknown) => error);
    let answer = await read();
    // Without a pause, in which the promotion could be found out while no read is on its way.
    while (answer === "lost") answer = await read();
    expect(answer).toBeInstanceOf(LostWriteError);
    expect(tidemark.topology()[0]?.address).toBe(`${promoted.host}:${promoted.port}`);
  });

  it("is notified when its read was waiting for a replica meanwhile", async () => {
    const tidemark = await open({ waitMs: 60_000 });
    const session = await sessionToLose(tidemark);
    await session.at("strong").get("k");
    const read = session.redis.get("k");
    await promote(tidemark);
    await waitUntil(() => tidemark.lostWrites === 1, { what: "the loss is reported" });
    expect(await read).toBe("kept");
  });
});

describe("a token from before a failover that is sent repeatedly", () => {
  it("causes one report, and the loss of another session is still reported", async () => {
    const tidemark = await open();
    const [token, later] = [(await sessionToLose(tidemark)).token(), tidemark.session()];
    await later.redis.set("other", "lost");
    await promote(tidemark);
    for (let i = 0; i < 100; i++) {
      const session = tidemark.session({ token });
      // Also where the session writes first.
      if (i % 2 === 1) await session.redis.set("own", i);
      expect(await session.redis.get("k")).toBe("kept");
    }
    expect(tidemark.lostWrites).toBe(1);
    expect(stage.lostWrites.heard).toHaveLength(1);
    const other = later.token();
    for (let i = 0; i < 10; i++) await tidemark.session({ token: other }).redis.get("k");
    expect(tidemark.lostWrites).toBe(2);
    expect(stage.lostWrites.heard).toHaveLength(2);
  });

  it('rejects the first read of each session with onLostWrite "error"', async () => {
    const tidemark = await open({ onLostWrite: "error" });
    const token = (await sessionToLose(tidemark)).token();
    await promote(tidemark);
    for (let i = 0; i < 5; i++) {
      const session = tidemark.session({ token });
      await expect(session.redis.get("k")).rejects.toBeInstanceOf(LostWriteError);
      expect(await session.redis.get("k")).toBe("kept");
    }
    expect(tidemark.lostWrites).toBe(1);
  });

  it("does not hide the loss of sessions that wrote in the same turn", async () => {
    const tidemark = await open();
    const sessions = [await sessionToLose(tidemark), tidemark.session()];
    await Promise.all(sessions.map(({ redis }) => redis.set("k", "lost")));
    await promote(tidemark);
    for (const { redis } of sessions) expect(await redis.get("k")).toBe("kept");
    expect(stage.lostWrites.heard.map(({ session }) => session)).toEqual(sessions);
  });
});

describe("a session that has provably lost no write", () => {
  it("is never notified, even if it had read a lost write", async () => {
    const tidemark = await open();
    const session = tidemark.session();
    await session.redis.set("k", "kept");
    await group.caughtUp();
    holdReplicas(group);
    await tidemark.session().redis.set("other", "lost");
    expect(await session.at("strong").get("other")).toBe("lost");
    expect(await session.redis.mget("k", "other")).toEqual(["kept", "lost"]);
    await promote(tidemark);
    for (let i = 0; i < 5; i++) expect(await session.redis.mget("k", "other")).toEqual(["kept", null]);
    expect(await tidemark.session({ token: session.token() }).redis.get("k")).toBe("kept");
    expect(stage.lostWrites.heard).toEqual([]);
  });

  it("is distinguished from a session that has, over two failovers", async () => {
    const tidemark = await open();
    const kept = tidemark.session();
    await kept.redis.set("kept", "1");
    const loser = await sessionToLose(tidemark);
    await promote(tidemark);
    await promotionIsNoticed(tidemark, await failOver(group, replicaOf(group, 1)));
    await replicasAreEligible(tidemark);
    using routes = listenToRoutes();
    expect(await kept.redis.get("kept")).toBe("1");
    expect(routes.of("get")).toEqual(["replica:known"]);
    expect(await loser.redis.get("k")).toBe("kept");
    expect(stage.lostWrites.heard.map(({ session }) => session)).toEqual([loser]);
  });

  it("with an unknown history reads from the primary first, and then from replicas", async () => {
    const before = await open();
    const token = (await sessionToLose(before)).token();
    await failOver(group, replicaOf(group));
    await failOver(group, replicaOf(group, 1));
    const tidemark = await open();
    await replicasAreEligible(tidemark);
    using routes = listenToRoutes();
    const session = tidemark.session({ token });
    expect(await session.redis.get("k")).toBe("kept");
    expect(routes.of("get").at(-1)).toMatch(/^primary:/);
    await waitUntil(
      async () => {
        expect(await session.redis.get("k")).toBe("kept");
        return routes.of("get").at(-1)?.startsWith("replica:") === true;
      },
      { what: "a replica answers" },
    );
    expect(session.token()).not.toBe(token);
    expect(stage.lostWrites.heard).toEqual([]);
  });

  it("is not notified when only the anchor of its unknown history is lost", async () => {
    const before = await open();
    const token = (await sessionToLose(before)).token();
    await failOver(group, replicaOf(group));
    await failOver(group, group.primary);
    await Promise.all(group.replicas.map(({ server, link }) => server.replicate(link)));
    await Promise.all(group.replicas.map(({ link }) => link.release()));
    await group.ready();
    const tidemark = await open();
    const session = tidemark.session({ token });
    await session.redis.set("own", "kept");
    await group.caughtUp();
    holdReplicas(group);
    await tidemark.redis.set("other", "lost");
    await waitUntil(
      async () => {
        await session.redis.get("k");
        return decodeToken(session.token())?.positions.some(({ read }) => read) ?? false;
      },
      { what: "the session is anchored in the new history" },
    );
    const carried = tidemark.session({ token: session.token() });
    await promote(tidemark);
    expect(await session.redis.get("own")).toBe("kept");
    expect(await carried.redis.get("own")).toBe("kept");
    expect(stage.lostWrites.heard).toEqual([]);
  });
});
