/** Counters that one transaction raises together: read one after the other, they tell whether time went backwards. */

import type { Redis } from "ioredis";

export const counters = ["counter:a", "counter:b", "counter:c", "counter:d"] as const;

/** Raises all by one; resolves with what they are then. */
export async function raise(redis: Redis): Promise<number> {
  const transaction = redis.multi();
  for (const key of counters) transaction.incr(key);
  const replies = await transaction.exec();
  return Math.min(...(replies ?? []).map(([error, value]) => (error ? Number.NaN : Number(value))));
}

/** Reads each alone, one after the other, and then all at once, which they are equal at; resolves with the six values. */
export async function readCounters(redis: Redis): Promise<number[]> {
  const values: (string | null)[] = [];
  for (const key of counters) values.push(await redis.get(key));
  const together = await redis.mget(...counters);
  return [...values, ...together].map(Number);
}

/** How many of `values` are below one before them, `floor` included. */
export function stepsBack(values: readonly number[], floor: number): number {
  let highest = floor;
  let steps = 0;
  for (const value of values) {
    if (!(value >= highest)) steps += 1;
    else highest = value;
  }
  return steps;
}
