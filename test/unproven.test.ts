/** Servers that forbid INFO and the marker key: the primary answers alone, or where it was chosen replicas within a window of time. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Tidemark } from "../src/index.js";
import { replicaOf } from "./support/failover.js";
import { type GroupOptions, openTidemark } from "./support/open-tidemark.js";
import type { RedisServer } from "./support/redis-server.js";
import { listenToRoutes, type Routes } from "./support/routes.js";
import { stageGroup } from "./support/staged-group.js";
import { waitUntil } from "./support/wait-until.js";

const stage = stageGroup({ replicas: 1 });
const asApp = { username: "app", password: "pw" };

let replica: RedisServer;
let routes: Routes;
let warnings: (Error & { detail?: string })[];
const warned = (warning: Error): void => void warnings.push(warning);

beforeEach(async () => {
  replica = replicaOf(stage.group);
  await Promise.all(
    [stage.group.primary, replica].map((server) => allow(server, "~k", "~nothing", "-@dangerous")),
  );
  await stage.group.primary.admin().set("k", "v");
  await stage.group.caughtUp();
  routes = listenToRoutes();
  warnings = [];
  process.on("warning", warned);
});

afterEach(() => {
  process.off("warning", warned);
  routes[Symbol.dispose]();
});

async function allow(server: RedisServer, ...rules: string[]): Promise<void> {
  await server.admin().call("ACL", "SETUSER", "app", "reset", "on", ">pw", "+@all", ...rules);
}

/** With short times, so that a session owes nothing soon. */
function open(options: GroupOptions = {}): Promise<Tidemark> {
  return stage.open({ unproven: "window", redis: asApp, maxStalenessMs: 500, tokenTtlMs: 1_000, ...options });
}

async function lastRoute(read: Promise<unknown>, expected: unknown): Promise<string | undefined> {
  expect(await read).toEqual(expected);
  return routes.of("get").at(-1);
}

