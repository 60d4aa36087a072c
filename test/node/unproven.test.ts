/** Servers that forbid INFO and the marker key: only the primary answers. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Tidemark } from "../../src/index.js";
import { listenToRoutes, type Routes } from "../support/listeners/routes.js";
import { replicaOf } from "../support/servers/failover.js";
import type { RedisServer } from "../support/servers/redis-server.js";
import { type GroupOptions, openTidemark } from "../support/stages/open-tidemark.js";
import { stageGroup } from "../support/stages/staged-group.js";
import { waitUntil } from "../support/wait-until.js";

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

async function open(options: GroupOptions = {}): Promise<Tidemark> {
  const tidemark = openTidemark(stage.group, { redis: asApp, ...options });
  stage.owe({ stop: () => tidemark.close() });
  await tidemark.ready();
  return tidemark;
}

describe("where nothing can be proven", () => {
  it("only the primary answers, and its warning names the ACL rule", async () => {
    const before = await replica.commandCalls("get");
    const tidemark = await open();
    for (const level of ["session", "eventual"] as const)
      for (let i = 0; i < 10; i++) expect(await tidemark.session({ level }).redis.get("k")).toBe("v");
    await waitUntil(() => warnings.length > 0, { what: "a warning about the primary was emitted" });
    expect(await replica.commandCalls("get")).toBe(before);
    await waitUntil(() => tidemark.topology().every(({ proof }) => proof === "none"), {
      what: "both servers have been asked",
    });
    expect(warnings.map(({ message }) => message)).toEqual([expect.stringMatching(/NOPERM.*\+info/)]);
  });

  it("a session with monotonic reads is pinned to the primary, and Tidemark does not try to locate the reads", async () => {
    const tidemark = await open({ monotonicReads: true });
    const session = tidemark.session();
    expect(await session.redis.get("k")).toBe("v");
    const begunAt = performance.now();
    await session.settled();
    expect(performance.now() - begunAt).toBeLessThan(900);
    const next = tidemark.session({ token: session.token() });
    expect(await next.redis.get("k")).toBe("v");
    expect(routes.of("get").at(-1)).toMatch(/^primary:/);
  });

  it("Tidemark sends a forbidden command only once", async () => {
    const tidemark = await open();
    const isAsked = (): boolean => tidemark.topology().every(({ proof }) => proof === "none");
    await waitUntil(isAsked, { what: "both servers have been asked" });
    const refused = async () => (await stage.group.primary.info("errorstats")).errorstat_NOPERM;
    const before = await refused();
    for (let i = 0; i < 20; i++) await tidemark.session().redis.set("k", "v");
    expect(before).toMatch(/^count=/);
    expect(await refused()).toBe(before);
  });
});

describe.each([
  { allowed: "the marker", rules: ["~*", "-@dangerous"], proof: "marker" },
  { allowed: "INFO", rules: ["~k", "~nothing"], proof: "position" },
])("where $allowed is allowed", ({ rules, proof }) => {
  it("it is the proof of every server", async () => {
    await Promise.all([stage.group.primary, replica].map((server) => allow(server, ...rules)));
    const tidemark = await open();
    const session = tidemark.session();
    await session.redis.set("k", "v");
    expect(await session.redis.get("k")).toBe("v");
    const isAsked = (): boolean => tidemark.topology().every((node) => node.proof !== undefined);
    await waitUntil(isAsked, { what: "both servers have been asked" });
    expect(tidemark.topology().map((node) => node.proof)).toEqual([proof, proof]);
  });
});
