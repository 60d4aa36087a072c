/** The catch-up estimates of refused reads, compared with the test's own measurements of the replicas. */
import { describe, expect, it } from "vitest";
import { ReplicasBehindError, type Tidemark } from "../../src/index.js";
import { holdReplicas, releaseReplicas } from "../support/servers/held-replicas.js";
import type { GroupReplica, ReplicationGroup } from "../support/servers/replication-group.js";
import { replicasAreEligible } from "../support/stages/eligible-replicas.js";
import { type GroupOptions, openTidemark } from "../support/stages/open-tidemark.js";
import { stageTidemark } from "../support/stages/staged-tidemark.js";
import { waitUntil } from "../support/wait-until.js";

let group: ReplicationGroup;
let written = 0;

stageTidemark({ replicas: 2 }, (stage) => {
  ({ group } = stage);
});

/** One that refuses what no replica may answer, on those replicas of the group. */
async function openStrict(replicas: readonly GroupReplica[], options: GroupOptions = {}): Promise<Tidemark> {
  const urls = replicas.map(({ server }) => server.url);
  const tidemark = openTidemark(group, { replicas: urls, fallback: "error", ...options });
  await replicasAreEligible(tidemark);
  return tidemark;
}

function replicaAt(index: number): GroupReplica {
  const replica = group.replicas[index];
  if (replica === undefined) throw new Error(`there is no replica ${index}`);
  return replica;
}

function addressOf({ server }: GroupReplica): string {
  return `127.0.0.1:${server.port}`;
}

/** Writes a key of its own, of so many bytes, and gives it with the token of who wrote it. */
async function write(tidemark: Tidemark, bytes = 1): Promise<{ key: string; token: string }> {
  const session = tidemark.session();
  const key = `k${written++}`;
  await session.redis.set(key, "v".repeat(bytes));
  return { key, token: session.token() };
}

/** Undefined when the read is answered. */
async function refusalOf(
  tidemark: Tidemark,
  { key, token }: { key: string; token?: string },
  maxStalenessMs?: number,
): Promise<ReplicasBehindError | undefined> {
  const level = maxStalenessMs === undefined ? "session" : { maxStalenessMs };
  try {
    await tidemark.session({ token: token ?? "", level }).redis.get(key);
    return undefined;
  } catch (error) {
    if (error instanceof ReplicasBehindError) return error;
    throw error;
  }
}

/** The moment at which `replica` has `key`. */
async function arrivalOf(key: string, { server }: GroupReplica): Promise<number> {
  await waitUntil(async () => (await server.admin().exists(key)) === 1, { what: `${key} has arrived` });
  return performance.now();
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}

