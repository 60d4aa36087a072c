/** How a session remembers its connection to a replica, and how it goes on when that connection ends. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Tidemark } from "../../src/index.js";
import { listenToRoutes } from "../support/listeners/routes.js";
import { TcpProxy } from "../support/proxies/tcp-proxy.js";
import { ThrottledProxy } from "../support/proxies/throttled-proxy.js";
import type { RedisServer } from "../support/servers/redis-server.js";
import {
  type GroupReplica,
  type ReplicationGroup,
  startReplicationGroup,
} from "../support/servers/replication-group.js";
import { endLoading, fill, isLoading, slowLoading } from "../support/servers/slow-loading.js";
import { replicasAreEligible } from "../support/stages/eligible-replicas.js";
import { type GroupOptions, openTidemark } from "../support/stages/open-tidemark.js";
import { waitUntil } from "../support/wait-until.js";

let group: ReplicationGroup;
let opened: Tidemark[];

beforeEach(async () => {
  group = await startReplicationGroup({ replicas: 2 });
  opened = [];
});

afterEach(async () => {
  await Promise.all(opened.map((tidemark) => tidemark.close()));
  await group.stop();
});

/** A Tidemark that is about to read from its replicas. */
async function open(replicas: readonly string[], options: GroupOptions = {}): Promise<Tidemark> {
  const tidemark = openTidemark(group, { replicas, ...options });
  opened.push(tidemark);
  await replicasAreEligible(tidemark);
  return tidemark;
}

/** The replica that is read from, and the one it is repointed to. */
function pair(): readonly [GroupReplica, GroupReplica] {
  const [read, behind] = group.replicas;
  if (read === undefined || behind === undefined) throw new Error("the group has no two replicas");
  return [read, behind];
}

async function has(server: RedisServer, value: string): Promise<void> {
  await waitUntil(async () => (await server.admin().get("k")) === value, {
    what: `k is ${value} on the server`,
  });
}

describe("a replica that is repointed to a lagging one", () => {
  beforeEach(async () => {
    await group.primary.admin().set("k", "old");
    await group.caughtUp();
  });

  it("never shows a session older data, even when another session was the first to meet LOADING", async () => {
    const [{ server: read }, { server: behind, link }] = pair();
    // Nobody asks the replica for its position by himself meanwhile, and over RESP2 it does not report that it loads.
    const patience = { probeIntervalMs: 100_000, maxStalenessMs: 50_000, redis: { protocol: 2 } } as const;
    const tidemark = await open([read.url], patience);
    link.hold();
    await group.primary.admin().set("k", "new");
    await has(read, "new");
    await fill(behind);
    const session = tidemark.session();
    expect(await session.redis.get("k")).toBe("new");
    await slowLoading(read);
    await read.replicate(behind);
    await waitUntil(() => isLoading(read), { what: "the replica loads" });
    using routes = listenToRoutes();
    await tidemark.session().redis.get("k");
    expect(routes.of("get")).toEqual(["replica:known", "primary:replica-failed"]);
    await endLoading(read);
    await replicasAreEligible(tidemark);
    expect(await read.admin().get("k")).toBe("old");
    for (let i = 0; i < 20; i++) expect(await session.redis.get("k")).toBe("new");
  });

  it('never shows an old value of the session\'s own write with verify "always"', async () => {
    const [{ server: read }, { server: behind, link }] = pair();
    const tidemark = await open([read.url], { verify: "always" });
    link.hold();
    const session = tidemark.session();
    await session.redis.set("k", "new");
    await has(read, "new");
    const seen = new Set<string | null>();
    let isBack = false;
    const reads = (async (): Promise<void> => {
      for (let more = 50; more > 0; more -= isBack ? 1 : 0) {
        seen.add(await session.redis.get("k"));
        seen.add(await tidemark.session({ token: session.token() }).redis.get("k"));
      }
    })();
    await read.replicate(behind);
    await has(read, "old");
    isBack = true;
    await reads;
    expect([...seen]).toEqual(["new"]);
  });
});

describe("a session whose connection to a replica has ended", () => {
  it('continues to read from replicas when fallback is "error"', async () => {
    const tidemark = await open(
      group.replicas.map(({ server }) => server.url),
      { fallback: "error" },
    );
    const session = tidemark.session();
    await session.redis.get("k");
    for (const { server } of group.replicas) {
      await server.admin().call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
    }
    const isAnswered = async (): Promise<boolean> => (await session.redis.get("k")) === null;
    await waitUntil(isAnswered, { what: "the session reads again", timeoutMs: 5_000 });
    for (let i = 0; i < 20; i++) expect(await isAnswered()).toBe(true);
  });
});

describe("a connection that now leads to another server", () => {
  it("proves nothing with the previous server's state, even when the new server reports nothing about itself", async () => {
    const [{ server: fresh }, { server: stale, link }] = pair();
    const rules = ["on", ">secret", "~k", "~nothing", "+@all"];
    for (const server of [group.primary, fresh, stale])
      await server.admin().call("ACL", "SETUSER", "app", ...rules);
    await stale.admin().call("ACL", "SETUSER", "app", "-info");
    await group.primary.admin().set("k", "old");
    await group.caughtUp();
    link.hold();
    await using line = await TcpProxy.start({ targetPort: fresh.port });
    const redis = { username: "app", password: "secret" };
    const patience = { probeIntervalMs: 20_000, maxStalenessMs: 50_000 };
    const tidemark = await open([`redis://${line.host}:${line.port}`], { redis, ...patience });
    const session = tidemark.session();
    await session.redis.set("k", "new");
    await has(fresh, "new");
    const token = session.token();
    const read = (): Promise<string | null> => tidemark.session({ token }).redis.get("k");
    using routes = listenToRoutes();
    const isKnown = async (): Promise<boolean> => {
      expect(await read()).toBe("new");
      return routes.of("get").at(-1)?.startsWith("replica:") ?? false;
    };
    await waitUntil(isKnown, { what: "the replica answers" });
    line.retarget(stale.port);
    line.cut();
    line.mend();
    const isThere = async (): Promise<boolean> => {
      expect(await read()).toBe("new");
      return /NOPERM/.test(tidemark.topology()[1]?.reason ?? "");
    };
    await waitUntil(isThere, { what: "the other server is connected" });
    for (let i = 0; i < 20; i++) expect(await read()).toBe("new");
  });
});

describe("a long reply over a slow connection", () => {
  it("is awaited as long as data keeps arriving, and is not requested again from the primary", async () => {
    const [{ server: read }] = pair();
    const size = 3_000_000;
    await group.primary.admin().setrange("long", size - 1, "x");
    await group.caughtUp();
    const line = await ThrottledProxy.start({ targetPort: read.port });
    try {
      const tidemark = await open([`redis://${line.host}:${line.port}`]);
      const before = await group.primary.commandCalls("get");
      using routes = listenToRoutes();
      expect(await tidemark.session().redis.getBuffer("long")).toHaveLength(size);
      expect(routes.of("get")).toEqual(["replica:known"]);
      expect(await group.primary.commandCalls("get")).toBe(before);
    } finally {
      await line.stop();
    }
  });
});
