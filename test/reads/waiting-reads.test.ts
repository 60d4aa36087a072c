/** Reads that wait for a replica: what makes them wait, in which order they are woken, and for how long they wait. */
import { describe, expect, it } from "vitest";
import { AbortedError, ClosedError, ReplicasBehindError, type Tidemark } from "../../src/index.js";
import { unknownWrite } from "../../src/session/token.js";
import type { Routes } from "../support/listeners/routes.js";
import { holdReplicas, releaseReplicas } from "../support/servers/held-replicas.js";
import type { ReplicationGroup } from "../support/servers/replication-group.js";
import { replicasAreEligible } from "../support/stages/eligible-replicas.js";
import { type GroupOptions, openTidemark } from "../support/stages/open-tidemark.js";
import { sentCommands } from "../support/stages/sent-commands.js";
import { stageTidemark } from "../support/stages/staged-tidemark.js";
import { isWaiting, questions } from "../support/stages/waiting-reads.js";
import { waitUntil } from "../support/wait-until.js";

let group: ReplicationGroup;
let tidemark: Tidemark;
let routes: Routes;

stageTidemark({ replicas: 2 }, (stage) => {
  ({ group, tidemark, routes } = stage);
});

const long = 20_000;

async function withOther(options: GroupOptions, act: (tidemark: Tidemark) => Promise<void>): Promise<void> {
  const other = openTidemark(group, options);
  try {
    await replicasAreEligible(other);
    await act(other);
  } finally {
    await other.close();
  }
}

/** A token that held replicas do not cover, and a session for each call that has it. */
async function written(key: string, value = "new"): Promise<string> {
  const session = tidemark.session();
  await session.redis.set(key, value);
  return session.token();
}

/** The reads that the primary was sent. */
function onPrimary(): string[] {
  return routes.of("get").filter((route) => route.startsWith("primary:"));
}

describe("waitMs", () => {
  it.each([
    ["of a call", (token: string) => tidemark.session({ token }).redis.at({ waitMs: long }).get("k")],
    [
      "beside the level of a call",
      (token: string) => tidemark.session({ token }).at("session", { waitMs: long }).get("k"),
    ],
    ["of a session", (token: string) => tidemark.session({ token, level: { waitMs: long } }).redis.get("k")],
    [
      "of a bounded call",
      (token: string) => tidemark.session({ token }).at({ maxStalenessMs: 5_000, waitMs: long }).get("k"),
    ],
  ])("%s makes the read wait for a replica, and the next read does not wait", async (_, read) => {
    holdReplicas(group);
    const token = await written("k");
    const reading = read(token);
    expect(await tidemark.session({ token }).redis.get("k")).toBe("new");
    expect(onPrimary()).toHaveLength(1);
    await isWaiting(group);
    await releaseReplicas(group);
    expect(await reading).toBe("new");
    expect(routes.of("get").at(-1)).toBe("replica:known");
    expect(onPrimary()).toHaveLength(1);
  });

  it("applies only to the levels it is given for", async () => {
    await withOther({ waitMs: { bounded: long } }, async (patient) => {
      holdReplicas(group);
      const token = await written("k");
      routes.clear();
      const waiting = patient.session({ token, level: { maxStalenessMs: 5_000 } }).redis.get("k");
      await patient.session({ token }).redis.get("k");
      expect(onPrimary()).toHaveLength(1);
      await isWaiting(group);
      await releaseReplicas(group);
      await waiting;
      expect(routes.of("get").at(-1)).toBe("replica:known");
    });
  });

  it("falls back as `fallback` says when it is over", async () => {
    holdReplicas(group);
    const token = await written("k");
    const patient = tidemark.session({ token });
    expect(await patient.redis.at({ waitMs: 30 }).get("k")).toBe("new");
    expect(onPrimary()).toHaveLength(1);
    await expect(
      tidemark.session({ token }).redis.at({ waitMs: 30, fallback: "error" }).get("k"),
    ).rejects.toThrow(ReplicasBehindError);
  });

  it("is skipped when recent lag shows that no replica will catch up in time", async () => {
    holdReplicas(group);
    await written("old");
    await waitUntil(
      async () => {
        await tidemark.session().redis.get("nothing");
        return tidemark
          .topology()
          .slice(1)
          .every(({ lagMs }) => (lagMs ?? 0) > 400);
      },
      { what: "the replicas are known to lag" },
    );
    const token = await written("k");
    routes.clear();
    const before = await questions(group);
    const sentBefore = sentCommands(tidemark, "behind");
    const session = tidemark.session({ token, level: { waitMs: 60 } });
    const reading = session.redis.get("k");
    expect(sentCommands(tidemark, "behind")).toBe(sentBefore + 1);
    expect(await reading).toBe("new");
    expect(routes.of("get")).toEqual(["primary:behind"]);
    expect((await questions(group)) - before).toBeLessThanOrEqual(4);
  });
});

describe("many waiting reads", () => {
  it("are woken in the order of their positions", async () => {
    holdReplicas(group);
    const tokens: string[] = [];
    for (let i = 0; i < 20; i++) tokens.push(await written("k", `${i}`));
    const woken: number[] = [];
    const order = tokens.map((_, i) => (i * 7) % 20);
    const reading = order.map(async (i) => {
      await tidemark.session({ token: tokens[i] ?? "", level: { waitMs: long } }).redis.get("k");
      woken.push(i);
    });
    await isWaiting(group);
    await releaseReplicas(group);
    await Promise.all(reading);
    expect(woken).toEqual([...woken].sort((a, b) => a - b));
    expect(woken).toHaveLength(20);
  });

  it("cause no more probes than one", async () => {
    const asked = async (count: number): Promise<number> => {
      holdReplicas(group);
      const token = await written("k");
      const before = await questions(group);
      const reading = Array.from({ length: count }, () =>
        tidemark.session({ token, level: { waitMs: long } }).redis.get("k"),
      );
      // As long for both.
      const until = performance.now() + 500;
      await waitUntil(() => Promise.resolve(performance.now() > until), { what: "half a second has passed" });
      const during = (await questions(group)) - before;
      await releaseReplicas(group);
      expect(await Promise.all(reading)).toEqual(reading.map(() => "new"));
      return during;
    };
    const one = await asked(1);
    const thousand = await asked(1000);
    expect(one).toBeGreaterThan(2);
    expect(thousand).toBeLessThan(one * 2 + 20);
  });
});

