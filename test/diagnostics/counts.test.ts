/** What `tidemark.stats()` counts of commands, waits, writes, tokens and servers, and the same as text for Prometheus. */
import { once } from "node:events";
import { request as ask, createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import express from "express";
import supertest from "supertest";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { Histogram } from "../../src/diagnostics/counts.js";
import { header, readYourWrites } from "../../src/http/frameworks/express.js";
import type { CommonOptions, Session, SessionOptions, Tidemark, WaitCounts } from "../../src/index.js";
import { unsent } from "../../src/session/token.js";
import { holdReplicas, releaseReplicas } from "../support/servers/held-replicas.js";
import { type ReplicationGroup, startReplicationGroup } from "../support/servers/replication-group.js";
import { replicasAreEligible } from "../support/stages/eligible-replicas.js";
import { openTidemark } from "../support/stages/open-tidemark.js";
import { waitUntil } from "../support/wait-until.js";

/** The age of a held replica must not decide, however long a loaded machine takes. */
const patient = { maxStalenessMs: 600_000, tokenTtlMs: 1_200_000 } as const;

let group: ReplicationGroup;
let tidemark: Tidemark;

beforeAll(async () => {
  group = await startReplicationGroup({ replicas: 2 });
});

beforeEach(() => open());

afterEach(async () => {
  await tidemark.close();
  await releaseReplicas(group);
});

afterAll(() => group.stop());

async function open(options: Partial<CommonOptions> = {}): Promise<void> {
  await tidemark?.close();
  tidemark = openTidemark(group, { ...patient, ...options });
  await replicasAreEligible(tidemark);
}

/** How many commands were sent for `reason`, by level. */
function sentFor(reason: string): Record<string, number> {
  const counts = tidemark.stats().commands.filter((one) => one.reason === reason);
  return Object.fromEntries(counts.map(({ level, count }) => [level, count]));
}

/** How many reads were sent to servers of this role. */
function sentTo(role: string): number {
  const reads = tidemark.stats().commands.filter((one) => one.role === role && one.reason !== "not-a-read");
  return reads.reduce((sum, { count }) => sum + count, 0);
}

/** Resolves when a read waits: only then replicas are asked again and again. */
async function waiting(): Promise<void> {
  const asked = async (): Promise<number> => {
    const calls = await Promise.all(group.replicas.map(({ server }) => server.commandCalls("info")));
    return calls.reduce((sum, one) => sum + one, 0);
  };
  const before = await asked();
  await waitUntil(async () => (await asked()) > before + 20, { what: "replicas are asked again and again" });
}

/** How many more waits have ended than at the time of `before`: by a replica that caught up, by time, and by the user. */
function waitsSince(before: WaitCounts): readonly number[] {
  const { caughtUp, timedOut, aborted } = tidemark.stats().waits;
  return [caughtUp - before.caughtUp, timedOut - before.timedOut, aborted - before.aborted];
}

const total = ({ counts }: { readonly counts: readonly number[] }): number =>
  counts.reduce((sum, count) => sum + count, 0);

describe("A histogram", () => {
  it("counts each value in the first class whose bound is not below it", () => {
    const values = new Histogram([1, 10]);
    for (const value of [0, 1, 1.5, 10, 11, 1_000]) values.add(value);
    expect(values.now).toEqual({ bounds: [1, 10], counts: [2, 2, 2], sum: 1_023.5 });
  });
});

describe("tidemark.stats().commands", () => {
  it("has the role, the reason and the level of each command", async () => {
    const { redis } = tidemark.session();
    await redis.set("key", "value");
    await tidemark.session({ level: "strong" }).redis.get("key");
    await tidemark.session({ level: "eventual" }).redis.get("key");
    await tidemark.session({ level: { maxStalenessMs: 300_000 } }).redis.get("key");
    await tidemark.redis.get("key");
    expect(sentFor("not-a-read")).toEqual({ session: 1 });
    expect(sentFor("strong")).toEqual({ strong: 1 });
    expect(sentFor("no-session")).toEqual({ session: 1 });
    const ofReplicas = tidemark.stats().commands.filter(({ role }) => role === "replica");
    expect(ofReplicas.map(({ level }) => level)).toEqual(expect.arrayContaining(["bounded", "eventual"]));
  });

  it("adds up to what the servers have counted, by role", async () => {
    const servers = [group.primary, ...group.replicas.map(({ server }) => server)];
    const gets = (): Promise<number[]> => Promise.all(servers.map((server) => server.commandCalls("get")));
    const before = await gets();
    const sentBefore = [sentTo("primary"), sentTo("replica")];
    const session = tidemark.session();
    for (let i = 0; i < 300; i++) {
      if (i % 10 === 0) await session.redis.set(`key:${i}`, i);
      if (i % 50 === 0) holdReplicas(group);
      await Promise.all([
        session.redis.get(`key:${i}`),
        session.redis.get("other"),
        tidemark.redis.get("key"),
      ]);
      if (i % 50 === 25) await releaseReplicas(group);
    }
    const [ofPrimary = 0, ...ofReplicas] = (await gets()).map((calls, index) => calls - (before[index] ?? 0));
    const ofBoth = [ofPrimary, ofReplicas.reduce((all, calls) => all + calls, 0)];
    expect([sentTo("primary"), sentTo("replica")].map((sent, i) => sent - (sentBefore[i] ?? 0))).toEqual(
      ofBoth,
    );
    expect(ofPrimary).toBeGreaterThan(300);
  });
});

describe("tidemark.stats().waits", () => {
  it("counts a read that waited until a replica caught up", async () => {
    await open({ waitMs: 20_000 });
    const before = tidemark.stats().waits;
    holdReplicas(group);
    const { redis } = tidemark.session();
    await redis.set("key", "new");
    const reading = redis.get("key");
    await waiting();
    await releaseReplicas(group);
    expect(await reading).toBe("new");
    expect(waitsSince(before)).toEqual([1, 0, 0]);
    const { ms } = tidemark.stats().waits;
    expect(total(ms)).toBe(total(before.ms) + 1);
    expect(ms.sum).toBeGreaterThan(before.ms.sum);
  });

  it("counts a read that went to the primary in the end, as a fallback too", async () => {
    await open({ waitMs: 20 });
    const before = tidemark.stats();
    holdReplicas(group);
    const { redis } = tidemark.session();
    await redis.set("key", "new");
    expect(await redis.get("key")).toBe("new");
    expect(waitsSince(before.waits)).toEqual([0, 1, 0]);
    const { waits, fallback } = tidemark.stats();
    expect(waits.ms.sum).toBeGreaterThan(before.waits.ms.sum);
    expect(fallback).toMatchObject({ reads: before.fallback.reads + 1, refused: 0 });
  });

  it("counts a read that the user gave up", async () => {
    await open({ waitMs: 20_000 });
    const before = tidemark.stats().waits;
    holdReplicas(group);
    const controller = new AbortController();
    const session = tidemark.session({ signal: controller.signal });
    await session.redis.set("key", "new");
    const reading = session.redis.get("key");
    await waiting();
    controller.abort();
    await expect(reading).rejects.toThrow("GET");
    expect(waitsSince(before)).toEqual([0, 0, 1]);
  });

  it("counts reads that are refused", async () => {
    holdReplicas(group);
    const session = tidemark.session();
    await session.redis.set("key", "new");
    const before = tidemark.stats().fallback;
    const reading = session.at("session", { fallback: "error" }).get("key");
    await expect(reading).rejects.toMatchObject({ code: "TIDEMARK_REPLICAS_BEHIND" });
    expect(tidemark.stats().fallback).toMatchObject({ reads: before.reads, refused: before.refused + 1 });
  });
});

describe("tidemark.stats().writes", () => {
  it("counts writes whose position is known", async () => {
    const { redis } = tidemark.session();
    await redis.set("key", 1);
    await Promise.all([redis.set("key", 2), redis.incr("count")]);
    expect(tidemark.stats().writes).toMatchObject({ known: 3, unknown: 0 });
    expect(tidemark.stats().pins).toEqual({ unknownPosition: 0, unanswered: 0, unreadTokens: 0, notLive: 0 });
  });

  it("counts writes whose position nothing may report", async () => {
    const rules = ["reset", "on", ">pw", "~key*", "+@all", "-info"];
    for (const server of [group.primary, ...group.replicas.map((replica) => replica.server)])
      await server.admin().call("ACL", "SETUSER", "app", ...rules);
    await using limited = openTidemark(group, { redis: { username: "app", password: "pw" } });
    await limited.ready();
    await limited.session().redis.set("key", "value");
    expect(limited.stats().writes).toMatchObject({ known: 0, unknown: 1 });
    expect(limited.stats().pins).toEqual({ unknownPosition: 1, unanswered: 0, unreadTokens: 0, notLive: 0 });
    const { failed, primary } = limited.stats().probes;
    expect(failed.primary).toBeGreaterThan(0);
    expect(failed.primary).toBeLessThanOrEqual(primary);
    await waitUntil(() => limited.stats().probes.failed.replica > 0, {
      what: "no replica reports a position",
    });
  });
});

describe("tidemark.stats().protectedReads", () => {
  it("counts a read as estimated if every replica is known to lack its write", async () => {
    holdReplicas(group);
    const { redis } = tidemark.session();
    await redis.set("key", "new");
    const behind = async (): Promise<boolean> => {
      const [before, sentBefore] = [tidemark.stats().protectedReads, sentFor("behind").session ?? 0];
      expect(await redis.get("key")).toBe("new");
      if ((sentFor("behind").session ?? 0) === sentBefore) return false;
      expect(tidemark.stats().protectedReads).toEqual({ ...before, estimated: before.estimated + 1 });
      return true;
    };
    await waitUntil(behind, { what: "a read goes to the primary without asking a replica" });
  });

  it("counts a read once as proven if a replica reported that it lacks the write", async () => {
    const checkFailed = async (): Promise<boolean> => {
      await releaseReplicas(group);
      await replicasAreEligible(tidemark);
      holdReplicas(group);
      const writer = tidemark.session();
      await writer.redis.set("key", "new");
      const before = tidemark.stats().protectedReads;
      const failedBefore = sentFor("check-failed").session ?? 0;
      await tidemark.session({ token: writer.token() }).redis.get("key");
      if ((sentFor("check-failed").session ?? 0) === failedBefore) return false;
      expect(tidemark.stats().protectedReads).toEqual({ ...before, proven: before.proven + 1 });
      return true;
    };
    await waitUntil(checkFailed, { what: "a read was sent to a replica that lacks the write" });
  });

  it("counts a read once, although it falls back by several read policies", async () => {
    holdReplicas(group);
    const session = tidemark.session();
    await session.redis.set("key", "new");
    const { waits } = tidemark.stats();
    const policies = [{ level: "session", withinMs: 100, waitMs: 100 }, "session"] as const;
    expect(await session.at(policies).get("key")).toBe("new");
    expect(total(tidemark.stats().waits.ms)).toBeGreaterThan(total(waits.ms));
    const { proven, estimated } = tidemark.stats().protectedReads;
    expect(proven + estimated).toBe(1);
  });

  it("does not count reads of sessions that require nothing", async () => {
    holdReplicas(group);
    await tidemark.session().redis.set("key", "new");
    await tidemark.session().redis.get("key");
    expect(tidemark.stats().protectedReads).toEqual({ proven: 0, estimated: 0 });
  });
});

describe("tidemark.stats().fallback", () => {
  /** Makes every replica known to lack a write of the session, so that reads of the session fall back at once. */
  async function fallsBack(options: SessionOptions = {}): Promise<Session> {
    await open({ fallbackLimit: { concurrency: 1, perSecond: 1_000 } });
    holdReplicas(group);
    const session = tidemark.session(options);
    await session.redis.set("key", "new");
    const isKnown = async (): Promise<boolean> => {
      const before = sentFor("behind").session ?? 0;
      await session.redis.get("key");
      return (sentFor("behind").session ?? 0) > before;
    };
    await waitUntil(isKnown, { what: "the replicas are known to be behind" });
    return session;
  }

  it("shows the reads that the primary has, and those in line for it", async () => {
    const { redis } = await fallsBack();
    const { reads } = tidemark.stats().fallback;
    const readings = [redis.get("key"), redis.get("key"), redis.get("key")];
    expect(tidemark.stats().fallback).toMatchObject({ active: 1, waiting: 2 });
    expect(await Promise.all(readings)).toEqual(["new", "new", "new"]);
    expect(tidemark.stats().fallback).toMatchObject({ reads: reads + 3, active: 0, waiting: 0 });
  });

  it("forgets a read in line when its user gives up", async () => {
    const controller = new AbortController();
    const { redis } = await fallsBack({ signal: controller.signal });
    const first = redis.get("key");
    const second = expect(redis.get("key")).rejects.toThrow("GET");
    expect(tidemark.stats().fallback).toMatchObject({ active: 1, waiting: 1 });
    controller.abort();
    expect(tidemark.stats().fallback.waiting).toBe(0);
    const afterwards = expect(redis.get("key")).rejects.toThrow("GET");
    expect(tidemark.stats().fallback).toMatchObject({ active: 1, waiting: 0 });
    await Promise.all([first, second, afterwards]);
    expect(tidemark.stats().fallback).toMatchObject({ active: 0, waiting: 0 });
  });
});

describe("tidemark.stats().withoutPrimary", () => {
  it("counts the commands that found no primary in time, and no command of a closed Tidemark", async () => {
    await using own = await startReplicationGroup({ replicas: 1 });
    await using lonely = openTidemark(own, { primaryTimeoutMs: 200 });
    lonely.redis.on("error", () => {});
    await replicasAreEligible(lonely);
    await own.primary.kill();
    const { redis } = lonely.session();
    const attempts = [redis.set("key", "value"), redis.incr("count"), lonely.redis.get("key")];
    for (const { status } of await Promise.allSettled(attempts)) expect(status).toBe("rejected");
    const isCounted = async (): Promise<boolean> => {
      const before = lonely.stats().withoutPrimary;
      await expect(redis.set("key", "value")).rejects.toMatchObject({ code: "TIDEMARK_NO_PRIMARY" });
      return lonely.stats().withoutPrimary === before + 1;
    };
    expect(await isCounted()).toBe(true);
    const counted = lonely.stats().withoutPrimary;
    const waiting = expect(redis.set("key", "value")).rejects.toMatchObject({ code: "TIDEMARK_CLOSED" });
    await lonely.close({ timeoutMs: 0 });
    await waiting;
    expect(lonely.stats().withoutPrimary).toBe(counted);
  });
});

describe("tidemark.stats().failovers", () => {
  it("counts a failover, and how long the old primary had not answered", async () => {
    await using own = await startReplicationGroup({ replicas: 1 });
    await using following = openTidemark(own, { primaryTimeoutMs: 30_000 });
    following.redis.on("error", () => {});
    await replicasAreEligible(following);
    const [heir] = own.replicas;
    expect(total(following.stats().failovers.ms)).toBe(0);
    await own.primary.kill();
    const writing = following.session().redis.set("key", "value");
    await heir?.server.replicate(undefined);
    expect(await writing).toBe("OK");
    const { itself, sentinels, cluster, ms } = following.stats().failovers;
    expect([itself, sentinels, cluster, total(ms)]).toEqual([1, 0, 0, 1]);
    expect(ms.sum).toBeGreaterThan(0);
  });
});

describe("With the middleware, tidemark.stats()", () => {
  const secret = "a secret of at least 32 characters";
  let server: Server;

  beforeEach(async () => {
    const middleware = readYourWrites(tidemark, { secret });
    server = createServer((req, res) => {
      middleware(req, res, async () => {
        const { redis } = Object(req);
        if (req.url === "/late") res.end("done", () => void redis.set("key", "late"));
        else if (req.url === "/unawaited") {
          void redis.set("key", "value");
          res.end("done");
        } else {
          if (req.method === "POST") await redis.set("key", "value");
          res.end(await redis.get("key"));
        }
      });
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
  });

  afterEach(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });

  /** Resolves with the cookies of the response. */
  async function send(method: string, path: string, cookie = ""): Promise<string> {
    const { port } = Object(server.address()) as AddressInfo;
    const headers = cookie === "" ? {} : { cookie };
    const sent = ask({ port, method, path, headers, host: "127.0.0.1", agent: false });
    sent.end();
    const [response] = await once(sent, "response");
    response.resume();
    await once(response, "end");
    return (response.headers["set-cookie"] ?? []).map((one: string) => one.split(";")[0]).join("; ");
  }

  it("counts the tokens that are issued and accepted, and their size", async () => {
    const cookie = await send("POST", "/");
    await send("GET", "/", cookie);
    await send("GET", "/");
    const { issued, accepted, expired, unverified, bytes } = tidemark.stats().tokens;
    expect({ issued, accepted, expired, unverified }).toEqual({
      issued: 1,
      accepted: 1,
      expired: 0,
      unverified: 0,
    });
    expect(total(bytes)).toBe(1);
    expect(bytes.sum).toBe(cookie.split("=")[1]?.length);
  });

  it("counts a token that has expired", async () => {
    const cookie = await send("POST", "/");
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + patient.tokenTtlMs + 1 });
    try {
      await send("GET", "/", cookie);
    } finally {
      vi.useRealTimers();
    }
    expect(tidemark.stats().tokens).toMatchObject({ accepted: 0, expired: 1, unverified: 0 });
  });

  it("counts a token that no secret can decrypt", async () => {
    const cookie = await send("POST", "/");
    const [name = "", text = ""] = cookie.split("=");
    const forged = `${text.startsWith("A") ? "B" : "A"}${text.slice(1)}`;
    await send("GET", "/", `${name}=${forged}`);
    expect(tidemark.stats().tokens).toMatchObject({ accepted: 0, unverified: 1 });
  });

  it("counts a response that waited for its write, and for how long", async () => {
    await send("POST", "/unawaited");
    const { heldMs } = tidemark.stats();
    expect(total(heldMs)).toBe(1);
    expect(heldMs.sum).toBeGreaterThan(0);
    await send("GET", "/");
    expect(total(tidemark.stats().heldMs)).toBe(1);
  });

  it("counts the writes of each request", async () => {
    await send("POST", "/");
    await send("GET", "/");
    await send("GET", "/");
    const { bounds, counts, sum } = tidemark.stats().writes.perRequest;
    expect(bounds.slice(0, 2)).toEqual([0, 1]);
    expect([...counts.slice(0, 3), sum]).toEqual([2, 1, 0, 1]);
  });

  it("counts a request whose tokens could not all be read", async () => {
    const app = express().use(readYourWrites(tidemark, { secret, carrier: header() }));
    app.get("/", async (req, res) => void res.send(await req.redis.get("key")));
    await supertest(app).get("/").set("Consistency-Token", unsent).expect(200);
    expect(tidemark.stats().pins).toEqual({ unknownPosition: 0, unanswered: 0, unreadTokens: 1, notLive: 0 });
  });

  it("counts late writes", async () => {
    await send("GET", "/late");
    await waitUntil(() => tidemark.stats().lateWrites > 0, { what: "the late write is counted" });
    expect(tidemark.stats().lateWrites).toBe(1);
  });
});

