/** Operators are warned of each unusable replica, with the cause and the remedy, and are notified when it is usable again. */
import { describe, expect, it } from "vitest";
import { type CommonOptions, type PrimaryServers, Tidemark } from "../../src/index.js";
import { listenToRoutes } from "../support/listeners/routes.js";
import { listenToWarnings } from "../support/listeners/warnings.js";
import { ClockProxy } from "../support/proxies/clock-proxy.js";
import { RewritingProxy } from "../support/proxies/rewriting-proxy.js";
import { failOver, replicaOf } from "../support/servers/failover.js";
import { freePort } from "../support/servers/free-port.js";
import { RedisServer, type RedisServerOptions } from "../support/servers/redis-server.js";
import { listenToTopology } from "../support/servers/topology-changes.js";
import { replicasAreEligible } from "../support/stages/eligible-replicas.js";
import { stageGroup } from "../support/stages/staged-group.js";
import { waitUntil } from "../support/wait-until.js";

const stage = stageGroup({ replicas: 1 });
const unusable = "TIDEMARK_REPLICA_UNUSABLE";

function open(servers: Partial<PrimaryServers & CommonOptions> = {}): Tidemark {
  const tidemark = new Tidemark({ primary: stage.group.primary.url, ...servers });
  tidemark.redis.on("error", () => {});
  stage.owe({ stop: () => tidemark.close() });
  return tidemark;
}

async function start(options: RedisServerOptions = {}): Promise<RedisServer> {
  const server = await RedisServer.start(options);
  stage.owe(server);
  return server;
}

