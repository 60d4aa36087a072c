/** Many reads while all replicas stall: the primary keeps accepting writes. */
import { setTimeout as pause } from "node:timers/promises";
import { beforeEach, describe, expect, it } from "vitest";
import { type CommonOptions, ReplicasBehindError, type Tidemark } from "../../src/index.js";
import { hasDoublings } from "../support/doublings.js";
import { listenToRoutes } from "../support/listeners/routes.js";
import { holdReplicas, releaseReplicas } from "../support/servers/held-replicas.js";
import { sentCommands } from "../support/stages/sent-commands.js";
import { stageGroup } from "../support/stages/staged-group.js";
import { waitUntil } from "../support/wait-until.js";

const stage = stageGroup({ replicas: 3 });

/** Expensive for the server and cheap for the client. */
const dear = ["sintercard", "2", "some", "others"] as const;
const members = Array.from({ length: 10_000 }, (_, i) => `member-${i}`);

beforeEach(async () => {
  const admin = stage.group.primary.admin();
  await Promise.all(["some", "others"].map((key) => admin.sadd(key, ...members)));
  await stage.group.caughtUp();
});

/** One third is left out of each median. */
const writes = hasDoublings ? 60 : 24;
const betweenWritesMs = 15;

/** A token that no replica covers as long as they are held. */
async function tokenOf(tidemark: Tidemark): Promise<string> {
  const session = tidemark.session();
  await session.redis.incr("written");
  return session.token();
}

/** Makes `count` users read the latest write again and again, until disposed of or until the test is given up. */
function readers(
  tidemark: Tidemark,
  count: number,
  token: () => string,
  signal: AbortSignal,
): AsyncDisposable {
  let isOver = false;
  const reading = Array.from({ length: count }, async () => {
    while (!isOver && !signal.aborted) {
      try {
        await tidemark.session({ token: token() }).redis.call(...dear);
      } catch (error) {
        if (!(error instanceof ReplicasBehindError)) return;
        // Reads that are refused at once would keep the test's time limit from ever being noticed.
        await new Promise(setImmediate);
      }
    }
  });
  return {
    [Symbol.asyncDispose]: async () => {
      isOver = true;
      await Promise.all(reading);
    },
  };
}

/** The median time that a write takes beside reads, in milliseconds: while all is well, and while the replicas stall. */
async function writesBeside(
  options: CommonOptions,
  signal: AbortSignal,
): Promise<{ calmMs: number; stalledMs: number }> {
  const tidemark = await stage.open(options);
  let token = await tokenOf(tidemark);
  const median = async (): Promise<number> => {
    const took: number[] = [];
    for (let i = 0; i < writes; i++) {
      const begunAt = performance.now();
      token = await tokenOf(tidemark);
      took.push(performance.now() - begunAt);
      // Reads that are on their way to replicas have to end before there are more.
      await pause(betweenWritesMs);
    }
    return took.slice(writes / 3).sort((a, b) => a - b)[writes / 3] ?? 0;
  };
  await using _readers = readers(tidemark, 200, () => token, signal);
  const calmMs = await median();
  holdReplicas(stage.group);
  const stalledMs = await median();
  await releaseReplicas(stage.group);
  return { calmMs, stalledMs };
}

describe("while all replicas stall under many reads", () => {
  // A ratio of times: whatever else the machine does meanwhile may spoil a try, but not five.
  it("writes keep their speed, and lose it without fallbackLimit", { retry: 4 }, async ({ signal }) => {
    const limited = await writesBeside({}, signal);
    const unlimited = await writesBeside({ fallbackLimit: false }, signal);
    expect(unlimited.stalledMs).toBeGreaterThan(5 * limited.stalledMs);
    expect(unlimited.stalledMs).toBeGreaterThan(5 * unlimited.calmMs);
  });

  it("at most fallbackLimit reads are on the primary at a time, and all are answered in the end", async () => {
    const tidemark = await stage.open({ fallbackLimit: { concurrency: 3 } });
    holdReplicas(stage.group);
    const token = await tokenOf(tidemark);
    stage.group.primary.pause();
    const onPrimary = (): number => sentCommands(tidemark, "behind") + sentCommands(tidemark, "check-failed");
    const reads = Array.from({ length: 20 }, () => tidemark.session({ token }).redis.get("written"));
    await waitUntil(() => onPrimary() > 0, { what: "a read was sent to the primary" });
    await new Promise(setImmediate);
    expect(onPrimary()).toBeLessThanOrEqual(3);
    stage.group.primary.resume();
    expect(await Promise.all(reads)).toEqual(reads.map(() => "1"));
  });

  it("reads that replicas have answered after all take no turn from later reads", async () => {
    const tidemark = await stage.open({ fallbackLimit: { concurrency: 1, perSecond: 20 } });
    holdReplicas(stage.group);
    const token = await tokenOf(tidemark);
    using routes = listenToRoutes();
    const reads = Array.from({ length: 200 }, () => tidemark.session({ token }).redis.get("written"));
    await waitUntil(() => routes.of("get").filter((route) => route.startsWith("primary")).length > 20, {
      what: "the primary has its maximum of reads in a second",
    });
    await releaseReplicas(stage.group);
    expect(await Promise.all(reads)).toEqual(reads.map(() => "1"));
    holdReplicas(stage.group);
    const next = await tokenOf(tidemark);
    expect(await tidemark.session({ token: next }).redis.get("written")).toBe("2");
    await releaseReplicas(stage.group);
  });

  it("reads without room fail with a 503 error, and succeed again when the replicas are back", async () => {
    const tidemark = await stage.open({ fallbackLimit: { concurrency: 1, perSecond: 1 } });
    holdReplicas(stage.group);
    const token = await tokenOf(tidemark);
    const read = (): Promise<unknown> => tidemark.session({ token }).redis.get("written");
    const ends = await Promise.allSettled(Array.from({ length: 20 }, read));
    const refusals = ends.flatMap((end) => (end.status === "rejected" ? [end.reason] : []));
    expect(refusals.length).toBeGreaterThan(10);
    for (const refusal of refusals) {
      expect(refusal).toBeInstanceOf(ReplicasBehindError);
      expect(refusal).toMatchObject({
        status: 503,
        headers: { "Retry-After": expect.stringMatching(/^[1-9]\d?$/) },
      });
    }
    expect(ends.flatMap((end) => (end.status === "fulfilled" ? [end.value] : []))).toContain("1");
    await releaseReplicas(stage.group);
    using routes = listenToRoutes();
    await waitUntil(
      async () => {
        routes.clear();
        const values = await Promise.all(Array.from({ length: 20 }, () => read().catch(() => undefined)));
        expect(values.filter((value) => value !== undefined && value !== "1")).toEqual([]);
        return (
          routes.of("get").every((route) => route.startsWith("replica")) &&
          values.every((value) => value === "1")
        );
      },
      { what: "replicas answer all reads" },
    );
  });
});