describe("a refused read", () => {
  it("estimates a wait close to the replica's lag", async () => {
    const replica = replicaAt(0);
    await using tidemark = await openStrict([replica]);
    replica.link.delay(300);
    try {
      const ratios: number[] = [];
      await waitUntil(
        async () => {
          const own = await write(tidemark);
          const refusal = await refusalOf(tidemark, own);
          const refusedAt = performance.now();
          // Those who try again and again are how the lag becomes known.
          const isAnswered = async () => (await refusalOf(tidemark, own)) === undefined;
          const [thereAt] = await Promise.all([
            arrivalOf(own.key, replica),
            waitUntil(isAnswered, { what: "the read is answered" }),
          ]);
          const waitedMs = thereAt - refusedAt;
          if (refusal !== undefined) ratios.push((refusal.retryAfterMs ?? Number.NaN) / waitedMs);
          return ratios.length >= 15;
        },
        { what: "reads are refused", timeoutMs: 25_000 },
      );
      // Of the first ones nothing was known.
      ratios.splice(0, 5);
      expect(median(ratios)).toBeGreaterThan(0.5);
      expect(median(ratios)).toBeLessThan(2.5);
    } finally {
      replica.link.delay(0);
    }
  });

  it.each([
    ["the process that wrote", false],
    ["another process, which asks the primary seldom", true],
  ])("in %s estimates the remaining wait, even if it is the only read there", async (_name, isOther) => {
    const replica = replicaAt(0);
    await using writer = await openStrict([replica]);
    await using other = await openStrict([replica]);
    const reader = isOther ? other : writer;
    const lagMs = 300;
    replica.link.delay(lagMs);
    try {
      const told: { readonly at: number; readonly ms: number | undefined }[][] = [];
      for (let round = 0; round < 8; round++) {
        const own = await write(writer);
        const refusals: { at: number; ms: number | undefined }[] = [];
        for (const afterMs of [0, lagMs / 2]) {
          const since = performance.now();
          await waitUntil(() => performance.now() - since >= afterMs, { what: "the next read is due" });
          const refusal = await refusalOf(reader, own);
          if (refusal !== undefined) refusals.push({ at: performance.now(), ms: refusal.retryAfterMs });
        }
        const thereAt = await arrivalOf(own.key, replica);
        told.push(refusals.map(({ at, ms }) => ({ at: thereAt - at, ms })));
      }
      // Of the first ones nothing was known.
      for (const which of [0, 1]) {
        const ratios = told
          .slice(2)
          .flatMap((refusals) => refusals[which] ?? [])
          .map(({ at, ms }) => (ms ?? Number.NaN) / at);
        expect(ratios.length).toBeGreaterThan(3);
        expect(median(ratios)).toBeGreaterThan(0.3);
        expect(median(ratios)).toBeLessThan(2.5);
      }
    } finally {
      replica.link.delay(0);
    }
  });

  it("estimates the wait from the rate at which a slow replica receives data", async () => {
    const replica = replicaAt(0);
    await using tidemark = await openStrict([replica]);
    replica.link.throttle(100);
    try {
      let own = await write(tidemark);
      for (let i = 0; i < 20; i++) own = await write(tidemark, 10_000);
      const told: { readonly at: number; readonly ms: number }[] = [];
      await waitUntil(
        async () => {
          const refusal = await refusalOf(tidemark, own);
          if (refusal !== undefined)
            told.push({ at: performance.now(), ms: refusal.retryAfterMs ?? Number.NaN });
          return (await replica.server.admin().exists(own.key)) === 1;
        },
        { what: "the last write has arrived", timeoutMs: 20_000 },
      );
      const thereAt = performance.now();
      // Of the first ones nothing was known, and the last ones had nearly nothing to wait for.
      const ratios = told
        .slice(told.length >> 2, -(told.length >> 2))
        .map(({ at, ms }) => ms / (thereAt - at));
      expect(ratios.length).toBeGreaterThan(5);
      expect(median(ratios)).toBeGreaterThan(0.5);
      expect(median(ratios)).toBeLessThan(2);
    } finally {
      replica.link.throttle(Number.POSITIVE_INFINITY);
    }
  });

  it("estimates longer waits the longer the replica stands still, and so does the app's Retry-After", async () => {
    await using tidemark = await openStrict(group.replicas);
    holdReplicas(group);
    const own = await write(tidemark);
    const until = 1_200;
    await waitUntil(async () => ((await refusalOf(tidemark, own))?.retryAfterMs ?? 0) > until, {
      what: "the estimate has grown",
      timeoutMs: 20_000,
    });
    const last = await refusalOf(tidemark, own);
    const ms = last?.retryAfterMs ?? Number.NaN;
    expect(last?.headers).toEqual({ "Retry-After": String(Math.ceil(ms / 1_000)) });
    expect(last?.message).toContain(`will probably catch up in ${ms.toLocaleString("en-US")} ms`);
  });

  it.each([0, 1])("names replica %i of two when that replica is nearer", async (nearer) => {
    const [near, far] = [replicaAt(nearer), replicaAt(1 - nearer)];
    await using tidemark = await openStrict(group.replicas);
    far.link.hold();
    for (let i = 0; i < 20; i++) await refusalOf(tidemark, await write(tidemark));
    const { key } = await write(tidemark);
    await arrivalOf(key, near);
    near.link.hold();
    const own = await write(tidemark);
    await waitUntil(async () => (await refusalOf(tidemark, own))?.node === addressOf(near), {
      what: "the estimate names the nearer replica",
    });
  });

  it("names a replica that stands still before one without its primary, which it names only if there is no other", async () => {
    const [held, cut] = [replicaAt(0), replicaAt(1)];
    await using tidemark = await openStrict(group.replicas);
    held.link.hold();
    const own = await write(tidemark);
    await arrivalOf(own.key, cut);
    const isFirst = (replica: GroupReplica) => async (): Promise<boolean> => {
      const refusal = await refusalOf(tidemark, next);
      return refusal?.node === addressOf(replica) && refusal.retryAfterMs !== undefined;
    };
    cut.link.hold();
    const next = await write(tidemark);
    try {
      await waitUntil(isFirst(cut), {
        what: "the error names the replica that has stood still for less time",
      });
      cut.link.cut();
      await waitUntil(isFirst(held), { what: "the error names the replica that still has its primary" });
      held.link.cut();
      await waitUntil(isFirst(cut), { what: "both replicas are known to have lost their primary" });
    } finally {
      await Promise.all([held, cut].map(({ link }) => link.release()));
      for (const { link } of [held, cut]) link.mend();
      await group.ready();
    }
  });

  it("reports by how many bytes the replica is behind", async () => {
    const replica = replicaAt(0);
    await using tidemark = await openStrict([replica]);
    replica.link.hold();
    const isExact = async (): Promise<boolean> => {
      const refusal = await refusalOf(tidemark, await write(tidemark, 1_000));
      const { master_repl_offset } = await group.primary.info("replication");
      const { slave_repl_offset } = await replica.server.info("replication");
      const bytes = Number(master_repl_offset) - Number(slave_repl_offset);
      expect(bytes).toBeGreaterThan(1_000);
      if (refusal?.behindBytes !== bytes) return false;
      expect(refusal.message).toContain(`is ${bytes.toLocaleString("en-US")} bytes behind`);
      return true;
    };
    // Now and then the primary writes something by itself between a write and our look.
    await waitUntil(isExact, { what: "the error and INFO agree" });
  });

  it("reports the bytes at a level that bounds staleness too", async () => {
    const replica = replicaAt(0);
    await using tidemark = await openStrict([replica]);
    holdReplicas(group);
    const { key } = await write(tidemark, 1_000);
    const isRefused = async (): Promise<boolean> => {
      const refusal = await refusalOf(tidemark, { key }, 50);
      if (!refusal?.behindBytes) return false;
      expect([refusal.node, refusal.behindBytes > 1_000]).toEqual([addressOf(replica), true]);
      return (refusal.retryAfterMs ?? 0) >= 50;
    };
    await waitUntil(isRefused, { what: "the replica is known to be too stale" });
  });

  it("gives no estimate when no replica may be read", async () => {
    const weights = Object.fromEntries(group.replicas.map((replica) => [addressOf(replica), 0]));
    await using tidemark = openTidemark(group, { weights, fallback: "error" });
    await tidemark.ready();
    expect(await refusalOf(tidemark, await write(tidemark))).toMatchObject({
      reason: "no-replica",
      node: undefined,
      behindBytes: undefined,
      retryAfterMs: undefined,
      headers: { "Retry-After": "1" },
      message:
        'GET: no replica can answer now (no-replica), and the read may not go to the primary because fallback is "error". ' +
        'No replica is configured, or all have weight 0. Add a replica, or set fallback to "primary".',
    });
  });

  it("gives no estimate for replicas that cannot be used", async () => {
    const replica = replicaAt(0);
    await using tidemark = await openStrict([replica]);
    const own = await write(tidemark);
    await replica.server.admin().replicaof("NO", "ONE");
    try {
      const isKnown = async (): Promise<boolean> => {
        const refusal = await refusalOf(tidemark, own);
        if (refusal?.reason !== "unusable") return false;
        expect([refusal.node, refusal.behindBytes, refusal.retryAfterMs]).toEqual([
          undefined,
          undefined,
          undefined,
        ]);
        expect(refusal.message).toContain("Tidemark cannot use any replica");
        expect(refusal.message).toContain("topology()");
        return true;
      };
      await waitUntil(isKnown, { what: "the replica is known to be a primary" });
    } finally {
      await replica.server.replicate(replica.link);
      await group.ready();
    }
  });
});

describe("a read that fallbackLimit refuses", () => {
  it("gives the same estimate", async () => {
    await using tidemark = await openStrict(group.replicas, {
      fallback: "primary",
      fallbackLimit: { concurrency: 1, perSecond: 1 },
    });
    holdReplicas(group);
    const own = await write(tidemark);
    const refusals = await Promise.all(Array.from({ length: 20 }, () => refusalOf(tidemark, own)));
    const known = refusals.filter((refusal) => refusal !== undefined);
    expect(known.length).toBeGreaterThan(10);
    for (const { node, behindBytes, retryAfterMs, message } of known) {
      expect(group.replicas.map(addressOf)).toContain(node);
      expect(behindBytes).toBeGreaterThan(0);
      expect(retryAfterMs).toBeGreaterThan(0);
      expect(message).toContain("because it has as many such reads as fallbackLimit allows. ");
      expect(message).toMatch(/ Retry after that time\.$/);
    }
    await releaseReplicas(group);
  });
});