describe.concurrent("a replica that cannot be used", () => {
  it("produces one warning with its address, the cause and the remedy", async () => {
    const { primary } = stage.group;
    const [alone, other] = [await start(), await start()];
    const foreign = await start({ replicaOf: other });
    const locked = await start({ replicaOf: primary, args: ["--requirepass", "pw"] });
    const silent = await start({ replicaOf: primary });
    await silent.admin().call("ACL", "SETUSER", "app", "reset", "on", ">pw", "~*", "+@all", "-@dangerous");
    const proxy = await ClockProxy.start({ targetPort: replicaOf(stage.group).port });
    stage.owe(proxy);
    proxy.aheadSeconds = 60;
    const dead = await freePort();
    using warnings = listenToWarnings();
    const tidemark = open({
      replicas: [
        ...[alone.url, foreign.url, locked.url.replace(":pw@", ""), `redis://127.0.0.1:${dead}`],
        ...[`redis://app:pw@127.0.0.1:${silent.port}`, `redis://127.0.0.1:${proxy.port}`],
      ],
    });
    await waitUntil(
      async () => {
        await tidemark.session().redis.get("k");
        return warnings.of(unusable).length >= 6;
      },
      { what: "all six warnings were emitted", timeoutMs: 15_000 },
    );
    const expected: readonly [number, RegExp][] = [
      [alone.port, /is a primary itself, and its replication id differs from the known primary's.*REPLICAOF/],
      [foreign.port, RegExp(`replicates from 127.0.0.1:${other.port}, and its replication id.*REPLICAOF`)],
      [locked.port, /NOAUTH.*password/],
      [dead, /ECONNREFUSED.*host, port and TLS/],
      [silent.port, /NOPERM.*\+info/],
      [proxy.port, /clock differs.*maxClockSkewMs/],
    ];
    for (const [port, pattern] of expected) {
      const said = warnings.of(unusable).filter((message) => message.includes(`127.0.0.1:${port} `));
      expect(said).toEqual([expect.stringMatching(pattern)]);
      expect(said[0]).toContain("the primary answers every read");
    }
    using routes = listenToRoutes();
    await tidemark.session().redis.get("k");
    expect(routes.of("get")).toEqual(["primary:unusable"]);
    expect(tidemark.topology().map(({ state }) => state)).toEqual([
      ...["serving", "other-primary", "unknown-history", "unauthorized", "silent", "unknown-position"],
      "skewed",
    ]);
  });

  it.each([
    ["refuses connections", "127.0.0.1"],
    ["does not respond", "10.255.255.1"],
  ])(
    "at an announced address that %s produces a warning that names natMap, without any read",
    async (_, host) => {
      const port = await freePort();
      const args = ["--replica-announce-ip", host, "--replica-announce-port", String(port)];
      await start({ replicaOf: stage.group.primary, args });
      using warnings = listenToWarnings();
      open();
      await waitUntil(() => warnings.of(unusable).length > 0, { what: "a warning was emitted" });
      expect(warnings.of(unusable)).toEqual([expect.stringMatching(RegExp(`${host}:${port} .*natMap`))]);
      expect(warnings.of(unusable)[0]).not.toContain("the primary answers every read");
    },
  );

  it("that was stopped produces a warning that does not doubt its address", async () => {
    const replica = replicaOf(stage.group);
    const tidemark = await stage.open();
    using warnings = listenToWarnings();
    replica.pause();
    const isWarned = async (): Promise<boolean> => {
      await tidemark.session().redis.get("k");
      return warnings.of(unusable).length > 0;
    };
    await waitUntil(isWarned, { what: "a warning was emitted", timeoutMs: 20_000 });
    replica.resume();
    const [warning] = warnings.of(unusable);
    expect(warning).toMatch(/has not answered commands.*process is stopped/);
    expect(warning).not.toContain("host, port");
  });

  it("is reported as usable again, and produces a new warning when it fails again", async () => {
    const replica = replicaOf(stage.group);
    const tidemark = await stage.open();
    using warnings = listenToWarnings();
    using changes = listenToTopology();
    for (const times of [1, 2]) {
      await replica.kill();
      await waitUntil(() => warnings.of(unusable).length === times, { what: "the warning was emitted" });
      await replica.restart();
      await replica.replicate(stage.group.replicas[0]?.link);
      await replicasAreEligible(tidemark);
      const isBack = (): boolean => warnings.of("TIDEMARK_REPLICA_USABLE").length === times;
      await waitUntil(isBack, { what: "the recovery was reported" });
    }
    const told = changes.of(replica);
    expect(told).toContain("state replica silent");
    expect(told.at(-1)).toBe("state replica serving");
    const gone = changes.heard.find(({ state }) => state === "silent");
    expect(gone).toMatchObject({ eligible: false, reason: expect.stringContaining("not connected") });
  });

  it("produces no warning after a restart or a failover, and the cause of the failover is published", async () => {
    using warnings = listenToWarnings();
    using changes = listenToTopology();
    const replica = replicaOf(stage.group);
    const tidemark = await stage.open();
    await replica.restart();
    await replicasAreEligible(tidemark);
    await failOver(stage.group, replica);
    await waitUntil(
      async () => {
        await tidemark.session().redis.get("k");
        return tidemark.topology()[0]?.address.endsWith(`:${replica.port}`) === true;
      },
      { what: "the failover is noticed" },
    );
    await replicasAreEligible(tidemark);
    expect([...warnings.of(unusable), ...warnings.of("TIDEMARK_REPLICA_USABLE")]).toEqual([]);
    const address = `${replica.host}:${replica.port}`;
    const causes = changes.heard.filter(({ change }) => change === "role");
    expect(causes).toContainEqual(
      expect.objectContaining({
        tidemark,
        node: address,
        role: "primary",
        cause: expect.stringMatching(/^it reports/),
      }),
    );
    const demoted = causes.find(({ role }) => role === "replica");
    expect(demoted?.cause).toMatch(RegExp(`^${address} is the primary now: it reports`));
    expect(changes.heard.filter(({ change, cause }) => change !== "role" && cause !== undefined)).toEqual([]);
  });
});

describe.concurrent("a replica that refuses commands", () => {
  /** A user "app" of the primary and the replica, of whom the replica has further rules. */
  async function allow(...rules: string[]): Promise<void> {
    const user = ["SETUSER", "app", "reset", "on", ">pw", "~*", "&*", "+@all"];
    await stage.group.primary.admin().call("ACL", ...user);
    await replicaOf(stage.group)
      .admin()
      .call("ACL", ...user, ...rules);
  }

  function openAsApp(): Tidemark {
    return open({ replicas: [replicaOf(stage.group).url], redis: { username: "app", password: "pw" } });
  }

  /** Reads until the replica is in a state. */
  async function readUntil(tidemark: Tidemark, state: string): Promise<void> {
    await waitUntil(
      async () => {
        await tidemark.session().redis.get("k");
        return tidemark.topology()[1]?.state === state;
      },
      { what: `the replica is ${state}`, timeoutMs: 15_000 },
    );
  }

  it('because a script runs has the state "refusing" and the replica\'s own error as the reason', async () => {
    const tidemark = await stage.open({ replicas: [replicaOf(stage.group).url] });
    const admin = replicaOf(stage.group).admin();
    await admin.config("SET", "busy-reply-threshold", "50");
    const script = admin.duplicate();
    const running = script.call("EVAL", "while true do end", "0").catch(() => {});
    try {
      await readUntil(tidemark, "refusing");
      expect(tidemark.topology()[1]?.reason).toMatch(/^BUSY /);
    } finally {
      await admin.call("SCRIPT", "KILL");
      await running;
      script.disconnect();
    }
    await readUntil(tidemark, "serving");
  });

  it.each([
    ["an idle process", async () => {}],
    // Reads ask the replicas all the time, but not by INFO.
    ["a busy process", (tidemark: Tidemark) => tidemark.session().redis.get("k")],
  ])(
    "by an ACL without INFO produces one warning, and %s uses it soon after the rule is added",
    async (_what, act) => {
      await allow("-info");
      using warnings = listenToWarnings();
      const tidemark = openAsApp();
      await waitUntil(() => warnings.of(unusable).length > 0, {
        what: "a warning was emitted",
        timeoutMs: 15_000,
      });
      expect(warnings.heard.map(({ message }) => message)).toEqual([
        expect.stringMatching(/^Replica .*NOPERM.*on this replica with the ACL rule \+info/),
      ]);
      await replicaOf(stage.group).admin().call("ACL", "SETUSER", "app", "+info");
      const isUsed = async (): Promise<boolean> => {
        await act(tidemark);
        return tidemark.topology()[1]?.state === "serving";
      };
      await waitUntil(isUsed, { what: "the replica is used", timeoutMs: 4_000 });
      expect(tidemark.topology()[1]?.proof).toBe("position");
    },
  );

  it("names its primary when only the primary has no position", async () => {
    const proxy = await RewritingProxy.start({ targetPort: stage.group.primary.port });
    stage.owe(proxy);
    proxy.rewrite = (text) => text.replace("master_replid:", "x:");
    using warnings = listenToWarnings();
    const tidemark = open({
      primary: `redis://127.0.0.1:${proxy.port}`,
      replicas: [replicaOf(stage.group).url],
    });
    await readUntil(tidemark, "unknown-position");
    expect(tidemark.topology()[1]?.reason).toMatch(
      /^the position of the primary is unknown: INFO .*Use the address of the Redis server itself/,
    );
    expect(warnings.of("TIDEMARK_POSITION_UNKNOWN")).toEqual([expect.not.stringContaining("Allow INFO")]);
  });
});

describe.concurrent("without INFO", () => {
  it("no replica is discovered, and the warning says so and names the option to set", async () => {
    await stage.group.primary
      .admin()
      .call("ACL", "SETUSER", "app", "reset", "on", ">pw", "~*", "+@all", "-@dangerous");
    using warnings = listenToWarnings();
    const tidemark = open({ redis: { username: "app", password: "pw" } });
    using routes = listenToRoutes();
    await tidemark.ready();
    const code = "TIDEMARK_POSITION_UNKNOWN";
    await waitUntil(() => warnings.of(code).length > 0, { what: "a warning was emitted" });
    expect(warnings.of(code)).toEqual([expect.stringMatching(/discovers no replicas.*replicas: \["redis:/)]);
    await tidemark.session().redis.get("k");
    expect(routes.of("get")).toEqual(["primary:no-replica"]);
  });
});

describe.concurrent("tidemark:topology", () => {
  it("reports servers that join, change their role and leave", async () => {
    using changes = listenToTopology();
    const tidemark = open({ maxStalenessMs: 500 });
    const { primary } = stage.group;
    const replica = replicaOf(stage.group);
    const reading = async (isDone: () => boolean, what: string): Promise<void> => {
      await waitUntil(
        async () => {
          await tidemark.session().redis.get("k");
          return isDone();
        },
        { what },
      );
    };
    await reading(() => changes.of(replica).at(-1)?.endsWith("replica serving") ?? false, "it is used");
    expect(changes.of(replica)[0]).toMatch(/^joined replica /);
    expect(changes.of(primary)[0]).toMatch(/^joined primary /);
    await failOver(stage.group, replica);
    await reading(() => changes.of(replica).some((one) => one.startsWith("role primary")), "it is promoted");
    await reading(
      () => changes.of(primary).at(-1)?.endsWith("replica serving") ?? false,
      "the old one is used",
    );
    expect(changes.of(primary).some((one) => one.startsWith("role replica"))).toBe(true);
    await primary.kill();
    await reading(() => changes.of(primary).at(-1)?.startsWith("left replica") ?? false, "it is let go");
  });
});

describe.concurrent("the reason of a read at a healthy start", () => {
  it.each(["given", "discovered"])("is starting until %s replicas are known, never behind", async (kind) => {
    const replicas = kind === "given" ? { replicas: [replicaOf(stage.group).url] } : {};
    await stage.group.primary.admin().set("k", "v");
    await stage.group.caughtUp();
    using routes = listenToRoutes();
    const tidemark = open(replicas);
    await waitUntil(
      async () => {
        await tidemark.session().redis.get("k");
        return routes.of("get").at(-1)?.startsWith("replica:") ?? false;
      },
      { what: "a replica answers" },
    );
    const reasons = new Set(routes.of("get").slice(0, -1));
    expect(routes.of("get")[0]).toBe("primary:starting");
    for (const reason of reasons) expect(["primary:starting", "primary:check-failed"]).toContain(reason);
  });
});

describe.concurrent("topology()", () => {
  it("reports no lag of a primary that was never reached", async () => {
    const port = await freePort();
    const tidemark = open({ primary: `redis://127.0.0.1:${port}`, replicas: [] });
    await waitUntil(() => tidemark.topology()[0]?.state === "silent", {
      what: "the primary is known to be silent",
    });
    expect(tidemark.topology()).toMatchObject([
      { lagBytes: undefined, lagMs: undefined, clockSkewMs: undefined, position: undefined, eligible: false },
    ]);
  });

  it("does not count an idle process as lag of its replicas", async () => {
    const tidemark = await stage.open({ maxStalenessMs: 500 });
    const ageOf = (): number => tidemark.topology()[1]?.positionAgeMs ?? 0;
    await waitUntil(() => ageOf() > 1_500, { what: "the primary was not asked for 1.5 s" });
    const [, replica] = tidemark.topology();
    expect(replica).toMatchObject({ eligible: true, state: "serving", lagBytes: 0 });
    expect(replica?.lagMs).toBeLessThan(500);
  });
});

// Alone, because it holds up all others.
describe("a process that was blocked", () => {
  it("produces no warning about a replica that restarted meanwhile", async () => {
    const replica = replicaOf(stage.group);
    const tidemark = await stage.open();
    using warnings = listenToWarnings();
    using changes = listenToTopology();
    await replica.kill();
    await waitUntil(() => changes.of(replica).includes("state replica silent"), {
      what: "the replica is silent",
    });
    const restart = replica.restart();
    await waitUntil(() => replica.isAlive, { what: "the replica has started" });
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 6_000);
    await restart;
    await replica.replicate(stage.group.replicas[0]?.link);
    await replicasAreEligible(tidemark);
    expect(warnings.of(unusable)).toEqual([]);
  });
});
