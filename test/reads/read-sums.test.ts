/** The reports of many concurrent reads add up to the reads that were made and to the counts of the servers. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Consistency, ReplicasBehindError, type Session, type Tidemark } from "../../src/index.js";
import { listenToReads, type ReadMessages } from "../support/listeners/read-messages.js";
import { seeded } from "../support/load/seeded.js";
import { serversOf } from "../support/servers/failover.js";
import type { ReplicationGroup } from "../support/servers/replication-group.js";
import { replicasAreEligible } from "../support/stages/eligible-replicas.js";
import { openTidemark } from "../support/stages/open-tidemark.js";
import { stageTidemark } from "../support/stages/staged-tidemark.js";

const turns = 400;
const keys = ["a", "b", "c", "d", "e"] as const;
/** No read waits for a replica, so that one which was tried in vain says so in the end. */
const levels: readonly Consistency[] = [
  ...(["session", "eventual", "strong", { maxStalenessMs: 2_000 }] as const),
  { level: "session", fallback: "error" },
  { level: "session", confirmMisses: true },
];
const afterReplica = new Set(["check-failed", "replica-failed", "missing-key"]);

let group: ReplicationGroup;
let tidemark: Tidemark;
let reads: ReadMessages;

stageTidemark({ replicas: 2 }, (stage) => {
  ({ group } = stage);
});

beforeEach(async () => {
  tidemark = openTidemark(group, { recordReads: 1_000, fallbackLimit: false });
  await replicasAreEligible(tidemark);
  reads = listenToReads();
});

afterEach(async () => {
  reads[Symbol.dispose]();
  await tidemark.close();
});

/** How often each server was sent GET, by its address. */
async function gets(): Promise<Map<string, number>> {
  const counts = serversOf(group).map(
    async (server): Promise<[string, number]> => [
      `${server.host}:${server.port}`,
      await server.commandCalls("get"),
    ],
  );
  return new Map(await Promise.all(counts));
}

/** The workload's own counts. */
interface Deeds {
  readonly sessions: Set<Session>;
  made: number;
  rejected: number;
}

/** Users who write and read in all ways, one beside the other, while replicas are held and let go. */
async function work(seed: number): Promise<Deeds> {
  const random = seeded(seed);
  const pick = <One>(of: readonly One[]): One => of[Math.floor(random() * of.length)] ?? expect.fail();
  const deeds: Deeds = { sessions: new Set(), made: 0, rejected: 0 };
  const under: Promise<unknown>[] = [];
  let session = tidemark.session();
  const read = (session: Session): void => {
    deeds.made += 1;
    under.push(
      session.redis.get(pick(keys)).catch((error: unknown) => {
        expect(error).toBeInstanceOf(ReplicasBehindError);
        deeds.rejected += 1;
      }),
    );
  };
  const readTogether = (session: Session, withWrite: boolean): void => {
    const together = random() < 0.5 ? session.redis.pipeline() : session.redis.multi();
    for (const key of keys) together.get(key);
    if (withWrite) together.set(pick(keys), "together");
    deeds.made += keys.length;
    under.push(
      Promise.resolve(together.exec()).then((replies) => {
        deeds.rejected += (replies ?? []).filter(([error]) => error !== null).length;
      }),
    );
  };
  for (let turn = 0; turn < turns; turn++) {
    const what = random();
    if (what < 0.05) pick(group.replicas).link.hold();
    else if (what < 0.1) await pick(group.replicas).link.release();
    else if (what < 0.2) {
      // A token of a write in flight would send all reads to the primary.
      if (random() < 0.9) await session.settled();
      session = tidemark.session({ token: session.token(), level: pick(levels) });
    } else if (what < 0.25) await session.redis.set(pick(keys), String(turn));
    else if (what < 0.28) under.push(session.redis.set(pick(keys), String(turn)));
    else if (what < 0.31) under.push(session.redis.del(pick(keys)));
    else if (what < 0.36) readTogether(session, random() < 0.5);
    else if (what < 0.5) await Promise.all(under);
    else read(session);
    deeds.sessions.add(session);
  }
  await Promise.all(under);
  return deeds;
}

describe("the records of many reads", () => {
  it.each([1, 2, 3, 4])(
    "exist once for each read, and name the server that was asked (seed %s)",
    async (seed) => {
      const before = await gets();
      const { sessions, made, rejected } = await work(seed);
      const after = await gets();
      const { heard } = reads;
      expect(heard).toHaveLength(made);
      expect(heard.filter(({ error }) => error !== undefined)).toHaveLength(rejected);
      const kept = [...sessions].flatMap((session) =>
        session.reads.map((record) => ({ tidemark, session, ...record })),
      );
      expect(kept).toHaveLength(made);
      for (const session of sessions)
        expect(kept.filter((one) => one.session === session)).toEqual(
          heard.filter((one) => one.session === session),
        );

      const calls = (address: string): number => (after.get(address) ?? 0) - (before.get(address) ?? 0);
      const answeredBy = (address: string): number => heard.filter(({ node }) => node === address).length;
      const [primary = "", ...replicas] = before.keys();
      const sum = (count: (address: string) => number): number =>
        replicas.reduce((all, address) => all + count(address), 0);
      expect(new Set(heard.filter(({ role }) => role === "primary").map(({ node }) => node))).toEqual(
        new Set([primary]),
      );
      expect(answeredBy(primary)).toBe(calls(primary));
      // Each read tries one replica at most, and says in the end that it was in vain.
      const inVain = heard.filter(({ reason, error }) =>
        afterReplica.has(reason ?? (error instanceof ReplicasBehindError ? error.reason : "")),
      );
      expect(sum(answeredBy) + inVain.length).toBe(sum(calls));
      expect(sum(answeredBy)).toBeGreaterThan(0);
      for (const { role, node, waitedMs, lagMs, error } of heard) {
        expect(role).toBe(node === undefined ? undefined : node === primary ? "primary" : "replica");
        expect(waitedMs).toBeGreaterThanOrEqual(0);
        expect(lagMs === undefined).toBe(role !== "replica");
        expect(error === undefined).toBe(node !== undefined);
      }
    },
  );
});
