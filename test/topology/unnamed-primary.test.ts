/** No Sentinel and no cluster node names a primary: operators are warned of each, and notified when one does. */
import { describe, expect, it } from "vitest";
import { NoPrimaryError, Tidemark, type TidemarkOptions } from "../../src/index.js";
import { listenToWarnings } from "../support/listeners/warnings.js";
import { freeNodePort, freePort } from "../support/servers/free-port.js";
import { RedisServer, type RedisServerOptions } from "../support/servers/redis-server.js";
import { HOST } from "../support/servers/server-arguments.js";
import { stageOwn } from "../support/stages/own-stage.js";
import { waitUntil } from "../support/wait-until.js";

const unreachable = "TIDEMARK_PRIMARY_UNREACHABLE";
const reached = "TIDEMARK_PRIMARY_REACHED";

const own = stageOwn(async (owe) => {
  const warnings = listenToWarnings();
  owe(() => warnings[Symbol.dispose]());
  return { owe, warnings };
});

function open(options: TidemarkOptions): Tidemark {
  const tidemark = new Tidemark(options);
  own().owe(() => tidemark.close({ timeoutMs: 0 }));
  return tidemark;
}

async function start(options: RedisServerOptions = {}): Promise<RedisServer> {
  const server = await RedisServer.start(options);
  own().owe(() => server.stop());
  return server;
}

function startSentinel(primary: RedisServer, port?: number): Promise<RedisServer> {
  const config = `sentinel monitor orders ${primary.host} ${primary.port} 1\n`;
  return start({ config, args: ["--sentinel"], ...(port === undefined ? {} : { port }) });
}

async function errorOf(tidemark: Tidemark): Promise<string> {
  const error = await tidemark.redis.get("k").catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(NoPrimaryError);
  return (error as Error).message;
}

async function isWarnedOf(): Promise<string> {
  const { warnings } = own();
  const isSaid = (): boolean => warnings.of(unreachable).length > 0;
  await waitUntil(isSaid, { what: "a warning was emitted", timeoutMs: 20_000 });
  expect(warnings.of(unreachable)).toHaveLength(1);
  return warnings.of(unreachable)[0] ?? "";
}

async function isTakenBack(): Promise<void> {
  const { warnings } = own();
  await waitUntil(() => warnings.of(reached).length > 0, {
    what: "the warning of recovery was emitted",
    timeoutMs: 20_000,
  });
  expect(warnings.of(reached)).toEqual([expect.stringMatching(/^A Redis primary has been named, after \d/)]);
  expect(warnings.of(unreachable)).toHaveLength(1);
}

