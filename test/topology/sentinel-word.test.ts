/** Sentinels that start later, give wrong answers, require a password, or are no longer needed. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { ClosedError, NoPrimaryError, type Tidemark } from "../../src/index.js";
import { LagProxy } from "../support/proxies/lag-proxy.js";
import { freePort } from "../support/servers/free-port.js";
import { isPrimaryOf } from "../support/servers/promotion.js";
import { RedisServer } from "../support/servers/redis-server.js";
import { quickPeriods, type SentinelGroup, startSentinelGroup } from "../support/servers/sentinel-group.js";
import { HOST } from "../support/servers/server-arguments.js";
import { replicasAreEligible } from "../support/stages/eligible-replicas.js";
import { openWatched, type WatchedOptions } from "../support/stages/watched-tidemark.js";
import { waitUntil } from "../support/wait-until.js";

const password = "s3cret";
const sentinelPassword = "0ther";
const redis = { password, sentinelPassword };

let group: SentinelGroup;
/** How many connections the Sentinels have without a Tidemark. */
let before: number;
let owed: { stop(): Promise<void> }[];

beforeAll(async () => {
  group = await startSentinelGroup({ replicas: 1, periods: quickPeriods, password, sentinelPassword });
  before = await connections();
});

afterAll(() => group.stop());

beforeEach(() => {
  owed = [];
});

afterEach(async () => {
  for (const one of owed.reverse()) await one.stop();
  await allAreGone();
});

function open(options: WatchedOptions = {}): Tidemark {
  const tidemark = openWatched(group, { redis, ...options });
  owed.push({ stop: () => tidemark.close() });
  return tidemark;
}

async function start(options: Parameters<typeof RedisServer.start>[0]): Promise<RedisServer> {
  const server = await RedisServer.start(options);
  owed.push(server);
  return server;
}

/** One that stands alone and takes `primary` for the one of that name. */
async function startSentinel(primary: { host: string; port: number }, port?: number): Promise<RedisServer> {
  const config = `sentinel monitor ${group.name} ${primary.host} ${primary.port} 1\n`;
  const lock = ["--requirepass", sentinelPassword];
  return start({ config, args: [...lock, "--sentinel"], ...(port ? { port } : {}) });
}

/** How many connections the Sentinels have. */
async function connections(): Promise<number> {
  const lists = await Promise.all(
    group.sentinels.map(async (sentinel) => String(await sentinel.admin().client("LIST"))),
  );
  return lists.flatMap((list) => list.split("\n").filter((line) => / name=( |$)/.test(line))).length;
}

async function allAreGone(): Promise<void> {
  await waitUntil(async () => (await connections()) === before, { what: "all connections are closed" });
}

