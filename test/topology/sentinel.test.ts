/** The primary and the replicas that Sentinels name are used, and followed from one failover to the next. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { ConnectionLostError, NoPrimaryError, type Tidemark } from "../../src/index.js";
import { type LostWrites, listenToLostWrites } from "../support/listeners/lost-writes.js";
import { listenToRoutes } from "../support/listeners/routes.js";
import { type AnnouncedNode, startAnnouncedNode } from "../support/servers/announced-node.js";
import { isPrimaryOf, promotionIsNoticed } from "../support/servers/promotion.js";
import { quickPeriods, type SentinelGroup, startSentinelGroup } from "../support/servers/sentinel-group.js";
import { listenToTopology } from "../support/servers/topology-changes.js";
import { replicasAreEligible } from "../support/stages/eligible-replicas.js";
import { openWatched } from "../support/stages/watched-tidemark.js";
import { waitUntil } from "../support/wait-until.js";

const levels = ["session", "strong", "eventual", { maxStalenessMs: 5_000 }] as const;

let group: SentinelGroup;
let tidemark: Tidemark;
let lostWrites: LostWrites;
let primary: AnnouncedNode;

beforeAll(async () => {
  group = await startSentinelGroup({ periods: quickPeriods });
});

afterAll(() => group.stop());

beforeEach(async () => {
  await group.ready();
  primary = await group.primary();
  tidemark = openWatched(group);
  await replicasAreEligible(tidemark);
  lostWrites = listenToLostWrites();
});

afterEach(async () => {
  lostWrites[Symbol.dispose]();
  await tidemark.close();
});

function addressesOf(nodes: readonly AnnouncedNode[]): string[] {
  return nodes.map(({ host, port }) => `${host}:${port}`);
}

/** Has Sentinels promote a replica, and resolves with it when the Tidemark knows. */
async function isFailedOver(begin: () => unknown): Promise<AnnouncedNode> {
  const since = performance.now();
  await begin();
  await group.events.first("+switch-master", since);
  const heir = await group.primary();
  await promotionIsNoticed(tidemark, heir);
  return heir;
}

describe("the servers that Sentinels name", () => {
  it("take the writes and answer the reads", async () => {
    const [first, ...others] = tidemark.topology().map(({ address }) => address);
    expect(first).toBe(addressesOf([primary])[0]);
    expect(others.sort()).toEqual(addressesOf(await group.replicas()).sort());
    const session = tidemark.session();
    await session.redis.set("k", "v");
    await group.caughtUp();
    expect(await primary.server.admin().get("k")).toBe("v");
    using routes = listenToRoutes();
    await waitUntil(
      async () => {
        expect(await session.redis.get("k")).toBe("v");
        return routes.of("get").some((route) => route.startsWith("replica"));
      },
      { what: "a replica answers" },
    );
  });

  it("are used by a client made from the Tidemark's, before and after a failover", async () => {
    const portOf = async (): Promise<unknown> => {
      const plain = tidemark.redis.duplicate();
      const [, port] = await plain.config("GET", "port");
      plain.disconnect();
      return Number(port);
    };
    expect(await portOf()).toBe(primary.server.port);
    const heir = await isFailedOver(() => group.failover());
    expect(await portOf()).toBe(heir.server.port);
  });
});

describe("after a failover that lost nothing", () => {
  it("replicas answer by earlier tokens", async () => {
    const session = tidemark.session();
    await session.redis.set("k", "before");
    const token = session.token();
    await group.caughtUp();
    using changes = listenToTopology();
    await isFailedOver(() => group.failover());
    await waitUntil(() => changes.heard.some(({ change }) => change === "role"), {
      what: "the new roles are published",
    });
    expect(changes.heard.find(({ role }) => role === "primary")?.cause).toMatch(/^the Sentinels name it/);
    const { itself, sentinels } = tidemark.stats().failovers;
    expect({ itself, sentinels }).toEqual({ itself: 0, sentinels: 1 });
    await group.ready();
    await replicasAreEligible(tidemark);
    using routes = listenToRoutes();
    for (let i = 0; i < 5; i++) expect(await tidemark.session({ token }).redis.get("k")).toBe("before");
    expect(new Set(routes.of("get"))).toEqual(new Set(["replica:known"]));
    expect(lostWrites.heard).toEqual([]);
  });
});

