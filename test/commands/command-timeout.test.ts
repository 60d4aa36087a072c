/** The meaning of ioredis's `commandTimeout` for commands that may be sent more than once. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type CommonOptions, Tidemark } from "../../src/index.js";
import { listenToRoutes } from "../support/listeners/routes.js";
import { TcpProxy } from "../support/proxies/tcp-proxy.js";
import { blockedClients } from "../support/servers/blocked-clients.js";
import { type ReplicationGroup, startReplicationGroup } from "../support/servers/replication-group.js";
import { replicasAreEligible } from "../support/stages/eligible-replicas.js";
import { sentCommands } from "../support/stages/sent-commands.js";
import { waitUntil } from "../support/wait-until.js";

const commandTimeout = 400;
const timedOut = "Command timed out";

let group: ReplicationGroup;
/** The proxies between Tidemark and the servers. */
let toPrimary: TcpProxy;
let toReplica: TcpProxy;
let opened: Tidemark[];

beforeAll(async () => {
  group = await startReplicationGroup({ replicas: 1 });
});

afterAll(() => group.stop());

beforeEach(async () => {
  toPrimary = await TcpProxy.start({ targetPort: group.primary.port });
  toReplica = await TcpProxy.start({ targetPort: group.replicas[0]?.server.port ?? 0 });
  opened = [];
});

afterEach(async () => {
  // First, because what still waits for a server would hold up close().
  unstall();
  toPrimary.mend();
  await Promise.all(opened.map((tidemark) => tidemark.close()));
  await Promise.all([toPrimary.stop(), toReplica.stop()]);
  await release();
});

async function open(options: Partial<CommonOptions> = {}): Promise<Tidemark> {
  const tidemark = new Tidemark({
    primary: { host: toPrimary.host, port: toPrimary.port },
    replicas: [{ host: toReplica.host, port: toReplica.port }],
    redis: { commandTimeout },
    ...options,
  });
  opened.push(tidemark);
  await replicasAreEligible(tidemark);
  return tidemark;
}

function hold(): void {
  for (const { link } of group.replicas) link.hold();
}

async function release(): Promise<void> {
  await Promise.all(group.replicas.map(({ link }) => link.release()));
  await group.caughtUp();
}

function stall(): void {
  toPrimary.stall();
  toReplica.stall();
}

function unstall(): void {
  toPrimary.unstall();
  toReplica.unstall();
}

/** The outcome of `promise`, once there is one; a promise that hangs fails with its name. */
async function outcomeOf(promise: Promise<unknown>): Promise<unknown> {
  let outcome: { value: unknown } | undefined;
  promise.then(
    (value) => {
      outcome = { value };
    },
    (error: unknown) => {
      outcome = { value: error instanceof Error ? error.message : error };
    },
  );
  await waitUntil(() => outcome !== undefined, { what: "the command has settled", timeoutMs: 5_000 });
  return outcome?.value;
}

describe("a read with a deadline", () => {
  it("has no deadline left once it was answered in its own transaction", async () => {
    const tidemark = await open({ verify: "always" });
    using routes = listenToRoutes();
    const before = await group.primary.commandCalls("get");
    for (let i = 0; i < 20; i++) await tidemark.session().redis.get("k");
    expect(routes.of("get").every((to) => to.startsWith("replica:"))).toBe(true);
    toPrimary.stall();
    // Deadlines are met in their order: when that of a later command is over, so are all before.
    expect(await outcomeOf(tidemark.session({ level: "strong" }).redis.strlen("k"))).toBe(timedOut);
    toPrimary.unstall();
    await tidemark.redis.ping();
    expect(await group.primary.commandCalls("get")).toBe(before);
  });

  it.each(["when-needed", "always"] as const)(
    "is rejected when no server answers, and is not sent again afterwards, with verify %j",
    async (verify) => {
      const tidemark = await open({ verify });
      const before = await group.primary.commandCalls("get");
      stall();
      expect(await outcomeOf(tidemark.session().redis.get("k"))).toBe(timedOut);
      unstall();
      await tidemark.redis.ping();
      expect((await group.primary.commandCalls("get")) - before).toBeLessThanOrEqual(1);
    },
  );

  it("is rejected when every server is frozen", async () => {
    const tidemark = await open();
    const servers = [group.primary, ...group.replicas.map(({ server }) => server)];
    for (const server of servers) server.pause();
    try {
      const { redis } = tidemark.session();
      expect(await outcomeOf(redis.get("k"))).toBe(timedOut);
      expect(await outcomeOf(redis.at("strong").get("k"))).toBe(timedOut);
    } finally {
      for (const server of servers) server.resume();
    }
  });

  it("does not use a replica's late answer as the primary's", async () => {
    const tidemark = await open();
    await tidemark.session().redis.set("late", "old");
    await group.caughtUp();
    hold();
    const writer = tidemark.session();
    await writer.redis.set("late", "new");
    let read: Promise<string | null> = Promise.resolve(null);
    const sentToPrimary = (): number => sentCommands(tidemark) - sentCommands(tidemark, "checked");
    let before = 0;
    await waitUntil(
      async () => {
        stall();
        const [all, checked] = [sentCommands(tidemark), sentCommands(tidemark, "checked")];
        before = sentToPrimary();
        read = tidemark.session({ token: writer.token() }).redis.get("late");
        expect(sentCommands(tidemark)).toBe(all + 1);
        if (sentCommands(tidemark, "checked") > checked) return true;
        unstall();
        await read;
        return false;
      },
      { what: "a replica was asked first" },
    );
    const outcome = outcomeOf(read);
    await waitUntil(() => sentToPrimary() > before, { what: "the primary is asked instead" });
    toReplica.unstall();
    expect(["new", timedOut]).toContain(await outcome);
  });
});

