/** Replicas that are discovered from their primary, join and leave, and are followed when one of them is promoted. */
import { beforeEach, describe, expect, it } from "vitest";
import { type CommonOptions, Tidemark } from "../../src/index.js";
import { failOver, follows, replicaOf } from "../support/servers/failover.js";
import { isPrimaryOf, promotionIsNoticed } from "../support/servers/promotion.js";
import { RedisServer, type RedisServerOptions } from "../support/servers/redis-server.js";
import { stageGroup } from "../support/stages/staged-group.js";
import { waitUntil } from "../support/wait-until.js";

const stage = stageGroup({ replicas: 1 });

let primary: RedisServer;
let replica: RedisServer;

beforeEach(async () => {
  primary = stage.group.primary;
  replica = replicaOf(stage.group);
  await primary.admin().set("k", "v");
  await stage.group.caughtUp();
});

/** A Tidemark that is given nothing but the primary. */
function open(options: Partial<CommonOptions> = {}): Tidemark {
  const tidemark = new Tidemark({ primary: primary.url, ...options });
  stage.owe({ stop: () => tidemark.close() });
  return tidemark;
}

async function start(options: RedisServerOptions): Promise<RedisServer> {
  const server = await RedisServer.start(options);
  stage.owe(server);
  return server;
}

function addressesOf(tidemark: Tidemark): string[] {
  return tidemark.topology().map(({ address }) => address);
}

/** Resolves when `server` answers reads of `tidemark`. */
async function answers(tidemark: Tidemark, server: RedisServer): Promise<void> {
  const before = await server.commandCalls("get");
  await waitUntil(
    async () => {
      expect(await tidemark.session().redis.get("k")).toBe("v");
      return (await server.commandCalls("get")) > before;
    },
    { what: `port ${server.port} answers reads` },
  );
}

/** Resolves when `tidemark`, which reads meanwhile, has or has not a server at `port`. */
async function knows(tidemark: Tidemark, port: number, expected: boolean): Promise<void> {
  await waitUntil(
    async () => {
      await tidemark.session().redis.exists("k");
      return addressesOf(tidemark).some((address) => address.endsWith(`:${port}`)) === expected;
    },
    { what: `port ${port} is ${expected ? "known" : "forgotten"}` },
  );
}

describe("without a list of replicas, a replica", () => {
  it("is discovered from the primary and answers reads", async () => {
    const tidemark = open();
    await answers(tidemark, replica);
    expect(addressesOf(tidemark)).toEqual([primary, replica].map(({ host, port }) => `${host}:${port}`));
  });

  it("is used when it joins later", async () => {
    const tidemark = open();
    await answers(tidemark, replica);
    const late = await start({ replicaOf: primary });
    await answers(tidemark, late);
  });

  it("is dropped when the primary has not listed it for longer than a replica may lag", async () => {
    const tidemark = open({ maxStalenessMs: 300 });
    await answers(tidemark, replica);
    await replica.kill();
    await knows(tidemark, replica.port, false);
    await replica.restart();
    await answers(tidemark, replica);
  });

  it("is kept meanwhile, because it may have the required data although its link is cut", async () => {
    const tidemark = open();
    await answers(tidemark, replica);
    for (const { link } of stage.group.replicas) link.cut();
    const isMissed = async (): Promise<boolean> =>
      (await primary.info("replication")).connected_slaves === "0";
    await waitUntil(isMissed, { what: "the primary no longer names the replica" });
    // The position of a write comes with the primary's word on its replicas.
    await tidemark.session().redis.set("other", "v");
    expect(addressesOf(tidemark)).toContain(`${replica.host}:${replica.port}`);
    const before = await replica.commandCalls("get");
    expect(await tidemark.session({ level: "eventual" }).redis.get("k")).toBe("v");
    expect(await replica.commandCalls("get")).toBe(before + 1);
    for (const { link } of stage.group.replicas) link.mend();
  });

  it("is not read from when it follows another primary", async () => {
    const tidemark = open({ maxStalenessMs: 300 });
    await answers(tidemark, replica);
    const elsewhere = await start({});
    await replica.replicate(elsewhere);
    await follows(replica, elsewhere);
    await waitUntil(
      async () => {
        await tidemark.session().redis.exists("k");
        return tidemark.topology().every(({ role, eligible }) => role === "primary" || !eligible);
      },
      { what: "the replica is ineligible" },
    );
    const before = await replica.commandCalls("get");
    for (let i = 0; i < 20; i++) expect(await tidemark.session().redis.get("k")).toBe("v");
    expect(await replica.commandCalls("get")).toBe(before);
    await knows(tidemark, replica.port, false);
  });

  it("of a replica is discovered from that replica, and answers when it has the required data", async () => {
    const tidemark = open();
    const chained = await start({ replicaOf: replica });
    await answers(tidemark, chained);
    const [link] = stage.group.replicas.map((one) => one.link);
    link?.hold();
    const session = tidemark.session();
    await session.redis.set("k", "new");
    for (let i = 0; i < 20; i++) {
      expect(await tidemark.session({ token: session.token() }).redis.get("k")).toBe("new");
    }
    await link?.release();
    const before = await chained.commandCalls("get");
    await waitUntil(
      async () => {
        expect(await tidemark.session({ token: session.token() }).redis.get("k")).toBe("new");
        return (await chained.commandCalls("get")) > before;
      },
      { what: "the chained replica answers" },
    );
  });
});