describe("a primary that only clients can reach", () => {
  it("is neither read from nor written to after its replacement, and its last writer is notified", async () => {
    const [kept, lost] = [tidemark.session(), tidemark.session()];
    await kept.redis.set("kept", "1");
    await group.caughtUp();
    primary.proxy.cut("replicas", "sentinels");
    await lost.redis.set("lost", "1");
    const heir = await isFailedOver(() => {});
    const old = primary.server;
    expect(await old.admin().set("k", "lost")).toBe("OK");
    const calls = async () => Promise.all(["get", "set"].map((name) => old.commandCalls(name)));
    const before = await calls();
    for (let i = 0; i < 20; i++) {
      const session = tidemark.session();
      await Promise.all([session.redis.set("k", i), tidemark.redis.set("other", i)]);
      const read = await Promise.all(levels.map((level) => tidemark.session({ level }).redis.get("k")));
      expect(read).not.toContain("lost");
      expect(await session.redis.get("k")).toBe(String(i));
    }
    expect(await calls()).toEqual(before);
    expect((await old.info("replication")).role).toBe("master");
    expect(isPrimaryOf(tidemark, heir)).toBe(true);
    expect(await Promise.all([kept.redis.get("kept"), lost.redis.get("lost")])).toEqual(["1", null]);
    expect(lostWrites.heard.map(({ session }) => session)).toEqual([lost]);
    primary.proxy.mend();
  });
});

describe("without a primary", () => {
  it("writes fail, replicas answer provable reads, and everything continues with the next primary", async () => {
    const session = tidemark.session();
    await session.redis.set("k", "v");
    const token = session.token();
    await group.caughtUp();
    await replicasAreEligible(tidemark);
    await primary.server.kill();
    await waitUntil(() => !tidemark.topology()[0]?.eligible, { what: "the primary is ineligible" });
    const write = tidemark.session().redis.set("k", "w");
    using routes = listenToRoutes();
    expect(await tidemark.session({ token }).redis.get("k")).toBe("v");
    const [role] = routes.of("get").map((route) => route.split(":")[0]);
    await expect(write).rejects.toBeInstanceOf(NoPrimaryError);
    await expect(tidemark.redis.set("k", "w")).rejects.toThrow(`${primary.host}:${primary.port}`);
    expect(role).toBe("replica");
    const isWritten = async (): Promise<boolean> => (await tidemark.session().redis.set("k", "x")) === "OK";
    await waitUntil(isWritten, { what: "writes succeed again" });
    expect(await (await group.primary()).server.admin().get("k")).toBe("x");
    await primary.server.restart();
  });
});

describe("a primary that is frozen", () => {
  it("is abandoned when Sentinels name another, and its later acknowledgements do not count", async () => {
    const patient = openWatched(group, { redis: { maxRetriesPerRequest: null } });
    await replicasAreEligible(patient);
    try {
      primary.server.pause();
      const strays = [tidemark, patient].map((one) => one.session().redis.set("k", "stray"));
      const areLost = strays.map((stray) => expect(stray).rejects.toBeInstanceOf(ConnectionLostError));
      const isSilent = (): boolean => patient.topology()[0]?.eligible === false;
      await waitUntil(isSilent, { what: "the primary is known to be silent" });
      const write = patient.session().redis.set("waited", "1");
      await waitUntil(() => !isPrimaryOf(tidemark, primary), {
        what: "the Sentinels have named another primary",
        timeoutMs: 20_000,
      });
      await Promise.all(areLost);
      expect(await write).toBe("OK");
      const isWritten = async (): Promise<boolean> => (await tidemark.session().redis.set("k", "x")) === "OK";
      await waitUntil(isWritten, { what: "writes succeed again" });
    } finally {
      primary.server.resume();
    }
    for (let i = 0; i < 20; i++)
      for (const level of levels) expect(await tidemark.session({ level }).redis.get("k")).toBe("x");
    await patient.close();
  });
});

describe("a new primary without a connection when it is named", () => {
  it("is awaited", async () => {
    await tidemark.session().redis.set("k", "v");
    await group.caughtUp();
    const replicas = await group.replicas();
    for (const { proxy } of replicas) proxy.cut("clients");
    await primary.server.kill();
    const isNamed = (): boolean => replicas.some((replica) => isPrimaryOf(tidemark, replica));
    await waitUntil(isNamed, { what: "the Sentinels have named another primary", timeoutMs: 20_000 });
    const reading = tidemark.session().redis.get("k");
    for (const { proxy } of replicas) proxy.mend("clients");
    expect(await reading).toBe("v");
    await primary.server.restart();
  });
});

describe("a replica that joins later", () => {
  it("answers reads", async () => {
    const config = `replicaof ${primary.host} ${primary.port}\n`;
    const late = await startAnnouncedNode({ config });
    try {
      await waitUntil(
        async () => {
          await tidemark.session().redis.get("k");
          return (await late.server.commandCalls("get")) > 0;
        },
        { what: "the late replica answers" },
      );
    } finally {
      await late.stop();
    }
  });
});
