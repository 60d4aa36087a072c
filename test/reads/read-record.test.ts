/** The record of each read: which server answered, why, and how long the read waited. */
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import express from "express";
import { Command } from "ioredis";
import supertest from "supertest";
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { readYourWrites } from "../../src/http/frameworks/express.js";
import {
  AbortedError,
  ClosedError,
  type Consistency,
  InvalidOptionError,
  NoPrimaryError,
  type ReadRecord,
  ReplicasBehindError,
  type Session,
  Tidemark,
} from "../../src/index.js";
import { unknownWrite } from "../../src/session/token.js";
import { listenToReads, type ReadMessages } from "../support/listeners/read-messages.js";
import type { Routes } from "../support/listeners/routes.js";
import { TcpProxy } from "../support/proxies/tcp-proxy.js";
import { replicaOf } from "../support/servers/failover.js";
import { holdReplicas, releaseReplicas } from "../support/servers/held-replicas.js";
import type { ReplicationGroup } from "../support/servers/replication-group.js";
import { replicasAreEligible } from "../support/stages/eligible-replicas.js";
import { type GroupOptions, openTidemark } from "../support/stages/open-tidemark.js";
import { sentCommands } from "../support/stages/sent-commands.js";
import { stageTidemark } from "../support/stages/staged-tidemark.js";
import { isWaiting } from "../support/stages/waiting-reads.js";
import { waitUntil } from "../support/wait-until.js";

const long = 20_000;

let group: ReplicationGroup;
let tidemark: Tidemark;
let routes: Routes;
let reads: ReadMessages;

stageTidemark({ replicas: 2 }, (stage) => {
  ({ group, tidemark, routes } = stage);
});

beforeEach(() => {
  reads = listenToReads();
});

afterEach(() => reads[Symbol.dispose]());

function open(options: GroupOptions): Tidemark {
  const other = openTidemark(group, options);
  onTestFinished(() => other.close());
  return other;
}

async function openEligible(options: GroupOptions): Promise<Tidemark> {
  const other = open(options);
  await replicasAreEligible(other);
  return other;
}

function primaryAddress(): string {
  return `${group.primary.host}:${group.primary.port}`;
}

function replicaAddresses(): string[] {
  return group.replicas.map(({ server }) => `${server.host}:${server.port}`);
}

/** Repeats `act` until the last read that it makes is sent for `reason`. */
async function until(reason: string, act: () => Promise<unknown>): Promise<void> {
  const isHeard = async (): Promise<boolean> => {
    await act();
    return reads.last.reason === reason;
  };
  await waitUntil(isHeard, { what: `a read is sent for the reason ${reason}` });
}

/** The token of a write that held replicas do not have. */
async function written(key = "k"): Promise<string> {
  const session = tidemark.session();
  await session.redis.set(key, "new");
  return session.token();
}

/** The error that `promise` is rejected with. */
async function failure(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => expect.fail("it was not rejected"),
    (error: unknown) => error,
  );
}

/** That the last record says of its send what `tidemark:route` said of the last one. */
function agreesWithRoute(command: string): void {
  const { role, reason } = reads.last;
  expect(routes.of(command).at(-1)).toBe(`${role}:${reason}`);
}

