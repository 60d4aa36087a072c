/** Failovers of a replication group, made by hand. */

import { waitUntil } from "../wait-until.js";
import type { RedisServer } from "./redis-server.js";
import type { ReplicationGroup } from "./replication-group.js";

/** The group's replica of that number. */
export function replicaOf(group: ReplicationGroup, number = 0): RedisServer {
  const server = group.replicas[number]?.server;
  if (server === undefined) throw new Error(`the group has no replica ${number}`);
  return server;
}

/** Every server of the group that is alive. */
export function serversOf({ primary, replicas }: ReplicationGroup): RedisServer[] {
  return [primary, ...replicas.map(({ server }) => server)].filter(({ isAlive }) => isAlive);
}

/** Promotes a server of the group, and resolves when all others that are alive follow it, past their lag proxies. */
export async function failOver(group: ReplicationGroup, heir: RedisServer): Promise<RedisServer> {
  await heir.replicate(undefined);
  const others = serversOf(group).filter((server) => server !== heir);
  await Promise.all(others.map((server) => server.replicate(heir)));
  await Promise.all(others.map((server) => follows(server, heir)));
  return heir;
}

/** Resolves when `server` replicates from `primary` and has its history. */
export async function follows(server: RedisServer, primary: RedisServer): Promise<void> {
  await waitUntil(
    async () => {
      const [here, there] = await Promise.all([server.info("replication"), primary.info("replication")]);
      return here.master_link_status === "up" && here.master_replid === there.master_replid;
    },
    { what: `port ${server.port} follows port ${primary.port}` },
  );
}