describe.concurrent("Sentinels", () => {
  it("that cannot be reached cause a warning each, with the cause, until one names a primary", async () => {
    const primary = await start();
    const [one, other] = [await freePort(), await freePort()];
    const sentinels = [one, other].map((port) => ({ host: HOST, port }));
    const tidemark = open({ sentinels, name: "orders" });
    // One that was not asked to connect has nothing to say.
    open({ sentinels, name: "orders", redis: { lazyConnect: true } });
    const causes = [one, other].map((port) => `${HOST}:${port}: connect ECONNREFUSED`).join("; ");
    expect(await isWarnedOf()).toBe(`The Sentinels have not named a primary: ${causes}.`);
    expect(await errorOf(tidemark)).toBe(
      `GET: no primary is known, so nothing was sent. Cause: ${causes}. Check these servers, or retry when they run.`,
    );
    await startSentinel(primary, other);
    await isTakenBack();
    expect(await tidemark.redis.set("k", "v")).toBe("OK");
  });

  it("that do not know the name cause a warning that says which name to give", async () => {
    const sentinel = await startSentinel(await start());
    const tidemark = open({ sentinels: [sentinel.url], name: "invoices" });
    const advice = /ERR No such master with that name, so set `name` to the name after `sentinel monitor`/;
    expect(await isWarnedOf()).toMatch(advice);
    expect(await errorOf(tidemark)).toMatch(advice);
  });

  it("that are servers with data are reported as not being Sentinels", async () => {
    const server = await start();
    const tidemark = open({ sentinels: [server.url], name: "orders" });
    const advice = `${HOST}:${server.port}: it is not a Sentinel, so put Sentinels in \`sentinels\`, or set this server as \`primary\``;
    expect(await isWarnedOf()).toContain(advice);
    expect(await errorOf(tidemark)).toContain(advice);
  });

  it("that name a primary which accept() refuses cause a warning that says what to change", async () => {
    const primary = await start();
    const sentinel = await startSentinel(primary);
    open({ sentinels: [sentinel.url], name: "orders", accept: () => false });
    expect(await isWarnedOf()).toBe(
      `The Sentinels have not named a primary: the Sentinels name ${HOST}:${primary.port}, which accept() refuses, ` +
        "so make accept() return true for your primary.",
    );
  });

  it("are listed in short when there are many", async () => {
    const ports = await Promise.all(Array.from({ length: 7 }, () => freePort()));
    open({ sentinels: ports.map((port) => ({ host: HOST, port })), name: "orders" });
    expect(await isWarnedOf()).toMatch(/^The Sentinels have not named a primary: ([^;]+; ){5}and 2 more\.$/);
  });
});

describe.concurrent("nodes of a cluster", () => {
  it("that cannot be reached cause a warning each, with the cause, until one knows a primary", async () => {
    const [one, other] = [await freeNodePort(), await freeNodePort()];
    const tidemark = open({ cluster: [one, other].map((port) => ({ host: HOST, port })) });
    for (const port of [one, other])
      expect(await isWarnedOf()).toContain(`${HOST}:${port}: connect ECONNREFUSED`);
    expect(await isWarnedOf()).toMatch(/^The cluster nodes have not named a primary: /);
    const node = await start({ port: other, args: ["--cluster-enabled", "yes"] });
    const slots = Array.from({ length: 16_384 }, (_, slot) => slot);
    await node.admin().call("CLUSTER", "ADDSLOTS", ...slots);
    await isTakenBack();
    await waitUntil(async () => (await tidemark.redis.set("k", "v")) === "OK", { what: "a write succeeds" });
  });

  it("that are plain servers cause a warning to give them as the primary", async () => {
    const server = await start();
    const tidemark = open({ cluster: [server.url] });
    const advice = "ERR This instance has cluster support disabled, so set this server as `primary`";
    expect(await isWarnedOf()).toContain(advice);
    expect(await errorOf(tidemark)).toContain(advice);
  });

  it("without slots cause a warning that says how to assign slots", async () => {
    const node = await start({ findPort: freeNodePort, args: ["--cluster-enabled", "yes"] });
    const tidemark = open({ cluster: [node.url] });
    const advice =
      "no node of its cluster serves slots, so assign them, for example with `redis-cli --cluster create`";
    expect(await isWarnedOf()).toContain(advice);
    expect(await errorOf(tidemark)).toContain(advice);
  });

  it("that are Sentinels are reported as such", async () => {
    const sentinel = await startSentinel(await start());
    const tidemark = open({ cluster: [sentinel.url] });
    const advice = `${HOST}:${sentinel.port}: this is a Sentinel, which holds no data. Pass it in \`sentinels\``;
    await expect(tidemark.redis.get("k")).rejects.toThrow(advice);
    expect(await isWarnedOf()).toContain(advice);
  });
});

describe.concurrent("ready()", () => {
  it("names itself in its error", async () => {
    const tidemark = open({ primary: { host: HOST, port: await freePort() }, replicas: [] });
    await expect(tidemark.ready({ timeoutMs: 200 })).rejects.toThrow(
      /^ready\(\): the primary \S+:\d+ is not available/,
    );
  });
});