describe("tidemark:read", () => {
  it("reports which replica answered a read, and why", async () => {
    const session = tidemark.session();
    await until("known", () => session.redis.get("k"));
    const { node, waitedMs, lagMs } = reads.last;
    expect(reads.last).toEqual({
      tidemark,
      session,
      command: "get",
      node: expect.any(String),
      role: "replica",
      reason: "known",
      level: "session",
      waitedMs: expect.any(Number),
      lagMs: expect.any(Number),
      zone: undefined,
      error: undefined,
    });
    expect(replicaAddresses()).toContain(node);
    expect(waitedMs).toBeGreaterThanOrEqual(0);
    expect(lagMs).toBeGreaterThanOrEqual(0);
    agreesWithRoute("get");
  });

  it("is published once for each read on the channel of that name, and not for writes or reads outside sessions", async () => {
    const heard: unknown[] = [];
    const listener = (message: unknown): void => void heard.push(message);
    subscribe("tidemark:read", listener);
    onTestFinished(() => {
      unsubscribe("tidemark:read", listener);
    });
    const session = tidemark.session();
    await session.redis.set("k", "v");
    await tidemark.redis.get("k");
    expect(heard).toEqual([]);
    await session.redis.get("k");
    await tidemark.run(session, () => tidemark.redis.hgetall("nothing"));
    expect(heard).toMatchObject([
      { session, command: "get" },
      { session, command: "hgetall" },
    ]);
  });

  it.each<[reason: string, read: (session: Session) => Promise<unknown>, level: Consistency]>([
    ["strong", ({ redis }) => redis.at("strong").get("k"), "strong"],
    [
      "write-in-flight",
      async ({ redis }) => {
        const write = redis.set("k", "v");
        await redis.get("k");
        await write;
      },
      "session",
    ],
    [
      "position-unknown",
      (session) => {
        session.add(unknownWrite());
        return session.redis.get("k");
      },
      "session",
    ],
    ["not-a-read", ({ redis }) => redis.dbsize(), "session"],
    ["not-a-read", ({ redis }) => redis.scan(0), "session"],
  ])("gives the reason %s of a read on the primary", async (reason, read, level) => {
    const session = tidemark.session();
    await read(session);
    expect(reads.heard).toHaveLength(1);
    expect(reads.last).toMatchObject({
      ...{ session, node: primaryAddress(), role: "primary", reason, level, error: undefined },
      lagMs: undefined,
    });
  });

  it("gives the reasons for reads that replicas cannot answer", async () => {
    await until("check-failed", async () => {
      await releaseReplicas(group);
      await replicasAreEligible(tidemark);
      holdReplicas(group);
      await tidemark.session({ token: await written() }).redis.get("k");
    });
    expect(reads.last).toMatchObject({ node: primaryAddress(), role: "primary", lagMs: undefined });
    expect(reads.last.waitedMs).toBeGreaterThan(0);
    await until("behind", async () => tidemark.session({ token: await written() }).redis.get("k"));
    expect(reads.last).toMatchObject({ node: primaryAddress(), role: "primary" });
    agreesWithRoute("get");
  });

  it("gives the reason missing-key, and the primary that looked the key up", async () => {
    const session = tidemark.session({ level: { confirmMisses: true } });
    await until("missing-key", () => session.redis.get("nothing"));
    expect(reads.last).toMatchObject({ node: primaryAddress(), role: "primary", lagMs: undefined });
    expect(reads.last.waitedMs).toBeGreaterThan(0);
  });

  it("gives the reason replica-failed, and the error of the last server", async () => {
    const session = tidemark.session();
    await session.redis.set("k", "v");
    let error: unknown;
    await until("replica-failed", async () => {
      error = await failure(session.redis.lrange("k", 0, 1));
    });
    expect(reads.last).toMatchObject({ command: "lrange", node: primaryAddress(), role: "primary" });
    expect(reads.last.error).toBe(error);
    expect(error).toMatchObject({ message: expect.stringMatching(/^WRONGTYPE/) });
  });

  it("gives the reason checked when the answer came with its proof", async () => {
    await until("checked", async () => {
      const token = await written();
      await group.caughtUp();
      await tidemark.session({ token }).redis.get("k");
    });
    expect(reads.last).toMatchObject({ role: "replica", lagMs: expect.any(Number) });
    expect(replicaAddresses()).toContain(reads.last.node);
  });

  it("covers reads that are proven in a transaction", async () => {
    const strict = await openEligible({ verify: "always" });
    await waitUntil(
      async () => {
        await strict.session().redis.get("k");
        return reads.last.role === "replica";
      },
      { what: "a replica answers" },
    );
    agreesWithRoute("get");
  });

  it("gives the reasons for a Tidemark that has just started and for one without replicas", async () => {
    await open({}).session().redis.get("k");
    expect(reads.last).toMatchObject({ role: "primary", reason: "starting" });
    await open({ replicas: [] }).session().redis.get("k");
    expect(reads.last).toMatchObject({ role: "primary", reason: "no-replica" });
  });

  it("has the zone of the server", async () => {
    const zones = Object.fromEntries([primaryAddress(), ...replicaAddresses()].map((at) => [at, `of ${at}`]));
    const zoned = await openEligible({ zones });
    for (const level of ["session", "strong"] as const) {
      await zoned.session({ level }).redis.get("k");
      expect(reads.last.zone).toBe(`of ${reads.last.node}`);
    }
  });

  it("has the level of the applied read policy", async () => {
    holdReplicas(group);
    const level: Consistency = [{ level: "session", fallback: "error" }, "eventual"];
    await tidemark.session({ token: await written(), level }).redis.get("k");
    expect(reads.last).toMatchObject({ role: "replica", level: "eventual", error: undefined });
  });

  it("covers pipelines and transactions, one record for each read", async () => {
    const session = tidemark.session();
    await waitUntil(
      async () => {
        reads.heard.length = 0;
        await session.redis.pipeline().get("a").hget("h", "f").exists("a").exec();
        return reads.last.role === "replica";
      },
      { what: "a replica answers a pipeline" },
    );
    expect(reads.heard.map(({ command }) => command)).toEqual(["get", "hget", "exists"]);
    expect(new Set(reads.heard.map(({ node }) => node)).size).toBe(1);
    reads.heard.length = 0;
    await session.redis.pipeline().get("a").set("a", "1").hget("h", "f").exec();
    await session.redis.multi().get("a").set("a", "2").exec();
    const onPrimary = { role: "primary", reason: "not-a-read", error: undefined };
    expect(reads.heard).toMatchObject(["get", "hget", "get"].map((command) => ({ command, ...onPrimary })));
  });

  it("covers a transaction by hand", async () => {
    const { redis } = tidemark.session();
    await redis.watch("k");
    await redis.get("k");
    await redis.multi({ pipeline: false });
    await redis.get("k");
    await redis.exec();
    const onPrimary = { node: primaryAddress(), role: "primary", reason: "not-a-read" };
    expect(reads.heard).toMatchObject(["get", "get"].map((command) => ({ command, ...onPrimary })));
  });

  it("covers each step of an iteration, which stays on one server", async () => {
    const session = tidemark.session();
    await session.redis.sadd("s", ...Array.from({ length: 2_000 }, (_, i) => `member ${i}`));
    await group.caughtUp();
    const later = tidemark.session({ token: session.token() });
    let steps = 0;
    for await (const _ of later.redis.sscanStream("s", { count: 100 })) steps += 1;
    expect(steps).toBeGreaterThan(1);
    expect(reads.heard.map(({ command }) => command)).toEqual(Array(steps).fill("sscan"));
    expect(new Set(reads.heard.map(({ node }) => node)).size).toBe(1);
  });

  it("covers callbacks, scripts and uppercase command names", async () => {
    const { redis } = tidemark.session();
    await new Promise<void>((resolve) => redis.get("k", () => resolve()));
    await redis.call("GET", "k");
    await redis.call("eval_ro", "return 1", 0);
    await redis.eval("return 1", 0);
    expect(reads.heard.map(({ command }) => command)).toEqual(["get", "get", "eval_ro"]);
  });

  it("contains no keys, arguments or values", async () => {
    const session = tidemark.session();
    await session.redis.set("a key", "a value");
    await session.redis.mget("a key", "a further key");
    await session.redis.at("strong").get("a key");
    for (const { session: _, tidemark: __, ...record } of reads.heard)
      expect(JSON.stringify(record)).not.toMatch(/a key|a value|further/);
    expect(reads.heard).toHaveLength(2);
  });
});

