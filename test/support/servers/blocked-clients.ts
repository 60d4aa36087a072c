/** Clients that wait in a command that blocks. */

import type { RedisServer } from "./redis-server.js";

/** How many a server has. */
export async function blockedClients(server: RedisServer): Promise<number> {
  return Number((await server.info("clients")).blocked_clients);
}
