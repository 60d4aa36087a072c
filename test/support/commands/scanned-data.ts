/** Data to be gone through by SCAN and its kin, in many steps. */

import type { ReplicationGroup } from "../servers/replication-group.js";

/** How many keys, and how many members each of "hash", "set" and "zset" has. */
export const scannedCount = 5_000;

/** Fills the group's servers: keys k0, k1, … and, of all three, members f0, f1, …; resolves when all have them. */
export async function fillToScan(group: ReplicationGroup): Promise<void> {
  const admin = group.primary.admin();
  const numbers = Array.from({ length: scannedCount }, (_, i) => i);
  const fields = numbers.flatMap((i) => [`f${i}`, i]);
  await admin.mset(numbers.flatMap((i) => [`k${i}`, i]));
  await admin.hset("hash", ...fields);
  await admin.sadd("set", ...fields);
  await admin.zadd("zset", ...numbers.flatMap((i) => [i, `f${i}`]));
  await group.caughtUp();
}
