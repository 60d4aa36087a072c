import { inspect } from "node:util";
import { Redis } from "ioredis";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { type Context, InvalidOptionError, type Session, Tidemark } from "../../src/index.js";
import { encodeToken } from "../../src/session/token.js";
import { listenToRoutes } from "../support/listeners/routes.js";
import { RedisServer } from "../support/servers/redis-server.js";
import { type ReplicationGroup, startReplicationGroup } from "../support/servers/replication-group.js";
import { openTidemark } from "../support/stages/open-tidemark.js";
import { waitUntil } from "../support/wait-until.js";

let group: ReplicationGroup;
let tidemark: Tidemark;

beforeAll(async () => {
  group = await startReplicationGroup({ replicas: 1 });
});

afterAll(() => group.stop());

beforeEach(async () => {
  tidemark = openTidemark(group);
  await tidemark.ready();
});

afterEach(() => tidemark.close());

describe("new Tidemark", () => {
  const primary = "redis://127.0.0.1:1";
  it.each([
    ["no options", undefined, /options: got undefined/],
    ["no primary", {}, /primary: got undefined\. Pass a URL/],
    ["an invalid replica", { primary, replicas: [7] }, /replicas\[0\]: got 7/],
    [
      "one replica instead of a list",
      { primary, replicas: primary },
      /replicas: got a string\. Pass an array/,
    ],
    ["a time as a string", { primary, waitMs: "5" }, /waitMs: got a string\. Pass a number of milliseconds/],
    ["a negative time", { primary, probeIntervalMs: -1 }, /probeIntervalMs: got -1/],
    [
      "a tokenTtlMs below maxStalenessMs",
      { primary, tokenTtlMs: 9_000 },
      /tokenTtlMs: got 9000\. Pass more than maxStalenessMs/,
    ],
    [
      "an unknown fallback",
      { primary, fallback: "nowhere" },
      /fallback: got a string\. Pass "primary" or "error"/,
    ],
    [
      "an unknown option",
      { primary, replica: primary },
      /^new Tidemark: there is no option "replica"\. Did you mean "replicas"\?$/,
    ],
    ["invalid ioredis options", { primary, redis: "x" }, /redis: got a string\. Pass ioredis options/],
    [
      "a URL of another protocol",
      { primary: "http://host" },
      /primary: got a string\. Pass a URL like "redis:/,
    ],
    [
      "an invalid context",
      { primary, context: 5 },
      /context: got 5\. Pass an object with the methods get and run/,
    ],
    ["an unknown verify", { primary, verify: "never" }, /verify: got "never"/],
  ])("names what came and what to do for %s", (_, options, message) => {
    const make = (): Tidemark => Reflect.construct(Tidemark, [options]);
    expect(make).toThrow(InvalidOptionError);
    expect(make).toThrow(message);
  });

  it("accepts a URL, ioredis options, or an ioredis client whose connection it leaves untouched", async () => {
    const mine = new Redis(group.primary.port, group.primary.host);
    const { host, port } = group.primary;
    for (const server of [group.primary.url, { host, port }, mine]) {
      const one = new Tidemark({ primary: server });
      expect(await one.redis.ping()).toBe("PONG");
      await one.close();
    }
    expect(await mine.ping()).toBe("PONG");
    mine.disconnect();
  });

  it("applies common ioredis options such as keyPrefix and db", async () => {
    const prefixed = new Tidemark({ primary: group.primary.url, redis: { keyPrefix: "app:", db: 3 } });
    await prefixed.session().redis.set("k", "v");
    const plain = new Redis({ port: group.primary.port, db: 3 });
    expect(await plain.get("app:k")).toBe("v");
    plain.disconnect();
    await prefixed.close();
  });
});

