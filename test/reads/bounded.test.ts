/** Reads with a staleness bound, compared with the times of the writes. */
import { afterEach, describe, expect, it } from "vitest";
import type { Tidemark } from "../../src/index.js";
import { listenToRoutes } from "../support/listeners/routes.js";
import { StampedWrites } from "../support/load/stamped-writes.js";
import { fickleLag } from "../support/proxies/fickle-lag.js";
import { TcpProxy } from "../support/proxies/tcp-proxy.js";
import type { AnnouncedNode } from "../support/servers/announced-node.js";
import { replicaOf } from "../support/servers/failover.js";
import type { RedisServer } from "../support/servers/redis-server.js";
import { quickPeriods, type SentinelGroup, startSentinelGroup } from "../support/servers/sentinel-group.js";
import { replicasAreEligible } from "../support/stages/eligible-replicas.js";
import { stageGroup } from "../support/stages/staged-group.js";
import { openWatched } from "../support/stages/watched-tidemark.js";
import { waitUntil } from "../support/wait-until.js";

const bounded = { maxStalenessMs: 300 };

/** Where a bounded read of a new session is answered, once it is. */
async function routeOf(tidemark: Tidemark): Promise<string | undefined> {
  using routes = listenToRoutes();
  await tidemark.session({ level: bounded }).redis.get("k");
  return routes.of("get").at(-1);
}

function historyOf(tidemark: Tidemark, { port }: AnnouncedNode): string | undefined {
  return tidemark.topology().find(({ address }) => address.endsWith(`:${port}`))?.position?.replid;
}

/** Resolves when `tidemark`, which reads meanwhile, has heard from `node` that it has left the history `before`. */
async function claimIsHeard(tidemark: Tidemark, node: AnnouncedNode, before?: string): Promise<void> {
  await waitUntil(
    async () => {
      await tidemark.session({ level: bounded }).redis.get("k");
      return ![undefined, before].includes(historyOf(tidemark, node));
    },
    { what: "the other server's claim is known" },
  );
}

async function isAnsweredBy(tidemark: Tidemark, role: "primary" | "replica"): Promise<void> {
  await waitUntil(async () => (await routeOf(tidemark))?.startsWith(role) === true, {
    what: `a ${role} answers`,
  });
}

/** Resolves when `rival` has been heard to be a primary, and nothing is young enough that was proven before. */
async function isHeardOf(tidemark: Tidemark, rival: RedisServer): Promise<void> {
  let inARow = 0;
  await waitUntil(
    async () => {
      inARow = (await routeOf(tidemark))?.startsWith("primary") === true ? inARow + 1 : 0;
      const [primary, ...others] = tidemark.topology();
      const heard = others.find(({ address }) => address.endsWith(`:${rival.port}`))?.position?.replid;
      return inARow >= 20 && heard !== undefined && heard !== primary?.position?.replid;
    },
    { what: "the other server is known to be a primary" },
  );
}

describe("a read with a bound", () => {
  const stage = stageGroup({ replicas: 2 });

  it.each([40, 150, 600])("of %i ms never returns older data, whatever the lag", async (maxStalenessMs) => {
    const tidemark = await stage.open();
    await using writes = await StampedWrites.to(stage.group.primary.url);
    await stage.group.caughtUp();
    const links = stage.group.replicas.map(({ link }) => link);
    await using _lag = fickleLag(links, { upToMs: 2 * maxStalenessMs, everyMs: maxStalenessMs, held: 0.3 });
    const staleMs: number[] = [];
    let [onReplicas, tooOld] = [0, 0];
    using routes = listenToRoutes();
    await waitUntil(
      async () => {
        routes.clear();
        const sentAt = performance.now();
        const value = await tidemark.session({ level: { maxStalenessMs } }).redis.get(writes.key);
        staleMs.push(writes.staleness(value, sentAt));
        if (routes.of("get").at(-1)?.startsWith("replica") === true) onReplicas += 1;
        const directAt = performance.now();
        const direct = await replicaOf(stage.group).admin().get(writes.key);
        if (writes.staleness(direct, directAt) > maxStalenessMs) tooOld += 1;
        return onReplicas >= 300 && tooOld >= 100;
      },
      { what: "replicas have both answered and been too old often enough", timeoutMs: 25_000 },
    );
    expect(Math.max(...staleMs)).toBeLessThanOrEqual(maxStalenessMs);
  });

  it("is answered by no replica of the old history after another server was promoted and took writes", async () => {
    const tidemark = await stage.open();
    await isAnsweredBy(tidemark, "replica");
    const rival = replicaOf(stage.group);
    await rival.replicate(undefined);
    await rival.admin().set("k", "missed");
    await isHeardOf(tidemark, rival);
    for (let i = 0; i < 50; i++) {
      await stage.group.primary.admin().set("other", i);
      expect(await routeOf(tidemark)).toMatch(/^primary:/);
    }
    await rival.kill();
    expect(await routeOf(tidemark)).toMatch(/^primary:/);
    expect(tidemark.topology().map(({ role, reason }) => `${role}: ${reason}`)).toContain(
      "replica: undefined",
    );
    await rival.restart();
  });

  it("is answered by replicas again when the other server follows the primary again", async () => {
    const tidemark = await stage.open();
    const rival = replicaOf(stage.group);
    await rival.replicate(undefined);
    await isAnsweredBy(tidemark, "primary");
    await rival.replicate(stage.group.primary);
    await isAnsweredBy(tidemark, "replica");
  });
});

describe("an isolated old primary that Sentinels have replaced", () => {
  let group: SentinelGroup;
  let tidemark: Tidemark | undefined;
  let doors: TcpProxy[] = [];

  afterEach(async () => {
    await tidemark?.close();
    await Promise.all(doors.map((door) => door.stop()));
    await group.stop();
  });

  /** Leaves the primary one replica and nobody else, and resolves with the one that takes its place. */
  async function replaced(): Promise<AnnouncedNode> {
    const old = await group.primary();
    const [heir, kept] = await group.replicas();
    if (heir === undefined || kept === undefined) throw new Error("there are too few replicas");
    const since = performance.now();
    kept.proxy.cut("sentinels");
    old.proxy.cut("sentinels", heir.server.port, heir.port);
    await group.events.first("+switch-master", since);
    return heir;
  }

  it.each([true, false])(
    "never makes a replica look fresh, whether or not Sentinels can report it: %s",
    async (canTell) => {
      group = await startSentinelGroup({ periods: quickPeriods });
      doors = await Promise.all(group.sentinels.map(({ port }) => TcpProxy.start({ targetPort: port })));
      tidemark = openWatched(group, { sentinels: doors.map(({ host, port }) => ({ host, port })) });
      await replicasAreEligible(tidemark);
      if (!canTell) for (const door of doors) door.cut();
      const before = historyOf(tidemark, await group.primary());
      const heir = await replaced();
      await using writes = await StampedWrites.to(`redis://${heir.host}:${heir.port}`);
      await claimIsHeard(tidemark, heir, before);
      for (let i = 0; i < 200; i++) {
        const sentAt = performance.now();
        using routes = listenToRoutes();
        const value = await tidemark.session({ level: bounded }).redis.get(writes.key);
        const isOld = value === null || writes.staleness(value, sentAt) > bounded.maxStalenessMs;
        if (isOld) expect(routes.of("get").at(-1)).toMatch(/^primary:/);
      }
    },
  );
});
