/** Wherever a request's work goes, `tidemark.redis` is of the session that began it, whichever store tells. */
import { AsyncLocalStorage, AsyncResource } from "node:async_hooks";
import { EventEmitter, once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { PassThrough } from "node:stream";
import { pipeline } from "node:stream/promises";
import { inspect, promisify } from "node:util";
import { createNamespace } from "cls-hooked";
import type { Redis } from "ioredis";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { clsHooked } from "../src/context/cls-hooked.js";
import type { Context } from "../src/context/context.js";
import { InvalidOptionError, type Session, type Tidemark } from "../src/index.js";
import { contextKinds } from "./support/contexts.js";
import { replicasAreEligible } from "./support/eligible-replicas.js";
import { holdReplicas, releaseReplicas } from "./support/held-replicas.js";
import { type GroupOptions, openTidemark } from "./support/open-tidemark.js";
import { type Passenger, ride } from "./support/passengers.js";
import { type ReplicationGroup, startReplicationGroup } from "./support/replication-group.js";
import { sessionOf } from "./support/still-sessions.js";
import { waitUntil } from "./support/wait-until.js";

const passengers = 25;
const patience = { maxStalenessMs: 50_000 };

let group: ReplicationGroup;

beforeAll(async () => {
  group = await startReplicationGroup({ replicas: 2 });
});

afterAll(() => group?.stop());

/** What a request does, and how often it looks and sends a command on the way. */
interface Way {
  readonly looks: number;
  readonly commands: number;
  travel(redis: Redis, passenger: Passenger): Promise<unknown>;
}

const ways: Readonly<Record<string, Way>> = {
  await: {
    looks: 3,
    commands: 3,
    async travel(redis, { key, look }) {
      await redis.set(key, key);
      look();
      await redis.get(key);
      look();
      await expect(redis.hget(key, "field")).rejects.toThrow(/^WRONGTYPE/);
      look();
    },
  },
  "then, catch and finally": {
    looks: 3,
    commands: 2,
    travel: (redis, { key, look }) =>
      redis
        .set(key, key)
        .then(look)
        .then(() => redis.hget(key, "field"))
        .catch(look)
        .finally(look),
  },
  callbacks: {
    looks: 3,
    commands: 3,
    travel: (redis, { key, look }) =>
      new Promise<void>((resolve) => {
        redis.set(key, key, () => {
          look();
          redis.get(key, () => {
            look();
            redis.hget(key, "field", () => {
              look();
              resolve();
            });
          });
        });
      }),
  },
  "timers, ticks and immediates": {
    looks: 4,
    commands: 4,
    async travel(redis, { key, look }) {
      const hops = [
        (next: () => void) => setTimeout(next, 1),
        (next: () => void) => setImmediate(next),
        (next: () => void) => process.nextTick(next),
        (next: () => void) => queueMicrotask(next),
      ];
      for (const hop of hops) {
        await new Promise((resolve) => hop(() => redis.incr(key, resolve)));
        look();
      }
    },
  },
  "event emitters": {
    looks: 2,
    commands: 2,
    async travel(redis, { key, look }) {
      const emitter = new EventEmitter();
      emitter.on("written", () => {
        look();
        redis.get(key, () => {
          look();
          emitter.emit("read");
        });
      });
      redis.set(key, key, () => emitter.emit("written"));
      await once(emitter, "read");
    },
  },
  "pipelines and transactions": {
    looks: 5,
    commands: 11,
    async travel(redis, { key, look }) {
      await redis
        .pipeline()
        .set(key, key, look)
        .get(key)
        .exec(() => look());
      await redis.pipeline([["get", key]]).exec();
      look();
      await redis.multi().set(key, key).get(key).exec();
      look();
      await redis.multi().get(key).exec(look);
      await redis.set(key, key);
    },
  },
  "scan streams": {
    looks: 2,
    commands: 2,
    async travel(redis, { key, look }) {
      await redis.hset(key, "field", "value");
      const stream = redis.hscanStream(key);
      stream.on("data", look);
      stream.on("end", look);
      await once(stream, "close");
    },
  },
  "streams that are piped": {
    looks: 2,
    commands: 2,
    async travel(redis, { key, look }) {
      await redis.hset(key, "field", "value");
      const last = new PassThrough({ objectMode: true });
      last.on("data", look);
      await pipeline(redis.hscanStream(key), last);
      look();
    },
  },
  "scripts that servers have to be told": {
    looks: 2,
    commands: 2,
    async travel(redis, { key, look }) {
      const put: unknown = Reflect.get(redis, "put");
      if (typeof put !== "function") throw new Error("the script is not defined");
      await put.call(redis, key, key);
      look();
      await new Promise((resolve) => put.call(redis, key, key, resolve));
      look();
    },
  },
  "transactions by hand": {
    looks: 3,
    commands: 4,
    async travel(redis, { key, look }) {
      await redis.watch(key);
      look();
      await redis.get(key);
      look();
      await redis.multi().set(key, key).exec();
      look();
    },
  },
};

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

  describe.each(Object.entries(ways))("goes along through %s", (_name, way) => {
    it("while all is well", async () => {
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

  it("goes along with reads that wait for a replica", async () => {
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

  it("goes along with reads that are sent again because their replica died", async () => {
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

  it("goes along where many writers wait for one INFO", async () => {
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
    await waitUntil(() => ready === passengers, { what: "all are there" });
    start();
    expect(await riding).toBe(1);
    expect((await group.primary.commandCalls("info")) - before).toBeLessThan(passengers);
  });

  it("is of no session in what no request has brought about, though a request had it connect", async () => {
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
    await waitUntil(() => seen.some(([event]) => event === "message"), { what: "the message has come" });
    await expect(tidemark.run(subscriber, () => tidemark.redis.quit())).resolves.toBe("OK");
    expect(new Set(seen.map(([event]) => event))).toEqual(new Set(["connect", "ready", "message"]));
    expect(seen.filter(([, session]) => session !== undefined)).toEqual([]);
  });

  it("goes along through what requests lend each other, where callbacks are bound", async () => {
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

  it("goes along with plain clients that requests lend each other", async () => {
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

  it("is of another session inside a run within a run, and of the first again behind it", async () => {
    const tidemark = openUnready();
    const [outer, inner] = [tidemark.session(), tidemark.session()];
    await tidemark.run(outer, async () => {
      await tidemark.run(inner, () => tidemark.redis.set("key", "inner"));
      expect([outer.wrote, inner.wrote]).toEqual([false, true]);
      await tidemark.redis.set("key", "outer");
    });
    expect(outer.wrote).toBe(true);
  });

  it("gives what is called its own way out: a result, an error, whatever is thrown", () => {
    const tidemark = openUnready();
    const session = tidemark.session();
    const result = {};
    expect(tidemark.run(session, () => result)).toBe(result);
    for (const thrown of [Object.freeze(new Error("frozen")), "text", undefined]) {
      let caught: unknown = "nothing";
      try {
        tidemark.run(session, () => {
          throw thrown;
        });
      } catch (error) {
        caught = error;
      }
      expect(caught).toBe(thrown);
      expect(context.get()).toBeUndefined();
    }
  });
});

describe("clsHooked", () => {
  it("leaves what the app has in its namespace where it is", () => {
    const namespace = createNamespace("app");
    const context = clsHooked(namespace);
    const session = sessionOf();
    namespace.run(() => {
      namespace.set("user", "ann");
      context.run(session, () => {
        expect(namespace.get("user")).toBe("ann");
        namespace.set("locale", "en");
        namespace.run(() => expect([context.get(), namespace.get("locale")]).toEqual([session, "en"]));
      });
      expect([context.get(), namespace.get("user"), namespace.get("locale")]).toEqual([
        undefined,
        "ann",
        undefined,
      ]);
    });
  });

  it("keeps two Tidemarks on one namespace apart", () => {
    const namespace = createNamespace("app");
    const [carts, logins] = [clsHooked(namespace), clsHooked(namespace)];
    const [cart, login] = [sessionOf(), sessionOf()];
    carts.run(cart, () => {
      expect(logins.get()).toBeUndefined();
      logins.run(login, () => expect([carts.get(), logins.get()]).toEqual([cart, login]));
    });
  });

  it.each([undefined, null, "app", new Map(), new AsyncLocalStorage()])("refuses %o", (given) => {
    const call = () => Reflect.apply(clsHooked, undefined, [given]);
    expect(call).toThrow(InvalidOptionError);
    expect(call).toThrow(inspect(given, { depth: 1 }).slice(0, 15));
  });
});

interface Echoes extends AsyncDisposable {
  connect(): Promise<Socket>;
}

/** A server that answers what it is sent. */
async function echoes(): Promise<Echoes> {
  const server = createServer((socket) => socket.pipe(socket)).listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the server has no port");
  const sockets: Socket[] = [];
  return {
    connect: async () => {
      const socket = connect(address.port, "127.0.0.1").setMaxListeners(0);
      sockets.push(socket);
      await once(socket, "connect");
      return socket;
    },
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}