describe("tidemark.stats().probes", () => {
  it("counts the questions for positions, by role", async () => {
    const before = tidemark.stats().probes;
    const asked = await group.primary.commandCalls("info");
    await tidemark.session().redis.set("key", "value");
    const { primary } = tidemark.stats().probes;
    expect(primary).toBeGreaterThan(before.primary);
    // What the test itself asks is not counted.
    expect(primary - before.primary).toBeLessThanOrEqual((await group.primary.commandCalls("info")) - asked);
    expect(before.replica).toBeGreaterThan(0);
  });
});

describe("tidemark.topology()", () => {
  it("has how long each replica took to catch up", async () => {
    await open({ waitMs: 20_000 });
    const values = (): number[] => tidemark.topology().map(({ catchUpMs }) => total(catchUpMs));
    const before = values();
    holdReplicas(group);
    const { redis } = tidemark.session();
    await redis.set("key", "new");
    const reading = redis.get("key");
    await waiting();
    const heldMs = 50;
    const since = performance.now();
    await waitUntil(() => performance.now() - since > heldMs, { what: "the replicas lag for a while" });
    await releaseReplicas(group);
    await reading;
    const isMeasured = (): boolean => values().every((count, i) => i === 0 || count > (before[i] ?? 0));
    await waitUntil(
      async () => {
        await redis.get("key");
        return isMeasured();
      },
      { what: "both replicas have reported the write" },
    );
    const [primary, ...replicas] = tidemark.topology();
    expect(total(primary?.catchUpMs ?? { counts: [1] })).toBe(0);
    for (const { catchUpMs } of replicas) expect(catchUpMs.sum).toBeGreaterThan(heldMs);
  });
});