describe("a read that waits", () => {
  it("reports how long it waited for a replica", async () => {
    holdReplicas(group);
    const token = await written();
    const reading = tidemark.session({ token, level: { waitMs: long } }).redis.get("k");
    const givenAt = performance.now();
    await isWaiting(group);
    const waitedMs = performance.now() - givenAt;
    await releaseReplicas(group);
    expect(await reading).toBe("new");
    expect(reads.last).toMatchObject({ role: "replica", reason: "known", error: undefined });
    expect(reads.last.waitedMs).toBeGreaterThanOrEqual(waitedMs);
  });

  it("reports how long it waited in line for the primary", async () => {
    const toPrimary = await TcpProxy.start({ targetPort: group.primary.port });
    onTestFinished(() => toPrimary.stop());
    const { host, port } = toPrimary;
    const limited = await openEligible({ primary: { host, port }, fallbackLimit: { concurrency: 1 } });
    const session = limited.session({ token: unknownWrite() });
    reads.heard.length = 0;
    toPrimary.stall();
    const reading = Promise.all(Array.from({ length: 3 }, () => session.redis.get("k")));
    const givenAt = performance.now();
    await waitUntil(() => performance.now() - givenAt > 2, { what: "the line has waited for 2 ms" });
    const waitedMs = performance.now() - givenAt;
    toPrimary.unstall();
    await reading;
    expect(reads.heard).toHaveLength(3);
    for (const { role, reason } of reads.heard)
      expect([role, reason]).toEqual(["primary", "position-unknown"]);
    const waits = reads.heard.map((read) => read.waitedMs).sort((a, b) => a - b);
    expect(waits[1]).toBeGreaterThanOrEqual(waitedMs);
    expect(waits[2]).toBeGreaterThanOrEqual(waitedMs);
  });

  it("has no node when it is rejected without an answer", async () => {
    holdReplicas(group);
    const token = await written();
    const nowhere = {
      node: undefined,
      role: undefined,
      reason: undefined,
      zone: undefined,
      lagMs: undefined,
    };
    const level: Consistency = { fallback: "error" };
    for (let i = 0; i < 5; i++) {
      const error = await failure(tidemark.session({ token, level }).redis.get("k"));
      expect(error).toBeInstanceOf(ReplicasBehindError);
      expect(reads.last).toMatchObject({ ...nowhere, level: "session" });
      expect(reads.last.error).toBe(error);
    }
    const controller = new AbortController();
    const { signal } = controller;
    const session = tidemark.session({ token, signal, level: { waitMs: long } });
    const aborted = failure(session.redis.get("k"));
    await isWaiting(group);
    controller.abort();
    const error = await aborted;
    expect(error).toBeInstanceOf(AbortedError);
    expect(reads.last).toMatchObject({ session, ...nowhere, error });
  });

  it("is reported when it is rejected because the Tidemark was closed", async () => {
    const other = open({});
    const session = other.session();
    await other.close();
    const error = await failure(session.redis.get("k"));
    expect(error).toBeInstanceOf(ClosedError);
    expect(reads.last).toMatchObject({ session, command: "get", node: undefined, error });
  });
});

