/** Servers given in the wrong place: one sentence says so, and where they belong. */
import type { RedisOptions } from "ioredis";
import { describe, expect, it } from "vitest";
import { InvalidOptionError, NotPrimaryError, Tidemark, type TidemarkOptions } from "../../src/index.js";
import { hasDoublings } from "../support/doublings.js";
import { listenToRoutes } from "../support/listeners/routes.js";
import { listenToWarnings } from "../support/listeners/warnings.js";
import { replicaOf } from "../support/servers/failover.js";
import { RedisServer } from "../support/servers/redis-server.js";
import { stageGroup } from "../support/stages/staged-group.js";
import { waitUntil } from "../support/wait-until.js";

const stage = stageGroup({ replicas: 1 });
const unusable = "TIDEMARK_REPLICA_UNUSABLE";
const unreachable = "TIDEMARK_PRIMARY_UNREACHABLE";
const warnedMs = 20_000;

function open(options: TidemarkOptions): Tidemark {
  const tidemark = new Tidemark(options);
  stage.owe({ stop: () => tidemark.close({ timeoutMs: 0 }) });
  return tidemark;
}

describe.concurrent("a replica that is the primary", () => {
  const primary = "redis://10.0.0.1:6379";

  it.each<[string, Pick<TidemarkOptions, "primary" | "replicas">]>([
    ["the same URL", { primary, replicas: ["redis://10.0.0.2", primary] }],
    ["no port", { primary, replicas: ["redis://10.0.0.2", "redis://10.0.0.1"] }],
    ["options", { primary, replicas: ["redis://10.0.0.2", { host: "10.0.0.1", port: 6379 }] }],
    ["another user", { primary, replicas: ["redis://10.0.0.2", "redis://app:pw@10.0.0.1"] }],
    ["capital letters", { primary: "redis://db.internal", replicas: ["redis://a", "redis://DB.internal"] }],
    ["a socket", { primary: "/run/redis.sock", replicas: ["redis://a", { path: "/run/redis.sock" }] }],
    ["no host", { primary: { port: 1 }, replicas: [{ port: 2 }, { host: "localhost", port: 1 }] }],
  ])("is refused by its address, given as %s", (_what, servers) => {
    const make = (): Tidemark => open(servers as TidemarkOptions);
    expect(make).toThrow(InvalidOptionError);
    expect(make).toThrow(
      /^replicas\[1\]: this is the address of the primary\. Pass the address of a replica/,
    );
  });

  it("under another name causes a warning, and answers nothing", async () => {
    using warnings = listenToWarnings();
    const { port } = stage.group.primary;
    const tidemark = open({ primary: `redis://localhost:${port}`, replicas: [`redis://127.0.0.1:${port}`] });
    using routes = listenToRoutes();
    await waitUntil(
      async () => {
        await tidemark.session().redis.get("k");
        return warnings.of(unusable).length > 0;
      },
      { what: "a warning was emitted", timeoutMs: warnedMs },
    );
    expect(warnings.of(unusable)).toEqual([
      expect.stringMatching(
        RegExp(
          `^Replica 127.0.0.1:${port} answers no reads: it is a primary itself, with the same replication id as the known ` +
            `primary, so it may be the same server by another name\\..* If it is the same server as localhost:${port}, remove it`,
        ),
      ),
    ]);
    expect(tidemark.topology()[1]?.state).toBe("other-primary");
    expect(routes.of("get").filter((route) => route.startsWith("replica"))).toEqual([]);
  });
});

