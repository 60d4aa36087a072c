/** The file with which a server that is restarted comes back with its data. */

import type { Redis } from "ioredis";

/** Resolves when it is written, to stay until the server is told otherwise, as it is by its arguments at a start. */
export async function takeSnapshot(client: Redis): Promise<void> {
  // Replicas are synchronised by a file of the same name, which the server removes up to a second later.
  await client.config("SET", "rdb-del-sync-files", "no");
  await client.save();
}
