/** Servers that answer but refuse the connection: the errors of waiting commands, and when they come. */
import { Redis, type RedisOptions } from "ioredis";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { NoPrimaryError, Tidemark, type TidemarkOptions } from "../../src/index.js";
import { outcomeOf } from "../support/commands/outcome.js";
import { RedisServer } from "../support/servers/redis-server.js";
import { startSentinelGroup } from "../support/servers/sentinel-group.js";
import { fill, slowLoading } from "../support/servers/slow-loading.js";
import { replicasAreEligible } from "../support/stages/eligible-replicas.js";
import { waitUntil } from "../support/wait-until.js";

const right = "right";
const refusals = /^(WRONGPASS|NOAUTH) /;

let primary: RedisServer;
let replica: RedisServer;
let opened: Tidemark[];

beforeAll(async () => {
  const args = ["--requirepass", right, "--masterauth", right];
  primary = await RedisServer.start({ args });
  replica = await RedisServer.start({ args, replicaOf: primary });
  const isLinked = async (): Promise<boolean> =>
    (await replica.info("replication")).master_link_status === "up";
  await waitUntil(isLinked, { what: "the replica is linked" });
});

afterAll(() => Promise.all([primary.stop(), replica.stop()]));

beforeEach(() => {
  opened = [];
});

afterEach(() => Promise.all(opened.map((tidemark) => tidemark.close())));

function open(options: TidemarkOptions): Tidemark {
  const tidemark = new Tidemark(options);
  tidemark.redis.on("error", () => {});
  opened.push(tidemark);
  return tidemark;
}

function at(server: RedisServer, password?: string): RedisOptions {
  return { host: server.host, port: server.port, ...(password === undefined ? {} : { password }) };
}

/** The parts of errors that are compared; that of EXEC holds itself. */
function endOf(reply: Promise<unknown>): Promise<unknown> {
  const told = (error: Error): unknown => ({
    name: error.name,
    message: error.message,
    class: error.constructor,
  });
  const ofPipeline = (one: unknown): unknown =>
    Array.isArray(one) && one[0] instanceof Error ? told(one[0]) : one;
  return reply.then((value) => (Array.isArray(value) ? value.map(ofPipeline) : value), told);
}

const passwords: readonly [string, RedisOptions][] = [
  ["a wrong password", { password: "wrong" }],
  ["no password", {}],
  ["a wrong password and no retries", { password: "wrong", retryStrategy: () => null }],
  ["a wrong password and no limit to retries", { password: "wrong", maxRetriesPerRequest: null }],
];

describe.each(passwords)("a primary that is given %s", (_what, options) => {
  it("makes commands reject at once with the error of plain ioredis", async () => {
    const plain = new Redis({ ...at(primary), ...options });
    plain.on("error", () => {});
    const tidemark = open({ primary: at(primary), replicas: [], redis: options });
    const calls: ((redis: Redis) => Promise<unknown>)[] = [
      (redis) => redis.set("k", "1"),
      (redis) => redis.get("k"),
      (redis) => redis.pipeline().set("k", "1").exec(),
      (redis) => redis.multi().set("k", "1").exec(),
    ];
    const all = (redis: Redis): Promise<unknown> => Promise.all(calls.map((call) => endOf(call(redis))));
    const [expected, got, inSession] = await Promise.all(
      [plain, tidemark.redis, tidemark.session().redis].map(all),
    );
    plain.disconnect();
    expect(JSON.stringify(expected)).toMatch(/WRONGPASS|NOAUTH/);
    expect(got).toEqual(expected);
    expect(inSession).toEqual(expected);
    await expect(open({ primary: at(primary), redis: options }).ready()).rejects.toThrow(refusals);
    await expect(tidemark.redis.set("later", "1")).rejects.toThrow(refusals);
  });
});

describe("servers that Sentinels and clusters name", () => {
  async function isRefused(options: TidemarkOptions): Promise<void> {
    const tidemark = open(options);
    await expect(tidemark.ready()).rejects.toThrow(refusals);
    await expect(open(options).session().redis.set("k", "1")).rejects.toThrow(refusals);
    await expect(open(options).redis.get("k")).rejects.toThrow(refusals);
    const patient: RedisOptions = { ...options.redis, maxRetriesPerRequest: null };
    await expect(open({ ...options, redis: patient }).redis.get("k")).rejects.toThrow(refusals);
  }

  it("make commands reject with the error of a primary that Sentinels name", async () => {
    await using group = await startSentinelGroup({ replicas: 1, sentinels: 1, password: right });
    const sentinels = group.sentinels.map(({ host, port }) => ({ host, port }));
    await isRefused({ sentinels, name: group.name, redis: { password: "wrong" } });
  });

  it("make commands reject with the error of the cluster's initial nodes", async () => {
    await using node = await RedisServer.start({
      args: ["--cluster-enabled", "yes", "--requirepass", right],
    });
    await isRefused({ cluster: [{ host: node.host, port: node.port }], redis: { password: "wrong" } });
  });
});

