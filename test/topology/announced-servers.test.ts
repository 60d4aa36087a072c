/** Servers that others announce: accept() decides which are used, their number is bounded, and Sentinels are forgotten. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { InvalidOptionError, NoPrimaryError, Tidemark, type TidemarkOptions } from "../../src/index.js";
import { listenToWarnings, type Warnings } from "../support/listeners/warnings.js";
import { type Answer, type FakeReply, FakeServer, silence } from "../support/servers/fake-server.js";
import { primaryInfo, sound } from "../support/servers/sound-replies.js";
import { waitUntil } from "../support/wait-until.js";

const password = "s3cret";

let owed: { stop(): Promise<void> }[];
let warnings: Warnings;

beforeEach(() => {
  owed = [];
  warnings = listenToWarnings();
});

afterEach(async () => {
  warnings[Symbol.dispose]();
  for (const one of owed.reverse()) await one.stop();
});

/** One that is well, but for what `change` answers. */
async function fake(change: Answer = () => undefined): Promise<FakeServer> {
  const server: FakeServer = await FakeServer.start(
    (name, args) => change(name, args) ?? sound(() => server.port, name, args),
  );
  owed.push(server);
  return server;
}

function open(options: TidemarkOptions): Tidemark {
  const redis = { protocol: 2, password, ...options.redis } as const;
  const tidemark = new Tidemark({ primaryTimeoutMs: 500, ...options, redis });
  owed.push({ stop: () => tidemark.close() });
  return tidemark;
}

function at({ host, port }: FakeServer): { host: string; port: number } {
  return { host, port };
}

function ofInfo(text: string): Answer {
  return (name, args) => (name === "info" && args[0] === "replication" ? text : undefined);
}

function sentinelOf(one: FakeServer): FakeReply {
  return ["ip", one.host, "port", String(one.port), "flags", "slave"];
}

/** Resolves when `server` has been sent the password, or other connections have been made and used. */
async function isUsed(tidemark: Tidemark, server: FakeServer): Promise<boolean> {
  await tidemark.ready();
  for (let i = 0; i < 20; i++) await tidemark.session().redis.get("k");
  return server.connections > 0 || server.received.length > 0;
}

describe("accept()", () => {
  it("keeps the password from refused replicas, is called once and causes one warning for each", async () => {
    const [stranger, other] = [await fake(), await fake()];
    const primary = await fake(ofInfo(primaryInfo([stranger.port, other.port])));
    const asked: [string, number][] = [];
    const tidemark = open({
      primary: at(primary),
      accept: (host, port) => {
        asked.push([host, port]);
        return port === other.port;
      },
    });
    await waitUntil(async () => isUsed(tidemark, other), { what: "the other replica is connected" });
    expect(await isUsed(tidemark, stranger)).toBe(false);
    expect(asked).toContainEqual([stranger.host, stranger.port]);
    const warned = (): string[] => warnings.of("TIDEMARK_SERVER_REFUSED");
    // The replica names two more.
    await waitUntil(() => warned().length >= 3, { what: "all warnings were emitted" });
    for (let i = 0; i < 20; i += 1) await tidemark.session().redis.set("k", "1");
    expect(warned().sort()).toEqual(
      [1, 2, stranger.port].map(
        (port) =>
          `Tidemark does not connect to 127.0.0.1:${port}, which another server announced: accept() returned false. ` +
          "Return true if the server is yours.",
      ),
    );
    expect(asked).toHaveLength(new Set(asked.map(String)).size);
  });

  it("causes at most ten warnings of refused addresses", async () => {
    const many = Array.from({ length: 20 }, (_, i) => i + 1);
    const primary = await fake(ofInfo(primaryInfo(many)));
    const asked = new Set<number>();
    const tidemark = open({ primary: at(primary), accept: (_host, port) => !asked.add(port) });
    await tidemark.ready();
    await waitUntil(() => asked.size === many.length, { what: "accept() was called for every address" });
    await tidemark.session().redis.set("k", "1");
    expect(warnings.of("TIDEMARK_SERVER_REFUSED")).toHaveLength(10);
  });

  it("is optional: without it Tidemark connects to every replica", async () => {
    const stranger = await fake();
    const tidemark = open({ primary: at(await fake(ofInfo(primaryInfo([stranger.port])))) });
    await waitUntil(async () => isUsed(tidemark, stranger), { what: "the replica is connected" });
    expect(stranger.received.flat()).toContain(password);
  });

  it.each<[string, (...args: never) => unknown]>([
    ["returns a promise", async () => true],
    ["returns 1", () => 1],
    ["returns nothing", () => {}],
    [
      "throws",
      () => {
        throw new Error("broken");
      },
    ],
  ])("refuses when it %s", async (_what, accept) => {
    const stranger = await fake();
    const primary = await fake(ofInfo(primaryInfo([stranger.port])));
    const options: object = { primary: at(primary), accept };
    const tidemark = open(options as TidemarkOptions);
    expect(await isUsed(tidemark, stranger)).toBe(false);
    await waitUntil(() => warnings.of("TIDEMARK_SERVER_REFUSED").length === 1, {
      what: "a warning was emitted",
    });
  });

  it("receives the address that natMap has for a server", async () => {
    const hidden = await fake();
    const primary = await fake(ofInfo(primaryInfo([7])));
    const natMap = { "127.0.0.1:7": at(hidden) };
    const tidemark = open({
      primary: at(primary),
      redis: { natMap },
      accept: (_, port) => port === hidden.port,
    });
    await waitUntil(async () => isUsed(tidemark, hidden), { what: "the replica is connected" });
  });

  it("refuses a primary that Sentinels name, and the error says so", async () => {
    const stranger = await fake();
    const sentinel = await fake((name, args) =>
      name === "sentinel" && args[0] === "GET-MASTER-ADDR-BY-NAME"
        ? [stranger.host, `${stranger.port}`]
        : undefined,
    );
    const tidemark = open({ sentinels: [at(sentinel)], name: "one", accept: () => false });
    const error = await tidemark.redis.get("k").catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(NoPrimaryError);
    expect(String(error)).toContain(
      `the Sentinels name 127.0.0.1:${stranger.port}, which accept() refuses, so make accept() return true for your primary`,
    );
    expect(stranger.connections).toBe(0);
  });

  it("refuses Sentinels that another Sentinel names", async () => {
    const [primary, stranger] = [await fake(), await fake()];
    const sentinel = await fake((name, args) => {
      if (name !== "sentinel") return undefined;
      if (args[0] === "SENTINELS") return [sentinelOf(stranger)];
      if (args[0] === "REPLICAS") return [];
      return args[0] === "MASTER" ? undefined : [primary.host, `${primary.port}`];
    });
    const accept = (_: string, port: number): boolean => port === primary.port;
    const tidemark = open({ sentinels: [at(sentinel)], name: "one", accept });
    expect(await isUsed(tidemark, stranger)).toBe(false);
    expect(tidemark.topology()[0]?.eligible).toBe(true);
  });

  it("refuses nodes of a cluster, and the command rejects with the MOVED or ASK that points to one", async () => {
    const stranger = await fake();
    let reply: FakeReply = "v";
    const node = await fake((name, args) => {
      if (name === "get") return reply;
      if (name !== "cluster" || args[0] !== "SLOTS") return undefined;
      return [
        [0, 16_000, ["127.0.0.1", node.port, "aaa"]],
        [16_001, 16_383, ["127.0.0.1", stranger.port, "bbb"]],
      ];
    });
    const tidemark = open({ cluster: [at(node)], accept: (_, port) => port === node.port });
    expect(await tidemark.redis.get("k")).toBe("v");
    for (const kind of ["MOVED", "ASK"]) {
      reply = new Error(`${kind} 7629 127.0.0.1:${stranger.port}`);
      await expect(tidemark.redis.get("k")).rejects.toThrow(reply.message);
    }
    expect(stranger.connections).toBe(0);
  });

  it.each(["10.0.0.1", ["10.0.0.1"], /10/, true])("is refused as an option with the value %j", (accept) => {
    const options: object = { primary: "redis://127.0.0.1:1", accept };
    expect(() => new Tidemark(options as TidemarkOptions)).toThrow(InvalidOptionError);
  });
});