describe("a read whose connection closes before the answer", () => {
  it.each<[what: string, read: (session: Session) => Promise<unknown>]>([
    ["alone", (session) => session.redis.get("k")],
    [
      "in a pipeline that writes",
      async (session) => (await session.redis.pipeline().get("k").set("k", "v").exec())?.[0]?.[0],
    ],
    [
      "in a transaction by hand",
      async ({ redis }) => {
        const watching = redis.watch("k").catch(() => {});
        await redis.get("k").catch((error: unknown) => error);
        await watching;
      },
    ],
  ])("has no node when no new primary is found [%s]", async (_, read) => {
    const toPrimary = await TcpProxy.start({ targetPort: group.primary.port });
    onTestFinished(() => toPrimary.stop());
    const { host, port } = toPrimary;
    const lonely = open({ primary: { host, port }, replicas: [], primaryTimeoutMs: 1_000 });
    await lonely.ready();
    const session = lonely.session({ level: "strong" });
    // Has the connection for transactions opened.
    await session.redis.watch("k");
    await session.redis.unwatch();
    toPrimary.stall();
    const before = sentCommands(lonely);
    const reading = Promise.allSettled([read(session)]);
    await waitUntil(() => sentCommands(lonely) > before, { what: "the read is sent" });
    toPrimary.cut();
    await reading;
    expect(reads.heard).toMatchObject([
      { command: "get", node: undefined, role: undefined, reason: undefined, level: "strong" },
    ]);
    expect(reads.last.error).toBeInstanceOf(NoPrimaryError);
    expect(reads.last.waitedMs).toBeGreaterThan(0);
  });
});