describe("a password that becomes valid", () => {
  it("lets commands succeed from then on", async () => {
    const own = await RedisServer.start();
    try {
      await own.admin().config("SET", "requirepass", "old");
      const tidemark = open({ primary: at(own, "new"), replicas: [], redis: { retryStrategy: () => 20 } });
      await expect(tidemark.session().redis.set("k", "1")).rejects.toThrow(refusals);
      await own.admin().config("SET", "requirepass", "new");
      await waitUntil(async () => (await tidemark.session().redis.set("k", "1")) === "OK", {
        what: "a write succeeds",
      });
      await tidemark.ready();
    } finally {
      await own.stop();
    }
  });
});

describe("a dedicated connection", () => {
  it("that is refused makes its commands reject with the server's error", async () => {
    const own = await RedisServer.start();
    try {
      const tidemark = open({ primary: at(own, "old"), replicas: [] });
      await own.admin().config("SET", "requirepass", "old");
      await tidemark.ready();
      await own.admin().config("SET", "requirepass", "new");
      const session = tidemark.session();
      await expect(session.redis.blpop("list", 0)).rejects.toThrow(refusals);
      await expect(session.redis.watch("k")).rejects.toThrow(refusals);
      expect(await tidemark.redis.ping()).toBe("PONG");
    } finally {
      await own.stop();
    }
  });
});

describe("a replica that is given a wrong password", () => {
  it("answers no reads and shows the reason in topology(), and no read fails", async () => {
    const replicas = [at(replica, "wrong"), at(replica, right)];
    const tidemark = open({ primary: at(primary, right), replicas: replicas.slice(0, 1) });
    await tidemark.ready();
    await waitUntil(() => tidemark.topology()[1]?.reason?.includes("WRONGPASS") ?? false, {
      what: "the replica is refused with WRONGPASS",
    });
    const session = tidemark.session();
    await session.redis.set("k", "1");
    for (const level of ["session", "eventual", "strong", { maxStalenessMs: 1_000 }] as const)
      expect(await session.at(level).get("k")).toBe("1");
    expect(tidemark.topology().map(({ eligible }) => eligible)).toEqual([true, false]);
    await replicasAreEligible(open({ primary: at(primary, right), replicas: replicas.slice(1) }));
  });
});

describe("a server that cannot be used", () => {
  const primaryTimeoutMs = 1_000;

  async function failureOf(options: RedisOptions, server: RedisServer): Promise<unknown> {
    const tidemark = open({ primary: { ...at(server), ...options }, replicas: [], primaryTimeoutMs });
    await expect(tidemark.ready({ timeoutMs: primaryTimeoutMs })).rejects.toThrow();
    return outcomeOf(() => tidemark.session().redis.set("k", "1"));
  }

  it("over TLS appears in the error", async () => {
    const failure = await failureOf({ password: right, tls: {} }, primary);
    expect(failure).toMatchObject({ error: { class: NoPrimaryError.prototype } });
    expect(JSON.stringify(failure)).toMatch(/TLS/);
  });

  it("because it has too many clients appears in the error", async () => {
    const own = await RedisServer.start();
    try {
      await own.admin().config("SET", "maxclients", "1");
      const failure = await failureOf({ retryStrategy: () => 20 }, own);
      expect(JSON.stringify(failure)).toContain("max number of clients reached");
    } finally {
      await own.stop();
    }
  });

  it("because it is LOADING its data appears in the error, and is used after loading", async () => {
    const own = await RedisServer.start();
    try {
      await fill(own);
      await slowLoading(own);
      const watcher = own.admin().duplicate({ enableReadyCheck: false });
      await watcher.ping();
      const loaded = own
        .admin()
        .call("DEBUG", "RELOAD")
        .catch(() => {});
      await waitUntil(async () => (await watcher.info("persistence")).includes("loading:1"), {
        what: "the server is loading its data",
      });
      const tidemark = open({ primary: at(own), replicas: [], primaryTimeoutMs });
      await expect(tidemark.session().redis.set("k", "1")).rejects.toThrow("LOADING");
      await expect(tidemark.redis.get("k")).rejects.toBeInstanceOf(NoPrimaryError);
      await watcher.config("SET", "key-load-delay", 0);
      watcher.disconnect();
      await loaded;
      await waitUntil(async () => (await tidemark.session().redis.set("k", "1")) === "OK", {
        what: "a write succeeds",
        timeoutMs: 20_000,
      });
    } finally {
      await own.stop();
    }
  });
});