describe("a Tidemark without replicas", () => {
  it("does everything on the primary", async () => {
    await using server = await RedisServer.start();
    await using alone = new Tidemark({ primary: server.url });
    const session = alone.session();
    await session.redis.hset("cart", { apples: 2 });
    for (const level of ["session", "eventual", "strong", { maxStalenessMs: 1 }] as const) {
      expect(await session.at(level).hgetall("cart")).toEqual({ apples: "2" });
    }
    const later = alone.session({ token: session.token() });
    expect(await later.redis.hget("cart", "apples")).toBe("2");
    expect(alone.topology()).toMatchObject([{ role: "primary", eligible: true, reason: undefined }]);
  });
});

describe("tidemark.session", () => {
  it("treats an invalid token as absent", async () => {
    for (const token of ["", "garbage", "A".repeat(6_000), "AQ", "\u0000", null, 5, [5]]) {
      const session = Reflect.apply(tidemark.session, tidemark, [{ token }]);
      expect(await session.redis.get("k")).toBeNull();
      expect(session.token()).toBe("");
    }
  });

  it("reads from the primary for a token that is ahead of the primary or of an unknown history", async () => {
    await tidemark.session().redis.set("known", "v");
    const own = tidemark.topology()[0]?.position ?? { replid: "", offset: 0 };
    const ahead = { replid: own.replid, offset: own.offset + 1_000_000 };
    const foreign = { replid: "feedfacefeedface", offset: 5 };
    for (const position of [ahead, foreign]) {
      using routes = listenToRoutes();
      const token = encodeToken({ issuedAt: Date.now(), pinnedAt: 0, freshAsOf: 0, positions: [position] });
      const session = tidemark.session({ token });
      expect(await session.redis.get("known")).toBe("v");
      expect(routes.of("get").at(-1)).toMatch(/^primary:/);
    }
  });

  it("re-anchors such a session, so that replicas answer again", async () => {
    using routes = listenToRoutes();
    const foreign = { replid: "feedfacefeedface", offset: 5 };
    const session = tidemark.session({
      token: encodeToken({ issuedAt: Date.now(), pinnedAt: 0, freshAsOf: 0, positions: [foreign] }),
    });
    await waitUntil(
      async () => {
        await session.redis.get("known");
        return routes.of("get").at(-1)?.startsWith("replica:") === true;
      },
      { what: "a replica answers" },
    );
  });

  it("refuses a token in place of the options, and a run without a session", () => {
    expect(() => Reflect.apply(tidemark.session, tidemark, ["token"])).toThrow(
      /session: got a string\. Pass an object with options, like \{ token/,
    );
    expect(() => Reflect.apply(tidemark.run, tidemark, [() => 1])).toThrow(
      /Call tidemark.run\(tidemark.session\(\)/,
    );
  });

  it("refuses an invalid level", () => {
    expect(() => Reflect.apply(tidemark.session, tidemark, [{ level: "stale" }])).toThrow(
      /level: got a string/,
    );
    expect(() => tidemark.session().at({ maxStalenessMs: 0 })).toThrow(/maxStalenessMs: got 0/);
  });

  it.each(["stop", 5, null, {}])("refuses an invalid signal: %j", (signal) => {
    expect(() => Reflect.apply(tidemark.session, tidemark, [{ signal }])).toThrow(
      /signal: got .*\. Pass an AbortSignal, or a function that returns one/,
    );
  });
});

describe("tidemark.topology", () => {
  it("reports each server's role, position and lag, and why it may not answer", async () => {
    const replica = group.replicas[0];
    await waitUntil(
      async () => {
        await tidemark.session().redis.incr("moving");
        await tidemark.session().redis.get("moving");
        return tidemark.topology().every(({ eligible }) => eligible);
      },
      { what: "the replica is eligible" },
    );
    const [primary, second] = tidemark.topology();
    expect(primary).toMatchObject({ role: "primary", lagBytes: 0, eligible: true });
    expect(second?.position?.replid).toBe(primary?.position?.replid);
    expect(second?.lagMs).toBeGreaterThan(0);
    await replica?.server.kill();
    await waitUntil(() => tidemark.topology()[1]?.eligible === false, { what: "the replica is ineligible" });
    expect(tidemark.topology()[1]).toMatchObject({ reason: "not connected", position: undefined });
    await replica?.server.restart();
    if (replica) await replica.server.replicate(replica.link);
    await group.ready();
  });
});

describe("the context option", () => {
  it("replaces AsyncLocalStorage as the source of the session", async () => {
    let current: Session | undefined;
    const context: Context = {
      get: () => current,
      run: (session, fn) => {
        current = session;
        return fn();
      },
    };
    await using own = new Tidemark({ primary: group.primary.url, context });
    const session = own.session();
    await own.run(session, () => own.redis.set("ctx", "1"));
    expect(session.wrote).toBe(true);
  });
});

describe("a server", () => {
  it("that forbids INFO is read from only as the primary, with one warning that names the ACL rule", async () => {
    const servers = [group.primary, ...group.replicas.map(({ server }) => server)];
    for (const server of servers) {
      await server
        .admin()
        .call("ACL", "SETUSER", "app", "on", ">secret", "~limited", "&*", "+@all", "-@dangerous");
    }
    const warnings: Error[] = [];
    const listener = (warning: Error): number => warnings.push(warning);
    process.on("warning", listener);
    vi.spyOn(console, "warn").mockImplementation(() => {});
    await using limited = openTidemark(group, { redis: { username: "app", password: "secret" } });
    using routes = listenToRoutes();
    for (let i = 0; i < 5; i++) {
      const session = limited.session();
      await session.redis.set("limited", i);
      expect(await limited.session({ token: session.token() }).redis.get("limited")).toBe(String(i));
    }
    expect(new Set(routes.of("get"))).toEqual(new Set(["primary:position-unknown"]));
    expect(limited.topology()[1]?.reason).toMatch(/^NOPERM/);
    // That no replica can be used then is warned of when it has lasted for a while.
    const ours = () => warnings.filter(({ name }) => name === "TidemarkWarning");
    await waitUntil(() => ours().length > 0, { what: "a warning about the primary was emitted" });
    expect(ours().map(({ message }) => message)).toEqual([
      expect.stringMatching(/127.0.0.1:\d+: NOPERM .* \+info/),
    ]);
    process.off("warning", listener);
    vi.restoreAllMocks();
  });

  it("that cannot be reached is the cause in the errors of commands that waited for it", async () => {
    await using down = new Tidemark({
      primary: { host: "127.0.0.1", port: 1 },
      redis: { maxRetriesPerRequest: 1, retryStrategy: () => 1 },
    });
    const failure = await down.redis.get("k").catch((error: unknown) => error);
    expect(failure).toMatchObject({ cause: { code: "ECONNREFUSED" } });
    expect(down.topology()[0]?.reason).toMatch(/^not connected: .*ECONNREFUSED/);
  });
});

describe("tidemark.close", () => {
  it("ends every connection, and makes later commands fail", async () => {
    const gone = new Tidemark({ primary: group.primary.url });
    await gone.ready();
    await gone.close();
    await expect(gone.session().redis.get("k")).rejects.toThrow(/closed/);
    await expect(gone.session().redis.set("k", "v")).rejects.toThrow(/closed/);
  });
});

describe("A Tidemark that is logged", () => {
  it("shows its servers and no password, as text and as JSON", async () => {
    await using logged = new Tidemark({
      primary: "redis://:a-password@127.0.0.1:1",
      replicas: ["redis://:a-password@127.0.0.1:2"],
      redis: { lazyConnect: true },
    });
    const servers = ["primary 127.0.0.1:1", "replica 127.0.0.1:2"];
    expect(JSON.parse(JSON.stringify({ logged }))).toEqual({ logged: { servers } });
    const text = inspect({ logged }, { depth: 10 });
    for (const server of servers) expect(text).toContain(server);
    expect(text).not.toContain("a-password");
  });
});