describe("a replica that announces another address than its own", () => {
  it.each(["an object", "a function"])(
    "is reached at the address that natMap has for its announced one, %s",
    async (kind) => {
      const announced = { ip: "10.255.255.1", port: "7000" };
      const args = ["--replica-announce-ip", announced.ip, "--replica-announce-port", announced.port];
      const hidden = await start({ replicaOf: primary, args });
      const map = { [`${announced.ip}:${announced.port}`]: { host: hidden.host, port: hidden.port } };
      const natMap = kind === "an object" ? map : (key: string) => map[key] ?? null;
      const tidemark = open({ redis: { natMap } });
      await answers(tidemark, hidden);
      await answers(tidemark, replica);
    },
  );
});

describe("without a list of replicas, a promotion", () => {
  it("is followed through the demoted primary, which names its new primary", async () => {
    const heir = await start({});
    await replica.replicate(undefined);
    const tidemark = open();
    await tidemark.ready();
    await heir.replicate(primary);
    await follows(heir, primary);
    // Nobody has told of the heir so far.
    expect(addressesOf(tidemark)).toHaveLength(1);
    await heir.replicate(undefined);
    await primary.replicate(heir);
    await promotionIsNoticed(tidemark, heir);
    await tidemark.session().redis.set("k", "new");
    expect(await heir.admin().get("k")).toBe("new");
  });

  it("is followed through a replica that has joined and left", async () => {
    const tidemark = open();
    await answers(tidemark, replica);
    await promotionIsNoticed(tidemark, await failOver(stage.group, replica));
    await answers(tidemark, primary);
    await promotionIsNoticed(tidemark, await failOver(stage.group, primary));
    await answers(tidemark, replica);
  });

  it("is followed when the old primary is dead, and the old primary is then neither read from nor written to", async () => {
    const tidemark = open();
    await answers(tidemark, replica);
    await primary.kill();
    await replica.replicate(undefined);
    await promotionIsNoticed(tidemark, replica);
    await primary.restart({ empty: true });
    await primary.admin().set("k", "stray");
    for (let i = 0; i < 50; i++) {
      for (const level of ["session", "strong", "eventual"] as const) {
        expect(await tidemark.session({ level }).redis.get("k")).toBe("v");
      }
      await tidemark.redis.set("n", i);
    }
    expect(isPrimaryOf(tidemark, replica)).toBe(true);
    expect(await primary.admin().dbsize()).toBe(1);
  });
});
