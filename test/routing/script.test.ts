/** Scripts: those that may write go to the primary, and those declared to be read-only go wherever reads go. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { SessionClient, Tidemark } from "../../src/index.js";
import { listenToRoutes } from "../support/listeners/routes.js";
import { hasReadOnlyScripts } from "../support/servers/abilities.js";
import { holdReplicas, releaseReplicas } from "../support/servers/held-replicas.js";
import { type ReplicationGroup, startReplicationGroup } from "../support/servers/replication-group.js";
import { replicasAreEligible } from "../support/stages/eligible-replicas.js";
import { type GroupOptions, openTidemark } from "../support/stages/open-tidemark.js";

// On a loaded machine the word of the replica may be too old to be believed without asking.
const onReplica: unknown = expect.stringMatching(/^replica:(known|checked)$/);

let group: ReplicationGroup;
let opened: Tidemark[];

beforeAll(async () => {
  group = await startReplicationGroup({ replicas: 2 });
});

afterAll(() => group.stop());

beforeEach(() => {
  opened = [];
});

afterEach(async () => {
  await Promise.all(opened.map((tidemark) => tidemark.close()));
  await releaseReplicas(group);
});

async function open(options: GroupOptions = {}): Promise<Tidemark> {
  const tidemark = openTidemark(group, options);
  opened.push(tidemark);
  await replicasAreEligible(tidemark);
  tidemark.redis.defineCommand("look", {
    numberOfKeys: 1,
    readOnly: true,
    lua: "return redis.call('get', KEYS[1])",
  });
  tidemark.redis.defineCommand("change", {
    numberOfKeys: 1,
    lua: "return redis.call('incr', KEYS[1])",
  });
  tidemark.redis.defineCommand("lie", {
    numberOfKeys: 1,
    readOnly: true,
    lua: "return redis.call('incr', KEYS[1])",
  });
  return tidemark;
}

/** Calls a command that was defined by a test. */
function own(redis: SessionClient, name: string, ...args: string[]): Promise<unknown> {
  return Reflect.get(redis, name).apply(redis, args);
}

async function flushScripts(): Promise<void> {
  for (const server of [group.primary, ...group.replicas.map(({ server }) => server)]) {
    await server.admin().script("FLUSH");
  }
}

/** How many commands of that name the servers have carried out or refused: the primary, then the replicas. */
async function calls(name: string): Promise<number[]> {
  const servers = [group.primary, ...group.replicas.map(({ server }) => server)];
  return Promise.all(servers.map((server) => server.commandCalls(name)));
}

describe("A script of defineCommand", () => {
  it("is read from a replica when it is declared to be read-only, alone and in pipelines", async () => {
    const tidemark = await open();
    const { redis } = tidemark.session();
    using routes = listenToRoutes();
    await own(redis, "look", "k");
    const pipeline = redis.pipeline().get("k");
    Reflect.get(pipeline, "look").call(pipeline, "k");
    await pipeline.exec();
    expect(routes.of("get")).toEqual([onReplica]);
    expect([...routes.of("evalsha"), ...routes.of("eval")]).toEqual([onReplica, onReplica]);
  });

  it("sees the session's own writes despite any lag", async () => {
    const tidemark = await open();
    const { redis } = tidemark.session();
    await redis.del("n");
    await own(redis, "look", "n");
    holdReplicas(group);
    expect(await own(redis, "change", "n")).toBe(1);
    expect(await own(redis, "look", "n")).toBe("1");
  });

  it("is a write with a position when it is not declared as read-only", async () => {
    const tidemark = await open();
    const session = tidemark.session();
    await own(session.redis, "change", "n");
    expect([session.wrote, session.pinned, session.token() === ""]).toEqual([true, false, false]);
  });

  it.each(["primary", "error"] as const)(
    "is resent in full to a replica that has forgotten it (fallback %s)",
    async (fallback) => {
      const tidemark = await open({ fallback });
      const { redis } = tidemark.session();
      for (let i = 0; i < 20; i++) await own(tidemark.session().redis, "look", "k");
      await flushScripts();
      const [primary] = await calls("eval");
      using routes = listenToRoutes();
      for (let i = 0; i < 20; i++) await own(tidemark.session().redis, "look", "k");
      await own(redis, "look", "k");
      expect((await calls("eval"))[0]).toBe(primary);
      const roles = [...routes.of("evalsha"), ...routes.of("eval")].map((route) => route.split(":")[0]);
      expect(new Set(roles)).toEqual(new Set(["replica"]));
    },
  );

  it("is rejected after it was sent in full once, even when every read is proven", async () => {
    for (const verify of ["when-needed", "always"] as const) {
      const tidemark = await open({ verify });
      tidemark.redis.defineCommand("complain", {
        numberOfKeys: 0,
        readOnly: true,
        lua: "return redis.error_reply('NOSCRIPT of my own')",
      });
      const { redis } = tidemark.session();
      await own(redis, "look", "k");
      await flushScripts();
      expect(await own(redis, "look", "k")).toBeNull();
      await expect(own(redis, "complain")).rejects.toThrow("NOSCRIPT of my own");
    }
  });

  it("that writes although declared read-only is refused, and is trusted as before", async () => {
    const tidemark = await open();
    const { redis } = tidemark.session();
    await expect(own(redis, "lie", "n")).rejects.toThrow(/READONLY/);
    using routes = listenToRoutes();
    await redis.get("k");
    expect(routes.of("get")).toEqual([onReplica]);
  });

  it("that a session defines is defined for all sessions, as on any connection", async () => {
    const tidemark = await open();
    const { redis } = tidemark.session();
    redis.at("strong").defineCommand("late", { numberOfKeys: 0, lua: "return 7" });
    expect(await own(tidemark.session().redis, "late")).toBe(7);
    const pipeline = tidemark.redis.pipeline();
    Reflect.get(pipeline, "late").call(pipeline);
    expect(await pipeline.exec()).toEqual([[null, 7]]);
  });
});

describe.runIf(hasReadOnlyScripts)("A script by its text or hash", () => {
  it("goes to the primary, and its _RO form to a replica", async () => {
    const tidemark = await open();
    const { redis } = tidemark.session();
    using routes = listenToRoutes();
    await redis.call("EVAL_RO", "return 1", "0");
    expect(await redis.eval("return redis.call('set', KEYS[1], 1)", 1, "k")).toBe("OK");
    expect([routes.of("eval_ro"), routes.of("eval")]).toEqual([[onReplica], ["primary:not-a-read"]]);
  });

  it.each(["primary", "error"] as const)(
    "is answered by the primary when a replica does not know it (fallback %s)",
    async (fallback) => {
      const tidemark = await open({ fallback });
      await flushScripts();
      const sha = String(await group.primary.admin().script("LOAD", "return 42"));
      expect(await tidemark.session().redis.call("EVALSHA_RO", sha, "0")).toBe(42);
      await expect(tidemark.session().redis.call("EVALSHA_RO", "0".repeat(40), "0")).rejects.toThrow(
        "NOSCRIPT",
      );
    },
  );
});
