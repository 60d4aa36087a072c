/** Reads that wait, as far as the servers can tell. */

import type { ReplicationGroup } from "../servers/replication-group.js";
import { waitUntil } from "../wait-until.js";

/** How often all replicas were asked for their positions. */
export async function questions(group: ReplicationGroup): Promise<number> {
  const calls = await Promise.all(group.replicas.map(({ server }) => server.commandCalls("info")));
  return calls.reduce((sum, one) => sum + one, 0);
}

/** Resolves when the replicas have been asked again and again for a read. */
export async function isWaiting(group: ReplicationGroup): Promise<void> {
  const before = await questions(group);
  await waitUntil(async () => (await questions(group)) > before + 5, { what: "the read waits" });
}
