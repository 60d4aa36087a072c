/** Promotions that nobody tells a Tidemark of. */

import type { Tidemark } from "../../../src/index.js";
import { waitUntil } from "../wait-until.js";
import type { RedisServer } from "./redis-server.js";
import type { ReplicationGroup } from "./replication-group.js";

/** Makes the group's first replica the primary, and the primary its replica. */
export async function promoteFirst(group: ReplicationGroup): Promise<RedisServer> {
  const promoted = group.replicas[0]?.server;
  if (promoted === undefined) throw new Error("the group has no replica");
  await promoted.admin().replicaof("NO", "ONE");
  await group.primary.admin().replicaof("127.0.0.1", promoted.port);
  return promoted;
}

/** Whether `tidemark` takes `server` for the primary. */
export function isPrimaryOf(tidemark: Tidemark, server: Pick<RedisServer, "port">): boolean {
  return tidemark.topology()[0]?.address.endsWith(`:${server.port}`) ?? false;
}

/** Resolves when reads have made `tidemark` notice that `server` was promoted. */
export async function promotionIsNoticed(
  tidemark: Tidemark,
  server: Pick<RedisServer, "port">,
): Promise<void> {
  await waitUntil(
    async () => {
      await tidemark.redis.get("nothing").catch(() => {});
      return isPrimaryOf(tidemark, server);
    },
    { what: "the promotion is noticed" },
  );
}
