/** Users who write and read back all the time, each with a token that travels between sessions. */

import type { Tidemark } from "../../../src/index.js";

export interface Findings {
  reads: number;
  stale: number;
  readonly errors: Error[];
  /** Reads that took longer than `slowMs`. */
  slow: number;
}

export interface Users {
  /** The findings so far. */
  readonly findings: Findings;
  /** Lets all finish what they are at. */
  stop(): Promise<Findings>;
}

/** Starts `count` users; each writes a rising number to a key of its own and reads it back, in new sessions. */
export function startUsers(tidemark: Tidemark, count: number, slowMs = 1_500): Users {
  const findings: Findings = { reads: 0, stale: 0, errors: [], slow: 0 };
  let stopped = false;
  const live = async (key: string): Promise<void> => {
    for (let turn = 1; !stopped; turn++) {
      const token = await write(tidemark, key, turn);
      for (let i = 0; i < 5 && !stopped; i++) {
        await pause(Math.random() * 8);
        await readBack(tidemark, key, turn, token, findings, slowMs);
      }
    }
  };
  const users = Array.from({ length: count }, (_, i) =>
    live(`user-${i}`).catch((error: unknown) => {
      findings.errors.push(error instanceof Error ? error : new Error(String(error)));
    }),
  );
  return {
    findings,
    stop: async () => {
      stopped = true;
      await Promise.all(users);
      return findings;
    },
  };
}

async function write(tidemark: Tidemark, key: string, turn: number): Promise<string> {
  const session = tidemark.session();
  await session.redis.set(key, turn);
  return session.token();
}

async function readBack(
  tidemark: Tidemark,
  key: string,
  turn: number,
  token: string,
  findings: Findings,
  slowMs: number,
): Promise<void> {
  const startedAt = performance.now();
  const value = await tidemark.session({ token }).redis.get(key);
  findings.reads += 1;
  if (performance.now() - startedAt > slowMs) findings.slow += 1;
  if (value !== String(turn)) findings.stale += 1;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