describe.concurrent("a Sentinel", () => {
  async function startSentinel(): Promise<RedisServer> {
    const sentinel = await RedisServer.start({ args: ["--sentinel"], config: "" });
    stage.owe(sentinel);
    return sentinel;
  }

  const words =
    /127\.0\.0\.1:\d+: this is a Sentinel, which holds no data\. Pass it in `sentinels`, and its name for the primary as `name`/;

  /** Every way that ioredis begins a connection, with and without a database to select. */
  const all: readonly [what: string, redis: RedisOptions][] = [
    ["the defaults", {}],
    ["RESP2", { protocol: 2 }],
    ["no ready check", { enableReadyCheck: false }],
    ["RESP2 and no ready check", { protocol: 2, enableReadyCheck: false }],
    ["a database", { db: 3 }],
    ["a database, RESP2 and no ready check", { db: 3, protocol: 2, enableReadyCheck: false }],
  ];
  const handshakes = all.filter(([what]) => hasDoublings || !what.includes(" and "));

  it.each(handshakes)(
    "given as the primary makes every call say that it is a Sentinel, with %s",
    async (_what, redis) => {
      using warnings = listenToWarnings();
      const sentinel = await startSentinel();
      const tidemark = open({ primary: sentinel.url, redis });
      const calls = [
        tidemark.redis.set("k", "v"),
        tidemark.session().redis.get("k"),
        tidemark.redis.multi().set("k", "v").exec(),
        tidemark.redis.blpop("list", 1),
        tidemark.ready(),
      ];
      for (const outcome of await Promise.allSettled(calls)) {
        expect(outcome.status).toBe("rejected");
        const { reason } = outcome as PromiseRejectedResult;
        expect(reason).toBeInstanceOf(InvalidOptionError);
        expect(reason.message).toMatch(words);
      }
      await waitUntil(() => warnings.of(unreachable).length > 0, { what: "a warning was emitted" });
      expect(warnings.heard.map(({ message }) => message)).toEqual([expect.stringMatching(words)]);
      expect(tidemark.topology()).toMatchObject([
        { state: "refusing", reason: expect.stringMatching(words) },
      ]);
    },
  );

  it.each(handshakes)(
    "given as a replica causes a warning that says it is a Sentinel, with %s",
    async (_what, redis) => {
      using warnings = listenToWarnings();
      const sentinel = await startSentinel();
      const tidemark = open({ primary: stage.group.primary.url, replicas: [sentinel.url], redis });
      await tidemark.session().redis.set("k", "v");
      await waitUntil(() => warnings.of(unusable).length > 0, {
        what: "a warning was emitted",
        timeoutMs: warnedMs,
      });
      expect(warnings.heard.map(({ message }) => message)).toEqual([expect.stringMatching(words)]);
      expect(warnings.of(unusable)[0]).toMatch(/remove `primary` and `replicas`/);
      expect(await tidemark.session().redis.get("k")).toBe("v");
    },
  );
});

describe.concurrent("a replica given as the primary", () => {
  it("makes commands and a warning name the primary, until the replica is promoted", async () => {
    using warnings = listenToWarnings();
    const replica = replicaOf(stage.group);
    const { master_host: host, master_port: port } = await replica.info("replication");
    const tidemark = open({ primary: replica.url, replicas: [], primaryTimeoutMs: 500 });
    const advice = `it replicates from ${host}:${port}`;
    for (const call of [() => tidemark.redis.set("k", "v"), () => tidemark.session().redis.get("k")]) {
      const error = await call().catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(NotPrimaryError);
      expect(String(error)).toContain(
        `${replica.port} is not a primary, because ${advice}. Set \`primary\` to that server.`,
      );
    }
    await waitUntil(() => warnings.of(unreachable).length > 0, {
      what: "a warning was emitted",
      timeoutMs: warnedMs,
    });
    expect(warnings.of(unreachable)).toEqual([
      `The Redis server at 127.0.0.1:${replica.port} is not a primary: ${advice}. Set \`primary\` to that server.`,
    ]);
    await replica.replicate(undefined);
    await waitUntil(() => warnings.of("TIDEMARK_PRIMARY_REACHED").length > 0, {
      what: "the server is reported as the primary",
    });
    expect(await tidemark.redis.set("k", "v")).toBe("OK");
    expect(warnings.of(unreachable)).toHaveLength(1);
  });

  it("is accepted when the primary is among the replicas", async () => {
    using warnings = listenToWarnings();
    const replica = replicaOf(stage.group);
    const tidemark = open({ primary: replica.url, replicas: [stage.group.primary.url] });
    expect(await tidemark.redis.set("k", "v")).toBe("OK");
    expect(warnings.heard).toEqual([]);
  });
});