describe("a Sentinel", () => {
  it("that names another primary at a lower epoch is not trusted, and a dead one delays nothing", async () => {
    const lone = await start({ args: ["--requirepass", password] });
    const wrong = await startSentinel(lone);
    const dead = { host: HOST, port: await freePort() };
    const since = performance.now();
    await group.failover();
    await group.events.first("+switch-master", since);
    await group.ready();
    const [right] = group.sentinels.map(({ host, port }) => ({ host, port }));
    // The last answer must not win.
    const late = await LagProxy.start({ targetPort: wrong.port });
    owed.push(late);
    late.delay(200);
    const sentinels = [{ host: HOST, port: late.port }, dead, ...(right ? [right] : [])];
    const tidemark = open({ sentinels });
    await replicasAreEligible(tidemark);
    expect(isPrimaryOf(tidemark, await group.primary())).toBe(true);
    await tidemark.session().redis.set("k", "v");
    expect(tidemark.topology().some(({ address }) => address.endsWith(`:${lone.port}`))).toBe(false);
    expect(await lone.commandCalls("set")).toBe(0);
  });

  it("that does not know the name appears in the error", async () => {
    const dead = { host: HOST, port: await freePort() };
    const tidemark = open({ name: "nobody", sentinels: [dead, ...group.sentinels.map(({ url }) => url)] });
    const error = await tidemark.session().redis.get("k").catch(String);
    expect(error).toMatch(/^NoPrimaryError: .*:\d+: ERR No such master with that name/);
  });

  it("that requires another password appears in the error", async () => {
    const tidemark = open({ redis: { password, sentinelPassword: "wrong" } });
    await expect(tidemark.session().redis.get("k")).rejects.toThrow("WRONGPASS");
  });

  it("that starts later is asked then", async () => {
    const port = await freePort();
    const tidemark = open({ sentinels: [{ host: HOST, port }] });
    const reading = tidemark.redis.get("k");
    await expect(reading).rejects.toBeInstanceOf(NoPrimaryError);
    await expect(reading).rejects.toThrow(`${HOST}:${port}: connect ECONNREFUSED`);
    await startSentinel(await group.primary(), port);
    // Sooner than it would be asked in any case.
    const isAsked = async (): Promise<boolean> => (await tidemark.redis.set("k", "v")) === "OK";
    await waitUntil(isAsked, { what: "the Sentinel is asked", timeoutMs: 5_000 });
  });
});

describe("updateSentinels: false", () => {
  it("asks only the given Sentinels", async () => {
    const [given] = group.sentinels.map(({ host, port }) => ({ host, port }));
    const tidemark = open({ sentinels: given ? [given] : [], redis: { ...redis, updateSentinels: false } });
    await replicasAreEligible(tidemark);
    expect(await connections()).toBe(before + 2);
  });
});

describe("passwords of Sentinels", () => {
  it("may be part of their URLs, also for clients made from the Tidemark's", async () => {
    const sentinels = group.sentinels.map(({ url }) => url);
    const tidemark = open({ sentinels, redis: { password } });
    await tidemark.redis.set("k", "by the Tidemark");
    const plain = tidemark.redis.duplicate({ maxRetriesPerRequest: 1 });
    plain.on("error", () => {});
    owed.push({ stop: async () => plain.disconnect() });
    expect(await plain.get("k")).toBe("by the Tidemark");
  });
});

describe("with lazyConnect", () => {
  it("Tidemark asks no Sentinel until the first command, and ready() counts as one", async () => {
    const [unused, used, awaited, connected] = Array.from({ length: 4 }, () =>
      open({ redis: { ...redis, lazyConnect: true } }),
    );
    expect(await connections()).toBe(before);
    expect(await used?.redis.set("k", "v")).toBe("OK");
    await awaited?.ready();
    expect(awaited?.topology()[0]?.eligible).toBe(true);
    await connected?.redis.connect();
    expect(connected?.redis.status).toBe("ready");
    expect(unused?.topology()).toEqual([]);
  });
});

describe("close()", () => {
  it("ends every connection, and the Tidemark asks no server any more", async () => {
    const tidemark = open();
    await tidemark.ready();
    expect(await connections()).toBeGreaterThan(before);
    await tidemark.close();
    await allAreGone();
    await expect(tidemark.redis.get("k")).rejects.toBeInstanceOf(ClosedError);
    await expect(tidemark.ready()).rejects.toBeInstanceOf(ClosedError);
    expect(await connections()).toBe(before);
  });

  it("also ends a Tidemark before any Sentinel has answered", async () => {
    const tidemark = open();
    const reading = tidemark.redis.get("k");
    await tidemark.close({ timeoutMs: 0 });
    await expect(reading).rejects.toBeInstanceOf(ClosedError);
    await expect(tidemark.session().redis.get("k")).rejects.toBeInstanceOf(ClosedError);
    const other = open();
    await other.ready();
    await other.close();
    await allAreGone();
    await tidemark.redis.connect();
    expect(await tidemark.redis.set("k", "v")).toBe("OK");
  });
});