describe("a read that fails in the client", () => {
  it("is reported once at its deadline, with the server that does not answer", async () => {
    const toPrimary = await TcpProxy.start({ targetPort: group.primary.port });
    onTestFinished(() => toPrimary.stop());
    const { host, port } = toPrimary;
    const timed = open({ primary: { host, port }, replicas: [], redis: { commandTimeout: 200 } });
    await timed.ready();
    const session = timed.session({ level: "strong" });
    toPrimary.stall();
    const error = await failure(session.redis.get("k"));
    expect(error).toMatchObject({ message: "Command timed out" });
    expect(reads.heard).toMatchObject([{ session, node: `${host}:${port}`, role: "primary", error }]);
    toPrimary.unstall();
    await waitUntil(async () => (await session.redis.exists("k").catch(() => undefined)) === 0, {
      what: "the primary answers again",
    });
    expect(reads.heard.filter(({ command }) => command === "get")).toHaveLength(1);
  });

  it("has the error of a transformer", async () => {
    const error = new Error("no reply is good enough");
    Command.setReplyTransformer("hstrlen", () => {
      throw error;
    });
    expect(await failure(tidemark.session().redis.hstrlen("h", "f"))).toBe(error);
    expect(reads.heard).toHaveLength(1);
    expect(reads.last.error).toBe(error);
  });
});

describe("a read while the primary is gone", () => {
  it.each([
    ["primary-gone", { level: "strong", staleIfPrimaryGone: true }],
    ["unproven", { level: "eventual", staleIfPrimaryGone: false }],
  ] as const)("has the reason %s", async (reason, level) => {
    const impatient = await openEligible({ maxStalenessMs: 500 });
    group.primary.pause();
    try {
      await waitUntil(
        async () => {
          await impatient.session({ level }).redis.get("k");
          return reads.last.reason === reason;
        },
        { what: `a replica answers for the reason ${reason}` },
      );
      expect(reads.last).toMatchObject({ role: "replica", lagMs: undefined });
      expect(replicaAddresses()).toContain(reads.last.node);
    } finally {
      group.primary.resume();
    }
  });

  it.each([
    ["primary", "strong", false],
    ["replica", "primary-gone", true],
  ] as const)(
    "names the server that answered when two servers were asked [the %s]",
    async (role, reason, stale) => {
      const [toPrimary, toReplica] = await Promise.all(
        [group.primary, replicaOf(group)].map(({ port }) => TcpProxy.start({ targetPort: port })),
      );
      onTestFinished(async () => {
        await Promise.all([toPrimary?.stop(), toReplica?.stop()]);
      });
      const at = (proxy: TcpProxy | undefined) => ({ host: "127.0.0.1", port: proxy?.port ?? 0 });
      const servers = { primary: at(toPrimary), replicas: [at(toReplica)] };
      const behind = await openEligible({ ...servers, primaryTimeoutMs: 2_000 });
      routes.clear();
      toPrimary?.stall();
      toReplica?.stall();
      const session = behind.session({ level: { level: "strong", staleIfPrimaryGone: true } });
      reads.heard.length = 0;
      const reading = session.redis.get("k");
      await waitUntil(() => sentCommands(behind, "primary-gone") > 0, {
        what: "a replica is asked",
      });
      if (role === "replica") {
        // The read is to be sent to the primary again, which is not there.
        toPrimary?.cut();
        await waitUntil(() => toPrimary?.connections === 0, { what: "the primary is gone" });
        toReplica?.unstall();
      } else toPrimary?.unstall();
      await reading;
      expect(session.stale).toBe(stale);
      const { port } = (role === "replica" ? toReplica : toPrimary) ?? {};
      expect(reads.heard).toMatchObject([{ node: `127.0.0.1:${port}`, role, reason }]);
    },
  );
});

