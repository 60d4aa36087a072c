/** `tidemark.redis` belongs to the session that began a request's work, wherever that work goes and for each store. */
import { AsyncResource } from "node:async_hooks";
import { once } from "node:events";
import { promisify } from "node:util";
import type { Redis } from "ioredis";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Session, Tidemark } from "../../src/index.js";
import type { Context } from "../../src/session/context.js";
import { echoes } from "../support/http/echo-server.js";
import { holdReplicas, releaseReplicas } from "../support/servers/held-replicas.js";
import { type ReplicationGroup, startReplicationGroup } from "../support/servers/replication-group.js";
import { type Way, ways } from "../support/stages/async-styles.js";
import { endNamespaces } from "../support/stages/cls-namespace.js";
import { contextKinds } from "../support/stages/contexts.js";
import { replicasAreEligible } from "../support/stages/eligible-replicas.js";
import { type GroupOptions, openTidemark } from "../support/stages/open-tidemark.js";
import { ride } from "../support/stages/served-requests.js";
import { waitUntil } from "../support/wait-until.js";

endNamespaces();

const passengers = 25;
const patience = { maxStalenessMs: 50_000 };

let group: ReplicationGroup;

beforeAll(async () => {
  group = await startReplicationGroup({ replicas: 2 });
});

afterAll(() => group?.stop());

