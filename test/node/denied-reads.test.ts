/** Replicas whose ACL forbids reads: they get none, operators are warned, and one read now and then tries them again. */
import { describe, expect, it } from "vitest";
import type { Tidemark } from "../../src/index.js";
import { listenToRoutes } from "../support/listeners/routes.js";
import { listenToWarnings } from "../support/listeners/warnings.js";
import { replicaOf } from "../support/servers/failover.js";
import type { RedisServer } from "../support/servers/redis-server.js";
import { stageGroup } from "../support/stages/staged-group.js";
import { waitUntil } from "../support/wait-until.js";

const stage = stageGroup({ replicas: 1 });
const unusable = "TIDEMARK_REPLICA_UNUSABLE";
const everything = ["on", ">pw", "~*", "&*", "+@all"];
/** How often a replica that refuses reads is tried again. */
const tryEveryMs = 3_000;

async function allow(server: RedisServer, ...rules: string[]): Promise<void> {
  await server.admin().call("ACL", "SETUSER", "app", "reset", ...everything, ...rules);
}

/** Opened while the replica forbids nothing yet, so that it is known to be fresh. */
async function open(options: Parameters<typeof stage.open>[0] = {}): Promise<Tidemark> {
  const replica = replicaOf(stage.group);
  for (const server of [stage.group.primary, replica]) await allow(server);
  await stage.group.primary.admin().set("k", "v");
  await stage.group.primary.admin().set("other:k", "v");
  await stage.group.caughtUp();
  const redis = { username: "app", password: "pw", ...options.redis };
  return stage.open({ replicas: [replica.url], ...options, redis });
}

function read(tidemark: Tidemark, key = "k"): Promise<string | null> {
  return tidemark.session().redis.get(key);
}

function stateOf(tidemark: Tidemark): string | undefined {
  return tidemark.topology()[1]?.state;
}

function isOfReplica(route: string): boolean {
  return route.startsWith("replica:");
}

describe.concurrent("a replica whose ACL forbids reads", () => {
  it.each<[string, readonly string[], RegExp]>([
    ["the command", ["-get"], /NOPERM .*'get'/],
    ["the key", ["resetkeys", "~other:*"], /NOPERM .*key/],
  ])(
    "by %s produces a warning, is retried every three seconds and is used again",
    async (_what, rules, words) => {
      using warnings = listenToWarnings();
      const tidemark = await open();
      await allow(replicaOf(stage.group), ...rules);
      using routes = listenToRoutes();
      await waitUntil(async () => (await read(tidemark)) === "v" && stateOf(tidemark) === "refusing", {
        what: "the replica refuses",
      });
      expect(routes.of("get").filter(isOfReplica)).toHaveLength(5);
      routes.clear();
      const since = performance.now();
      const warned = (): string[] => warnings.of(unusable);
      await waitUntil(async () => (await read(tidemark)) === "v" && warned().length > 0, {
        what: "a warning was emitted",
        timeoutMs: 20_000,
      });
      expect(tidemark.topology()[1]).toMatchObject({ eligible: false, reason: expect.stringMatching(words) });
      const expected = [words.source, "the primary answers every read", "give the ACL user.*\\+@read ~\\*"];
      expect(warned()).toEqual([expect.stringMatching(expected.join(".*"))]);
      const tries = routes.of("get").filter(isOfReplica).length;
      expect(tries).toBeGreaterThan(0);
      expect(tries).toBeLessThanOrEqual((performance.now() - since) / tryEveryMs + 1);
      expect(routes.of("get")).toContain("primary:unusable");
      await allow(replicaOf(stage.group));
      await waitUntil(
        async () => (await read(tidemark)) === "v" && warnings.of("TIDEMARK_REPLICA_USABLE").length > 0,
        { what: "the replica is used again" },
      );
      expect(stateOf(tidemark)).toBe("serving");
      expect(warned()).toHaveLength(1);
    },
  );

  it('is detected with verify: "always" too', async () => {
    const tidemark = await open({ verify: "always" });
    await allow(replicaOf(stage.group), "-get");
    await waitUntil(async () => (await read(tidemark)) === "v" && stateOf(tidemark) === "refusing", {
      what: "the replica refuses",
    });
    await allow(replicaOf(stage.group));
    await waitUntil(async () => (await read(tidemark)) === "v" && stateOf(tidemark) === "serving", {
      what: "the replica is used again",
    });
  });

  it("delays no read", async () => {
    const tidemark = await open();
    await allow(replicaOf(stage.group), "-get");
    await waitUntil(async () => (await read(tidemark)) === "v" && stateOf(tidemark) === "refusing", {
      what: "the replica refuses",
    });
    const session = tidemark.session({ level: { level: "session", waitMs: 60_000 } });
    await session.redis.set("k", "w");
    expect(await session.redis.get("k")).toBe("w");
  });

  it("is tried after the others when the primary is gone", async () => {
    const tidemark = await open({ primaryTimeoutMs: 500 });
    await allow(replicaOf(stage.group), "-get");
    await waitUntil(async () => (await read(tidemark)) === "v" && stateOf(tidemark) === "refusing", {
      what: "the replica refuses",
    });
    await stage.group.primary.kill();
    await allow(replicaOf(stage.group));
    const eventual = tidemark.session({ level: "eventual" });
    await waitUntil(async () => (await eventual.redis.get("k")) === "v", { what: "the replica answers" });
  });
});

describe.concurrent("a command that the user may use on no server", () => {
  it("does not exclude a replica, however often it is refused", async () => {
    using warnings = listenToWarnings();
    const tidemark = await open();
    for (const server of [stage.group.primary, replicaOf(stage.group)]) await allow(server, "-strlen");
    const position = tidemark.topology()[1]?.position;
    expect(position).toBeDefined();
    for (let round = 0; round < 3; round += 1) {
      using routes = listenToRoutes();
      const calls = Array.from({ length: 20 }, () => tidemark.session().redis.strlen("k"));
      for (const outcome of await Promise.allSettled(calls))
        expect(outcome).toMatchObject({ reason: { message: expect.stringMatching(/^NOPERM .*'strlen'/) } });
      expect(routes.of("strlen").filter(isOfReplica).length).toBeGreaterThan(0);
      // Not even for a moment: what is known of the replica is still believed.
      expect(tidemark.topology()[1]).toMatchObject({ state: "serving", position: expect.anything() });
    }
    using routes = listenToRoutes();
    await waitUntil(async () => (await read(tidemark)) === "v" && routes.of("get").some(isOfReplica), {
      what: "the replica answers",
    });
    expect(warnings.of(unusable)).toEqual([]);
  });
});

describe.concurrent("a command that only the replica forbids", () => {
  it("does not exclude the replica from other commands", async () => {
    const tidemark = await open();
    await allow(replicaOf(stage.group), "-strlen");
    using routes = listenToRoutes();
    for (let round = 0; round < 20; round += 1) {
      expect(await tidemark.session().redis.strlen("k")).toBe(1);
      await waitUntil(
        async () => (await read(tidemark)) === "v" && isOfReplica(routes.of("get").at(-1) ?? ""),
        { what: "the replica answers" },
      );
      expect(stateOf(tidemark)).toBe("serving");
    }
    expect(routes.of("strlen").filter(isOfReplica).length).toBeGreaterThan(5);
  });
});
