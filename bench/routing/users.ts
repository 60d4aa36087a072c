/** A process with the users of every policy: each thinks, then reads or writes, one thing after the other. */
import { setTimeout as sleep } from "node:timers/promises";
import { quantile } from "../quantile.js";
import { answer } from "../worker.js";
import { openPolicies, type Policy, type Servers } from "./policies.js";

/** The first opens all policies, each other has their users at work for a while. */
export type UsersQuestion = Servers | { readonly forMs: number; readonly writeShare: number };

/** What became of the users of one policy. */
export interface Outcome {
  readonly name: string;
  readonly reads: number;
  /** Reads that lacked the user's own last write. */
  readonly stale: number;
  /** Shares of all reads. */
  readonly primaryShare: number;
  readonly thrownAwayShare: number;
  readonly readP50: number;
  readonly readP99: number;
  readonly writeP50: number;
  readonly writeP99: number;
}

const usersEach = 75;
/** Between what a user does, on average. */
const thinkMs = 200;

let policies: readonly Policy[] = [];

answer(async (question: UsersQuestion): Promise<readonly Outcome[]> => {
  if ("primary" in question) {
    policies = await openPolicies(question);
    return [];
  }
  const { forMs, writeShare } = question;
  return await Promise.all(policies.map((policy) => observe(policy, forMs, writeShare)));
});

/** The same numbers for the same user of every policy (Mulberry32), so that all do the same at the same times. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

async function observe(policy: Policy, forMs: number, writeShare: number): Promise<Outcome> {
  const before = { ...policy.counts };
  const [reads, writes]: [number[], number[]] = [[], []];
  let stale = 0;
  const until = performance.now() + forMs;
  const live = async (user: number): Promise<void> => {
    const random = randomFrom(user);
    let own = (await policy.read(user)) ?? "0";
    for (;;) {
      const pauseMs = -Math.log(1 - random()) * thinkMs;
      if (performance.now() + pauseMs > until) return;
      await sleep(pauseMs);
      const at = performance.now();
      if (random() < writeShare) {
        own = String(Number(own) + 1);
        await policy.write(user, own);
        writes.push(performance.now() - at);
      } else {
        const value = (await policy.read(user)) ?? "0";
        reads.push(performance.now() - at);
        if (Number(value) < Number(own)) stale += 1;
      }
    }
  };
  await Promise.all(Array.from({ length: usersEach }, (_, user) => live(user)));
  const { counts, name } = policy;
  const count = counts.reads - before.reads;
  return {
    name,
    reads: count,
    stale,
    primaryShare: (counts.onPrimary - before.onPrimary) / count,
    thrownAwayShare: (counts.thrownAway - before.thrownAway) / count,
    readP50: quantile(reads, 0.5),
    readP99: quantile(reads, 0.99),
    writeP50: quantile(writes, 0.5),
    writeP99: quantile(writes, 0.99),
  };
}