describe.each(contextKinds)("In $kind, tidemark.redis", ({ open }) => {
  let context: Context;
  let opened: Tidemark[];

  beforeEach(async () => {
    await group.primary.admin().flushall();
    context = open();
    opened = [];
  });

  afterEach(async () => {
    await Promise.all(opened.map((tidemark) => tidemark.close()));
    await releaseReplicas(group);
  });

  function openUnready(options: GroupOptions = {}): Tidemark {
    const tidemark = openTidemark(group, { ...patience, context, ...options });
    tidemark.redis.on("error", () => {});
    tidemark.redis.defineCommand("put", {
      numberOfKeys: 1,
      lua: "return redis.call('set', KEYS[1], ARGV[1])",
    });
    opened.push(tidemark);
    return tidemark;
  }

  async function openReady(options?: GroupOptions): Promise<Tidemark> {
    const tidemark = openUnready(options);
    await replicasAreEligible(tidemark);
    return tidemark;
  }

  async function goes(tidemark: Tidemark, { looks, travel }: Way): Promise<number> {
    const { redis } = tidemark;
    const journeys = await ride({ tidemark, context, passengers, travel: (one) => travel(redis, one) });
    expect(journeys.map(({ looks, strays }) => ({ looks, strays }))).toEqual(
      Array.from({ length: passengers }, () => ({ looks, strays: 0 })),
    );
    expect(context.get()).toBeUndefined();
    return Math.min(...journeys.map(({ commands }) => commands));
  }

  describe.each(Object.entries(ways))("keeps its session through %s", (_name, way) => {
    it("under normal conditions", async () => {
      expect(await goes(await openReady(), way)).toBeGreaterThanOrEqual(way.commands);
    });

    it("with enableAutoPipelining", async () => {
      const tidemark = await openReady({ redis: { enableAutoPipelining: true } });
      expect(await goes(tidemark, way)).toBeGreaterThanOrEqual(way.commands);
    });

    it("before there is a connection", async () => {
      const tidemark = openUnready({ redis: { lazyConnect: true } });
      expect(await goes(tidemark, way)).toBeGreaterThanOrEqual(way.commands);
    });
  });

  it("is entered only for another session than the current one", () => {
    const entered: (Session | undefined)[] = [];
    const watched: Context = {
      get: () => context.get(),
      run(session, fn) {
        entered.push(session);
        return context.run(session, fn);
      },
    };
    const tidemark = openUnready({ context: watched, redis: { lazyConnect: true } });
    const [outer, inner] = [tidemark.session(), tidemark.session()];
    entered.length = 0;
    const found = tidemark.run(outer, () =>
      tidemark.run(outer, () => [context.get(), tidemark.run(inner, () => context.get()), context.get()]),
    );
    expect(found).toEqual([outer, inner, outer]);
    expect(entered).toEqual([outer, inner]);
  });

  it("keeps its session in reads that wait for a replica", async () => {
    const tidemark = await openReady({ waitMs: 20_000 });
    holdReplicas(group);
    let waiting = 0;
    const riding = goes(tidemark, {
      looks: 2,
      commands: 2,
      async travel(redis, { key, look }) {
        await redis.set(key, key);
        look();
        const read = redis.get(key);
        waiting += 1;
        expect(await read).toBe(key);
        look();
      },
    });
    await waitUntil(() => waiting === passengers, { what: "every read waits" });
    await releaseReplicas(group);
    expect(await riding).toBeGreaterThanOrEqual(2);
  });

  it("keeps its session in reads that are sent again because their replica died", async () => {
    const tidemark = await openReady();
    for (const { server } of group.replicas) server.pause();
    let sent = 0;
    const riding = goes(tidemark, {
      looks: 3,
      commands: 2,
      async travel(redis, { key, look }) {
        const read = redis.get(key);
        const counted = new Promise((resolve) => redis.strlen(key, resolve)).then(look);
        sent += 1;
        await read;
        look();
        await counted;
        look();
      },
    });
    await waitUntil(() => sent === passengers, { what: "every read is in flight" });
    await Promise.all(group.replicas.map(({ server }) => server.kill()));
    // Each was routed twice: to the replica that died, and elsewhere.
    expect(await riding).toBeGreaterThanOrEqual(4);
    await Promise.all(
      group.replicas.map(async ({ server, link }) => {
        await server.restart();
        await server.replicate(link);
      }),
    );
    await group.ready();
  });

  it("keeps its session where many writers wait for one INFO", async () => {
    const tidemark = await openReady();
    const before = await group.primary.commandCalls("info");
    let start = (): void => {};
    const together = new Promise<void>((resolve) => {
      start = resolve;
    });
    let ready = 0;
    const riding = goes(tidemark, {
      looks: 2,
      commands: 1,
      async travel(redis, { key, session, look }) {
        ready += 1;
        await together;
        await redis.set(key, key);
        look();
        expect(session.writing).toBe(false);
        await session.settled();
        look();
      },
    });
    await waitUntil(() => ready === passengers, { what: "all writers are ready" });
    start();
    expect(await riding).toBe(1);
    expect((await group.primary.commandCalls("info")) - before).toBeLessThan(passengers);
  });

  it("has no session in events that no request caused, even if a request opened the connection", async () => {
    const tidemark = openUnready({ redis: { lazyConnect: true } });
    const seen: (readonly [string, Session | undefined])[] = [];
    const note = (event: string): void => void seen.push([event, context.get()]);
    for (const event of ["connect", "ready", "message"]) tidemark.redis.on(event, () => note(event));
    const subscriber = tidemark.session();
    await tidemark.run(subscriber, async () => {
      await tidemark.redis.get("key");
      await tidemark.redis.subscribe("news");
      expect(context.get()).toBe(subscriber);
    });
    await tidemark.run(tidemark.session(), () => tidemark.redis.publish("news", "text"));
    await waitUntil(() => seen.some(([event]) => event === "message"), { what: "the message has arrived" });
    await expect(tidemark.run(subscriber, () => tidemark.redis.quit())).resolves.toBe("OK");
    expect(new Set(seen.map(([event]) => event))).toEqual(new Set(["connect", "ready", "message"]));
    expect(seen.filter(([, session]) => session !== undefined)).toEqual([]);
  });

  it("keeps its session through sockets that requests share, when callbacks are bound", async () => {
    const tidemark = await openReady();
    await using echo = await echoes();
    const socket = await tidemark.run(tidemark.session(), () => echo.connect());
    await goes(tidemark, {
      looks: 1,
      commands: 0,
      async travel(_redis, { look }) {
        await new Promise<void>((resolve) => {
          const heard = AsyncResource.bind(() => {
            look();
            resolve();
          });
          socket.once("data", heard);
          socket.write("?");
        });
      },
    });
    const borrower = tidemark.session();
    const [unbound, awaited] = await tidemark.run(borrower, async () => {
      let owner: Session | undefined;
      const answered = once(socket, "data");
      socket.once("data", () => {
        owner = context.get();
      });
      socket.write("?");
      await answered;
      return [owner, context.get()];
    });
    expect(unbound).not.toBe(borrower);
    expect(awaited).toBe(borrower);
  });

  it("keeps its session with plain clients that requests share", async () => {
    const tidemark = await openReady();
    const pool: Redis[] = [];
    await goes(tidemark, {
      looks: 2,
      commands: 1,
      async travel(redis, { key, look }) {
        await redis.set(key, key);
        const plain = pool.pop() ?? redis.duplicate();
        await plain.get(key);
        look();
        await promisify((done: () => void) => plain.get(key, done))();
        look();
        pool.push(plain);
        await promisify(setImmediate)();
      },
    });
    for (const plain of pool) plain.disconnect();
  });
});
