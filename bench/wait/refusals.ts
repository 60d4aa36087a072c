/** A process whose reads are refused right after their writes, and that looks when they could have been answered. */
import { setTimeout as pause } from "node:timers/promises";
import { Redis } from "ioredis";
import { ReplicasBehindError, Tidemark } from "tidemark";
import { answer } from "../report/worker.js";

export interface RefusalsTask {
  readonly primary: string;
  readonly replicas: readonly string[];
  readonly count: number;
  /** Between two of them, on average. */
  readonly everyMs: number;
  /** How long the values are that are written. */
  readonly bytes: number;
}

/** What became of one refused read. */
export interface Refusal {
  /** What its error estimated; undefined where it did not. */
  readonly estimatedMs: number | undefined;
  /** After how long the replica that the error names had the write. */
  readonly waitedMs: number;
  /** Whether the read was answered when it was tried again after exactly the estimate. */
  readonly isAnswered: boolean;
}

answer(async ({ primary, replicas, count, everyMs, bytes }: RefusalsTask): Promise<readonly Refusal[]> => {
  const tidemark = new Tidemark({ primary, replicas, fallback: "error" });
  await tidemark.ready();
  const own = new Map(replicas.map((url) => [new URL(url).host, new Redis(url)]));
  const value = "v".repeat(bytes);
  const refused: Promise<Refusal | undefined>[] = [];
  for (let i = 0; i < count; i++) {
    refused.push(refusalOf(`wait:${i}`));
    await pause(everyMs * (0.5 + Math.random()));
  }
  const all = await Promise.all(refused);
  await tidemark.close();
  for (const redis of own.values()) redis.disconnect();
  return all.filter((one) => one !== undefined);

  async function refusalOf(key: string): Promise<Refusal | undefined> {
    const session = tidemark.session();
    const { redis } = session;
    await redis.set(key, value, "PX", 60_000);
    const token = session.token();
    const error = await read(token, key);
    if (!(error instanceof ReplicasBehindError)) return undefined;
    const refusedAt = performance.now();
    const { retryAfterMs: estimatedMs, node } = error;
    const replica = own.get(node ?? "") ?? [...own.values()][0];
    const there = replica === undefined ? 0 : untilThere(replica, key);
    const again = estimatedMs === undefined ? false : pause(estimatedMs).then(() => read(token, key));
    const isAnswered = estimatedMs !== undefined && (await again) === value;
    return { estimatedMs, waitedMs: (await there) - refusedAt, isAnswered };
  }

  function read(token: string, key: string): Promise<unknown> {
    return tidemark
      .session({ token })
      .redis.get(key)
      .catch((error: unknown) => error);
  }
});

/** The moment at which `replica` has the key. */
async function untilThere(replica: Redis, key: string): Promise<number> {
  for (;;) {
    const askedAt = performance.now();
    if ((await replica.exists(key)) === 1) return askedAt;
    await pause(1);
  }
}