describe("the number of announced servers that are followed", () => {
  it("is bounded for replicas, with one warning", async () => {
    const ports = Array.from({ length: 150 }, (_, i) => i + 1);
    const tidemark = open({ primary: at(await fake(ofInfo(primaryInfo(ports)))) });
    await waitUntil(
      async () => {
        await tidemark.session().redis.get("k");
        return tidemark.topology().length > 100;
      },
      { what: "all replicas are known" },
    );
    expect(tidemark.topology()).toHaveLength(101);
    await waitUntil(() => warnings.of("TIDEMARK_TOO_MANY_SERVERS").length > 0, {
      what: "a warning was emitted",
    });
    expect(warnings.of("TIDEMARK_TOO_MANY_SERVERS")).toEqual([
      expect.stringContaining("more than 100 replicas"),
    ]);
  });
});

describe("a Sentinel that has not answered for maxStalenessMs", () => {
  it("is forgotten when no other Sentinel names it, unless it is in the options", async () => {
    const [learnt, given] = [await fake(() => silence), await fake(() => silence)];
    let isNamed = true;
    const sentinel = await fake((name, args) => {
      if (name !== "sentinel") return undefined;
      // Nobody listens there, so the Sentinels are asked again and again.
      if (args[0] === "GET-MASTER-ADDR-BY-NAME") return ["127.0.0.1", "1"];
      if (args[0] === "SENTINELS") return isNamed ? [sentinelOf(learnt)] : [];
      return args[0] === "REPLICAS" ? [] : undefined;
    });
    open({
      sentinels: [at(sentinel), at(given)],
      name: "one",
      maxStalenessMs: 100,
      redis: { connectTimeout: 60_000 },
    });
    await waitUntil(() => learnt.connections > 0 && given.connections > 0, {
      what: "both Sentinels are connected",
    });
    const rounds = (): number => sentinel.received.filter(([, about]) => about === "SENTINELS").length;
    const before = rounds();
    await waitUntil(() => rounds() > before + 2, { what: "the Sentinels were asked twice more" });
    expect(learnt.connections).toBeGreaterThan(0);
    isNamed = false;
    await waitUntil(() => learnt.connections === 0, { what: "the Sentinel is forgotten" });
    expect(given.connections).toBeGreaterThan(0);
  });
});