describe("session.reads", () => {
  it("is empty and frozen by default, and nothing is recorded", async () => {
    reads[Symbol.dispose]();
    const session = tidemark.session();
    const command = new Command("get", ["k"]);
    session.redis.sendCommand(command);
    await command.promise;
    expect(session.reads).toEqual([]);
    expect(Object.isFrozen(session.reads)).toBe(true);
    expect(session.reads).toBe(tidemark.session().reads);
  });

  it("holds the latest reads of the session, the newest last, even without listeners", async () => {
    for (const listener of [reads, routes]) listener[Symbol.dispose]();
    const session = open({ recordReads: 3 }).session();
    expect(session.reads).toEqual([]);
    const commands = (): string[] => session.reads.map(({ command }) => command);
    await session.redis.get("k");
    const before = session.reads;
    expect(Object.isFrozen(before)).toBe(true);
    await session.redis.set("k", "v");
    await session.redis.at("strong").hget("h", "f");
    await session.redis.exists("k");
    expect(commands()).toEqual(["get", "hget", "exists"]);
    expect(session.reads[0]).toMatchObject({ role: "primary", reason: "starting" });
    expect(session.reads[1]).toMatchObject({ node: primaryAddress(), role: "primary", reason: "strong" });
    expect(session.reads[1]).not.toHaveProperty("session");
    await session.redis.strlen("k");
    expect(commands()).toEqual(["hget", "exists", "strlen"]);
    expect(before).toHaveLength(1);
  });

  it("holds only the latest read with 1", async () => {
    const session = open({ recordReads: 1 }).session();
    for (const key of ["a", "b"]) await session.redis.get(key);
    await session.redis.exists("a");
    expect(session.reads).toMatchObject([{ command: "exists" }]);
  });

  it("holds the same records as the channel", async () => {
    const recording = open({ recordReads: 100 });
    const session = recording.session();
    await Promise.all(["a", "b", "c"].map((key) => session.redis.get(key)));
    expect(reads.heard.filter((one) => one.session === session)).toEqual(
      session.reads.map((record) => ({ tidemark: recording, session, ...record })),
    );
    expect(session.reads).toHaveLength(3);
  });

  it("is available for each request, as req.consistency.reads on Express", async () => {
    const recording = await openEligible({ recordReads: 10 });
    const app = express().use(readYourWrites(recording, { secret: "a secret of this test" }));
    app.get("/", async (request, response) => {
      await request.redis.get("k");
      await recording.redis.at("strong").get("k");
      response.json(request.consistency.reads.map(({ command, role }: ReadRecord) => [command, role]));
    });
    for (let i = 0; i < 2; i++) {
      const { body } = await supertest(app).get("/");
      expect(body).toEqual([
        ["get", expect.stringMatching(/^(primary|replica)$/)],
        ["get", "primary"],
      ]);
    }
  });

  it.each([-1, 1.5, 1_001, "5", null, Number.NaN, Number.POSITIVE_INFINITY, true])(
    "cannot hold %s reads",
    (recordReads) => {
      const make = (): unknown =>
        Reflect.construct(Tidemark, [{ primary: "redis://127.0.0.1:1", recordReads }]);
      expect(make).toThrow(InvalidOptionError);
      expect(make).toThrow(/^recordReads: got .*\. Pass how many reads .* a whole number from 0 to 1000/);
    },
  );
});
