/** Users on a cluster whose slots move and whose replicas lag at random: no user misses an acknowledged write. */
import { expect, it } from "vitest";
import type { Session, Tidemark } from "../../src/index.js";
import { keyIn, stageCluster } from "../support/stages/staged-cluster.js";

const stage = stageCluster();
const durationMs = 3_000;
const slotsInMotion = [30, 31, 32, 33, 6_030, 12_030];

interface Findings {
  reads: number;
  readonly stale: string[];
  readonly errors: unknown[];
}

const any = <T>(list: readonly T[]): T => {
  const one = list[Math.floor(Math.random() * list.length)];
  if (one === undefined) throw new Error("there is nothing to choose from");
  return one;
};

const isEvery = (n: number): boolean => Math.random() * n < 1;

/** One user: keys of its own in slots that move, and what was last written to each. */
async function live(user: number, tidemarks: readonly Tidemark[], until: number, findings: Findings) {
  const keys = slotsInMotion.map((slot) => keyIn(slot, `u${user}`));
  const written = new Map<string, string>();
  let session: Session = any(tidemarks).session();
  for (let turn = 1; performance.now() < until; turn++) {
    const key = any(keys);
    if (isEvery(3)) {
      await session.redis.set(key, `${turn}`);
      written.set(key, `${turn}`);
    } else if (isEvery(8)) {
      await session.redis.del(key);
      written.delete(key);
    } else {
      const value = await session.redis.get(key);
      findings.reads += 1;
      const expected = written.get(key) ?? null;
      if (value !== expected) findings.stale.push(`${key}: ${value}, not ${expected}, in turn ${turn}`);
    }
    if (isEvery(4)) session = any(tidemarks).session({ token: session.token() });
  }
}

async function moveSlots(until: number): Promise<number> {
  let moves = 0;
  while (performance.now() < until) {
    const slot = any(slotsInMotion);
    const from = await stage.group.primaryOf(slot);
    const to = any(stage.group.nodes.slice(0, 3).filter((node) => node !== from));
    const migration = await stage.group.migration(slot, to);
    await migration.begin();
    while ((await migration.moveKeys(1)).length > 0) await pause(Math.random() * 10);
    await migration.finish();
    moves += 1;
  }
  return moves;
}

async function lagByChance(until: number): Promise<void> {
  while (performance.now() < until) {
    const { proxy } = any(stage.group.nodes.slice(0, 3));
    proxy.hold();
    await pause(Math.random() * 80);
    await proxy.release();
    await pause(Math.random() * 80);
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

it(
  "no read is stale while slots move and replicas lag",
  async () => {
    const tidemarks = [await stage.open(), await stage.open()];
    const until = performance.now() + durationMs;
    const findings: Findings = { reads: 0, stale: [], errors: [] };
    const users = Array.from({ length: 8 }, (_, user) =>
      live(user, tidemarks, until, findings).catch((error: unknown) => {
        findings.errors.push(error);
      }),
    );
    const [moves] = await Promise.all([moveSlots(until), lagByChance(until), ...users]);
    const gets = stage.routes.of("get");
    const onReplicas = gets.filter((route) => route.startsWith("replica")).length;
    const asked = gets.filter((route) => route === "primary:asked").length;
    const told = { reads: findings.reads, moves, onReplicas, asked };
    expect(findings.stale).toEqual([]);
    expect(findings.errors).toEqual([]);
    for (const count of Object.values(told)) expect(count).toBeGreaterThan(0);
  },
  durationMs + 60_000,
);