describe("tidemark.prometheus()", () => {
  it("has each family once, with its help, its type and its samples together", async () => {
    const { redis } = tidemark.session();
    await redis.set("key", "value");
    await redis.get("key");
    const lines = tidemark.prometheus().trimEnd().split("\n");
    const families: string[] = [];
    for (const line of lines) {
      if (line.startsWith("# HELP ")) families.push(line.split(" ")[2] ?? "");
      else if (!line.startsWith("# TYPE ")) {
        expect(line).toMatch(/^[a-z_]+(\{([a-z_]+="[^"\n]*",?)+\})? -?\d+(\.\d+)?(e-?\d+)?$/);
        expect(line.startsWith(families.at(-1) ?? "no family")).toBe(true);
      }
    }
    expect(new Set(families).size).toBe(families.length);
    expect(families.length).toBeGreaterThan(20);
  });

  it("shows the counts, and histograms in seconds that add up", async () => {
    await open({ waitMs: 20 });
    holdReplicas(group);
    const { redis } = tidemark.session();
    await redis.set("key", "new");
    await redis.get("key");
    const text = tidemark.prometheus();
    const [address] = tidemark.topology().map((node) => node.address);
    for (const { role, reason, level, count } of tidemark.stats().commands)
      expect(text).toContain(
        `tidemark_commands_total{role="${role}",reason="${reason}",level="${level}"} ${count}\n`,
      );
    const { waits } = tidemark.stats();
    expect(text).toContain(`tidemark_waits_total{outcome="timed_out"} ${waits.timedOut}\n`);
    const atMost = (classes: number): number => total({ counts: waits.ms.counts.slice(0, classes) });
    expect(text).toContain(`tidemark_wait_seconds_bucket{le="0.01"} ${atMost(4)}\n`);
    expect(text).toContain(
      `tidemark_wait_seconds_bucket{le="+Inf"} ${atMost(13)}\ntidemark_wait_seconds_sum ${waits.ms.sum / 1_000}\n`,
    );
    expect(text).toContain(`tidemark_node_state{node="${address}",role="primary",state="serving"} 1\n`);
    expect(text.match(/^tidemark_node_state.*role="primary"/gm)).toHaveLength(16);
    expect(text).toContain(`tidemark_node_lag_bytes{node="${address}",role="primary"} 0\n`);
  });

  it("shows the limits for lag and clocks in seconds", async () => {
    await open({ maxStalenessMs: 4_500, tokenTtlMs: 60_000, maxClockSkewMs: 250 });
    expect(tidemark.prometheus()).toContain("\ntidemark_max_staleness_seconds 4.5\n");
    expect(tidemark.prometheus()).toContain("\ntidemark_max_clock_skew_seconds 0.25\n");
  });

  it("has fewer than 250 series for three servers, and no key", async () => {
    const session = tidemark.session();
    for (const level of ["session", "eventual", "strong", { maxStalenessMs: 1_000 }] as const)
      await session.at(level).get("secret-key");
    await session.redis.set("secret-key", "secret-value");
    const text = tidemark.prometheus();
    expect(text).not.toContain("secret");
    expect(text.split("\n").filter((line) => line !== "" && !line.startsWith("#")).length).toBeLessThan(250);
  });
});