describe("a write with a deadline", () => {
  it("stays in flight for its session after its promise was rejected, until its reply arrives", async () => {
    const tidemark = await open();
    const session = tidemark.session();
    toPrimary.stall();
    expect(await outcomeOf(session.redis.set("k", "late"))).toBe(timedOut);
    expect(session.writing).toBe(true);
    expect(session.settled()).toBeInstanceOf(Promise);
    expect(session.token()).not.toBe("");
    toPrimary.unstall();
    await waitUntil(() => !session.writing, { what: "the late reply has arrived" });
    expect(await session.redis.get("k")).toBe("late");
  });

  it("counts as a write even when it is late, so that the next, unawaited write is noticed", async () => {
    const tidemark = await open();
    const session = tidemark.session();
    await session.redis.set("next", "old");
    await group.caughtUp();
    toPrimary.stall();
    expect(await outcomeOf(session.redis.set("other", "late"))).toBe(timedOut);
    toPrimary.unstall();
    await tidemark.redis.ping();
    await waitUntil(() => !session.writing, { what: "the late reply has arrived" });
    hold();
    const write = session.redis.set("next", "new");
    expect(session.writing).toBe(true);
    expect(session.settled()).toBeInstanceOf(Promise);
    expect(await session.redis.get("next")).toBe("new");
    await write;
    expect(session.writing).toBe(false);
  });
});

describe("a command that waits for a connection", () => {
  it("is rejected at its deadline, however many attempts to connect there are", async () => {
    const tidemark = await open({ redis: { commandTimeout, maxRetriesPerRequest: null } });
    toPrimary.cut();
    await waitUntil(() => tidemark.topology()[0]?.eligible === false, { what: "the primary is ineligible" });
    const session = tidemark.session();
    expect(await outcomeOf(session.redis.set("k", "v"))).toBe(timedOut);
    expect(await outcomeOf(session.redis.at("strong").get("k"))).toBe(timedOut);
    expect(await outcomeOf(tidemark.redis.get("k"))).toBe(timedOut);
  });
});

describe("commandTimeout", () => {
  it("applies from the moment it is set on the client's options", async () => {
    const tidemark = await open({ redis: {} });
    const { redis } = tidemark.session();
    tidemark.redis.options.commandTimeout = commandTimeout;
    stall();
    expect(await outcomeOf(redis.set("k", "v"))).toBe(timedOut);
    expect(await outcomeOf(redis.at("strong").get("k"))).toBe(timedOut);
  });
});

describe("blockingTimeout", () => {
  const redis = { blockingTimeout: 300 };

  it("ends the wait for a connection that is never ready, and the command is not sent", async () => {
    const tidemark = await open({ redis });
    toPrimary.stall();
    const startedAt = performance.now();
    expect(await tidemark.session().redis.blpop("queue", 20)).toBeNull();
    expect(performance.now() - startedAt).toBeLessThan(10_000);
    toPrimary.unstall();
    await group.primary.admin().rpush("queue", "job");
    expect(await tidemark.session().redis.blpop("empty", 0)).toBeNull();
    expect(await group.primary.admin().lpop("queue")).toBe("job");
  });

  it("leaves a command its own timeout once it was sent", async () => {
    const tidemark = await open({ redis });
    const [asking, other] = [tidemark.session().redis, tidemark.session().redis];
    const job = asking.blpop("asked", 20);
    await waitUntil(async () => (await blockedClients(group.primary)) === 1, { what: "the command blocks" });
    expect(await other.blpop("empty", 0)).toBeNull();
    await group.primary.admin().rpush("asked", "job");
    expect(await job).toEqual(["asked", "job"]);
  });

  it("applies to an XREAD without BLOCK, as in ioredis", async () => {
    const tidemark = await open({ redis });
    await group.primary.admin().xadd("stream", "*", "f", "v");
    const { redis: strong } = tidemark.session({ level: "strong" });
    expect(await strong.xread("STREAMS", "stream", "0")).toHaveLength(1);
    stall();
    expect(await outcomeOf(strong.xread("STREAMS", "stream", "0"))).toBeNull();
  });
});