describe('where nothing can be proven, unproven "window"', () => {
  it.each(["session", "eventual"] as const)(
    "has replicas answer who has written nothing, at %s",
    async (level) => {
      const tidemark = await open();
      const isForbidden = (): boolean => tidemark.topology().every(({ proof }) => proof === "window");
      await waitUntil(isForbidden, { what: "both servers have said that they may not tell" });
      expect(await lastRoute(tidemark.session({ level }).redis.get("k"), "v")).toBe("replica:window");
      const always = await open({ verify: "always" });
      expect(await lastRoute(always.session({ level }).redis.get("k"), "v")).toBe("replica:window");
    },
  );

  it.each([{ maxStalenessMs: 5_000 }, "strong"] as const)(
    "has only the primary answer at %j",
    async (level) => {
      const tidemark = await open();
      expect(await lastRoute(tidemark.session({ level }).redis.get("k"), "v")).toMatch(/^primary:/);
    },
  );

  it("has who has written find it, however the replica lags, and in other processes too", async () => {
    const [tidemark, other] = [await open({ tokenTtlMs: 60_000 }), await open({ tokenTtlMs: 60_000 })];
    const session = tidemark.session();
    stage.group.replicas[0]?.link.hold();
    const write = session.redis.set("k", "new");
    expect(await lastRoute(session.at("eventual").get("k"), "new")).toMatch(/^primary:/);
    await write;
    const token = session.token();
    for (const level of ["session", "eventual"] as const) {
      expect(await lastRoute(session.at(level).get("k"), "new")).toMatch(/^primary:/);
      expect(await lastRoute(other.session({ token, level }).redis.get("k"), "new")).toMatch(/^primary:/);
    }
  });

  it.each(["window", "primary"] as const)(
    "pins who reads monotonically to the primary, without looking in vain for what was read (%s)",
    async (unproven) => {
      const tidemark = openTidemark(stage.group, { unproven, monotonicReads: true, redis: asApp });
      stage.owe({ stop: () => tidemark.close() });
      const session = tidemark.session();
      expect(await session.redis.get("k")).toBe("v");
      const begunAt = performance.now();
      await session.settled();
      expect(performance.now() - begunAt).toBeLessThan(900);
      const next = tidemark.session({ token: session.token() });
      expect(await lastRoute(next.redis.get("k"), "v")).toMatch(/^primary:/);
    },
  );

  it("has replicas answer who has written when the token has run out", async () => {
    const tidemark = await open();
    const session = tidemark.session();
    await session.redis.set("k", "new");
    await stage.group.caughtUp();
    const token = session.token();
    const read = () => lastRoute(tidemark.session({ token }).redis.get("k"), "new");
    await waitUntil(async () => (await read()) === "replica:window", { what: "the replica answers" });
  });

  it("has missing keys confirmed at the primary, and reads that may hide one answered there", async () => {
    const tidemark = await open();
    stage.group.replicas[0]?.link.hold();
    await replica.admin().config("SET", "replica-read-only", "no");
    await replica.admin().flushall();
    for (const level of ["session", "eventual"] as const) {
      const session = tidemark.session({ level });
      // A read that is under way when the replica reports that it was flushed does not count at all.
      await waitUntil(
        async () =>
          (await lastRoute(tidemark.session({ level }).redis.get("k"), "v")) === "primary:missing-key",
        { what: "the miss is confirmed" },
      );
      expect(await lastRoute(session.redis.get("k"), "v")).toBe("primary:missing-key");
      expect(await lastRoute(session.redis.get("k"), "v")).toMatch(/^primary:/);
      const script = "return redis.call('get', KEYS[1])";
      expect(await tidemark.session({ level }).redis.eval_ro(script, 1, "k")).toBe("v");
    }
    const before = await replica.commandCalls("eval_ro");
    expect(before).toBe(0);
  });

  it("keeps a session to one connection: what it has read at the primary is not taken back", async () => {
    const tidemark = await open();
    stage.group.replicas[0]?.link.hold();
    const session = tidemark.session();
    expect(await lastRoute(session.redis.get("k"), "v")).toBe("replica:window");
    await stage.group.primary.admin().set("k", "new");
    expect(await session.at("strong").get("k")).toBe("new");
    expect(await lastRoute(session.redis.get("k"), "new")).toMatch(/^primary:/);
  });

  it("has nobody answered by a replica whose primary is away, when it says so, until it is back", async () => {
    const tidemark = await open();
    await replica.admin().config("SET", "replica-serve-stale-data", "no");
    stage.group.replicas[0]?.link.cut();
    const read = () => lastRoute(tidemark.session().redis.get("k"), "v");
    await waitUntil(async () => (await read()) === "primary:replica-failed", { what: "it refuses" });
    expect(tidemark.topology()[1]).toMatchObject({ eligible: false, reason: "refused a read just now" });
    stage.group.replicas[0]?.link.mend();
    await waitUntil(async () => (await read()) === "replica:window", { what: "it answers again" });
  });

  it("asks what was forbidden once, and warns once of each server", async () => {
    const tidemark = await open();
    const refused = async () => (await stage.group.primary.info("errorstats")).errorstat_NOPERM;
    const before = await refused();
    for (let i = 0; i < 20; i++) await tidemark.session().redis.set("k", "v");
    expect(before).toMatch(/^count=/);
    expect(await refused()).toBe(before);
    expect(warnings).toHaveLength(2);
    for (const { message, detail } of warnings) {
      expect(message).toMatch(/NOPERM.*\+info/);
      expect(detail).toMatch(/only while it lags by less/);
    }
  });

  it("is not for servers that may be asked: where INFO or the marker is allowed, these are the proof", async () => {
    for (const [rules, proof] of [
      [["~*", "-@dangerous"], "marker"],
      [["~k", "~nothing"], "position"],
    ] as const) {
      await Promise.all([stage.group.primary, replica].map((server) => allow(server, ...rules)));
      const tidemark = await open();
      const session = tidemark.session();
      await session.redis.set("k", "v");
      expect(await session.redis.get("k")).toBe("v");
      expect(tidemark.topology().map((node) => node.proof)).toEqual([proof, proof]);
      expect(routes.of("get")).not.toContain("replica:window");
    }
  });
});

describe("where nothing can be proven, by default", () => {
  it("the primary answers alone, and the warning tells of the option", async () => {
    const before = await replica.commandCalls("get");
    const tidemark = openTidemark(stage.group, { redis: asApp });
    stage.owe({ stop: () => tidemark.close() });
    for (const level of ["session", "eventual"] as const)
      for (let i = 0; i < 10; i++) expect(await tidemark.session({ level }).redis.get("k")).toBe("v");
    await waitUntil(() => warnings.length > 0, { what: "the primary is warned of" });
    expect(await replica.commandCalls("get")).toBe(before);
    expect(tidemark.topology().map(({ proof }) => proof)).toEqual(["none", "none"]);
    for (const { detail } of warnings) expect(detail).toContain('unproven: "window"');
  });
});
