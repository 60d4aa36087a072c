/** Which servers carried commands out, in their own words: no client can be wrong about that. */
import type { ReplicationGroup } from "../../support/servers/replication-group.js";

/** How often a command was carried out, the calls of scripts included. */
export interface Served {
  readonly primary: number;
  readonly replicas: number;
}

/** Counts from now on; what comes back tells how often a command of that name has been carried out since, and where. */
export async function countServed(group: ReplicationGroup): Promise<(command: string) => Promise<Served>> {
  const replicas = group.replicas.map(({ server }) => server);
  await Promise.all([group.primary, ...replicas].map((server) => server.admin().config("RESETSTAT")));
  return async (command) => {
    const [primary = 0, ...others] = await Promise.all(
      [group.primary, ...replicas].map((server) => server.commandCalls(command)),
    );
    return { primary, replicas: others.reduce((sum, calls) => sum + calls, 0) };
  };
}
