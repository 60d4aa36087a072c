/** Former primaries that still, or again, report that they are primaries. */
import { beforeEach, describe, expect, it } from "vitest";
import type { Tidemark } from "../../src/index.js";
import { TcpProxy } from "../support/proxies/tcp-proxy.js";
import { failOver, follows, replicaOf } from "../support/servers/failover.js";
import { holdReplicas } from "../support/servers/held-replicas.js";
import { isPrimaryOf, promotionIsNoticed } from "../support/servers/promotion.js";
import type { RedisServer } from "../support/servers/redis-server.js";
import { stageGroup } from "../support/stages/staged-group.js";
import { waitUntil } from "../support/wait-until.js";

const stage = stageGroup({ replicas: 2 });
const levels = ["session", "strong", "eventual", { maxStalenessMs: 5_000 }] as const;

let old: RedisServer;
let heir: RedisServer;
let other: RedisServer;

beforeEach(async () => {
  old = stage.group.primary;
  [heir, other] = [replicaOf(stage.group), replicaOf(stage.group, 1)];
  await old.admin().set("k", "v");
  await stage.group.caughtUp();
});

/** Resolves when the server at `port` has reported its state to `tidemark`, which reads meanwhile. */
async function isHeardOf(tidemark: Tidemark, port: number): Promise<void> {
  await waitUntil(
    async () => {
      await tidemark.session().redis.exists("k");
      return tidemark
        .topology()
        .some((node) => node.address.endsWith(`:${port}`) && node.position !== undefined);
    },
    { what: "the old primary's report has arrived" },
  );
}

describe("a primary that could not be reached while another was promoted", () => {
  it("is neither read from nor written to when it is back and claims to be the primary", async () => {
    const front = await TcpProxy.start({ targetPort: old.port });
    stage.owe(front);
    const tidemark = await stage.open({ primary: `redis://${front.host}:${front.port}` });
    front.cut();
    await heir.replicate(undefined);
    await other.replicate(heir);
    await promotionIsNoticed(tidemark, heir);
    await old.admin().set("k", "stray");
    front.mend();
    await isHeardOf(tidemark, front.port);
    const before = await old.commandCalls("set");
    for (let i = 0; i < 20; i++) {
      for (const level of levels) expect(await tidemark.session({ level }).redis.get("k")).toBe("v");
      await tidemark.session().redis.set("n", i);
    }
    expect(await old.commandCalls("set")).toBe(before);
    expect(await heir.admin().get("n")).toBe("19");
  });

  it("replaces no server when it restarts empty and its successor hands over", async () => {
    const tidemark = await stage.open();
    const session = tidemark.session();
    await session.redis.set("own", "v");
    await stage.group.caughtUp();
    await old.kill();
    await heir.replicate(undefined);
    await other.replicate(heir);
    await follows(other, heir);
    await promotionIsNoticed(tidemark, heir);
    await old.restart({ empty: true });
    await isHeardOf(tidemark, old.port);
    await heir.replicate(other);
    await waitUntil(
      async () => {
        await tidemark.session().redis.exists("k");
        return tidemark.topology()[0]?.eligible === false;
      },
      { what: "the loss of the primary is noticed" },
    );
    const read = session.at("strong").get("own");
    await other.replicate(undefined);
    expect(await read).toBe("v");
    expect(isPrimaryOf(tidemark, other)).toBe(true);
    for (let i = 0; i < 20; i++) {
      for (const level of levels) expect(await session.at(level).get("own")).toBe("v");
      await tidemark.redis.set("n", i);
    }
    expect(await other.admin().get("n")).toBe("19");
    expect(await old.admin().dbsize()).toBe(0);
  });

  it("is followed again when its successor becomes its replica", async () => {
    const front = await TcpProxy.start({ targetPort: old.port });
    stage.owe(front);
    const replicas = [heir, other].map(({ url }) => url);
    const tidemark = await stage.open({ primary: `redis://${front.host}:${front.port}`, replicas });
    front.cut();
    await heir.replicate(undefined);
    await other.replicate(heir);
    await promotionIsNoticed(tidemark, heir);
    front.mend();
    await isHeardOf(tidemark, front.port);
    await Promise.all([heir, other].map((server) => server.replicate(old)));
    await waitUntil(
      async () => {
        await tidemark.redis.set("after", "1").catch(() => {});
        return tidemark.topology()[0]?.address.endsWith(`:${front.port}`) ?? false;
      },
      { what: "the old primary is followed", timeoutMs: 5_000 },
    );
    await tidemark.redis.set("after", "2");
    expect(await old.admin().get("after")).toBe("2");
  });
});

describe("a primary that still acknowledges writes after another was promoted", () => {
  it("is written to until it reports that it is a replica, and all these writes are then reported as lost", async () => {
    const tidemark = await stage.open();
    const session = tidemark.session();
    await session.redis.set("own", "kept");
    await stage.group.caughtUp();
    holdReplicas(stage.group);
    await heir.replicate(undefined);
    const bystander = tidemark.session({ token: session.token() });
    for (let i = 0; i < 10; i++) {
      await session.redis.set("own", i);
      expect(await session.redis.get("own")).toBe(String(i));
    }
    expect(isPrimaryOf(tidemark, old)).toBe(true);
    expect(stage.lostWrites.heard).toEqual([]);
    await promotionIsNoticed(tidemark, await failOver(stage.group, heir));
    for (const one of [session, bystander]) expect(await one.redis.get("own")).toBe("kept");
    expect(stage.lostWrites.heard.map((message) => message.session)).toEqual([session]);
  });
});