describe("a signal", () => {
  it("removes a waiting read from the queue, and nothing is sent for the read", async () => {
    holdReplicas(group);
    const token = await written("k");
    const aborting = new AbortController();
    const session = tidemark.session({ token, level: { waitMs: long }, signal: aborting.signal });
    const reading = session.redis.get("k");
    await isWaiting(group);
    aborting.abort();
    await expect(reading).rejects.toThrow(AbortedError);
    const sent = routes.of("get").length;
    await releaseReplicas(group);
    await replicasAreEligible(tidemark);
    const gets = await group.primary.commandCalls("get");
    expect(await tidemark.session({ token }).redis.strlen("k")).toBe(3);
    expect(await group.primary.commandCalls("get")).toBe(gets);
    // Those that were sent to find out whether replicas are eligible.
    expect(
      routes
        .of("get")
        .slice(sent)
        .filter((route) => route.startsWith("primary:")),
    ).toEqual([]);
  });

  it("rejects a read that would wait if it is already aborted, and is requested only then", async () => {
    let asked = 0;
    const signal = (): AbortSignal => {
      asked += 1;
      return AbortSignal.abort();
    };
    const session = tidemark.session({ token: await written("k"), level: { waitMs: long }, signal });
    await group.caughtUp();
    await replicasAreEligible(tidemark);
    expect([await session.redis.get("k"), asked]).toEqual(["new", 0]);
    holdReplicas(group);
    const behind = tidemark.session({ token: await written("k"), level: { waitMs: long }, signal });
    await expect(behind.redis.get("k")).rejects.toMatchObject({ code: "TIDEMARK_ABORTED" });
    expect(asked).toBe(1);
  });
});

describe("confirmMisses", () => {
  it("checks the primary for a key that a replica lacks, and for no other key", async () => {
    await tidemark.session().redis.set("there", "old");
    await group.caughtUp();
    await replicasAreEligible(tidemark);
    holdReplicas(group);
    await written("link");
    routes.clear();
    const { redis } = tidemark.session({ level: { confirmMisses: true } });
    expect(await redis.get("link")).toBe("new");
    expect(routes.of("get")).toEqual(["replica:known", "primary:missing-key"]);
    const other = tidemark.session({ level: { level: "eventual", confirmMisses: true } }).redis;
    expect(await other.get("there")).toBe("old");
    expect(routes.of("get").slice(2)).toEqual(["replica:known"]);
    expect(await tidemark.session().redis.get("link")).toBeNull();
  });

  it("applies to all reads of a Tidemark", async () => {
    await withOther({ confirmMisses: true }, async (confirming) => {
      holdReplicas(group);
      await written("link");
      expect(await confirming.session().redis.exists("link")).toBe(1);
      expect(await confirming.session().redis.at("eventual").mget("link", "no")).toEqual(["new", null]);
      expect(await confirming.session().redis.at({ confirmMisses: false }).get("link")).toBeNull();
    });
  });
});

describe("reads of pinned sessions that wait for room at the primary", () => {
  const fallbackLimit = { concurrency: 1, perSecond: 2 };
  const read = (other: Tidemark, signal?: AbortSignal): Promise<string | null> =>
    other.session({ token: unknownWrite(), ...(signal && { signal }) }).redis.get("k");

  it("probe no replica, and are answered in turn or refused after a second", async () => {
    // Ten go at once, and then one every 100 ms: on a loaded machine some of these are late.
    await withOther({ fallbackLimit: { concurrency: 1, perSecond: 10 } }, async (other) => {
      const before = await questions(group);
      const ends = await Promise.allSettled(Array.from({ length: 50 }, () => read(other)));
      const refused = ends.flatMap((end) => (end.status === "rejected" ? [end.reason] : []));
      expect(refused.length).toBeGreaterThan(25);
      expect(ends.length - refused.length).toBeGreaterThan(10);
      for (const error of refused) expect(error).toBeInstanceOf(ReplicasBehindError);
      expect((await questions(group)) - before).toBeLessThan(20);
    });
  });

  it("are cancelled when the request is aborted", async () => {
    await withOther({ fallbackLimit }, async (other) => {
      await Promise.all([read(other), read(other)]);
      const aborting = new AbortController();
      const reading = read(other, aborting.signal);
      const next = read(other);
      aborting.abort();
      await expect(reading).rejects.toThrow(AbortedError);
      expect(await next).toBeNull();
    });
  });

  it("are ended by close()", async () => {
    await withOther({ fallbackLimit }, async (other) => {
      await Promise.all([read(other), read(other)]);
      const ends: unknown[] = [];
      read(other).catch((error: unknown) => ends.push(error));
      await other.close({ timeoutMs: 0 });
      await new Promise(setImmediate);
      // Not only when it would have been its turn.
      expect(ends).toEqual([expect.any(ClosedError)]);
    });
  });

  it("are awaited by close() while there is time", async () => {
    await withOther({ fallbackLimit }, async (other) => {
      await Promise.all([read(other), read(other)]);
      const reading = read(other);
      await other.close();
      expect(await reading).toBeNull();
    });
  });
});
