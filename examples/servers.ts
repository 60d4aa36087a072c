/** Starts the servers that the examples run on. */
import type { Tidemark } from "tidemark";
import { startReplicationGroup } from "../test/support/servers/replication-group.js";
import { waitUntil } from "../test/support/wait-until.js";

export const lagMs = 250;

/** URLs of running servers. Disposing of this object ends them. */
export interface Servers extends AsyncDisposable {
  readonly primary: string;
  readonly replicas: readonly string[];
}

/** Starts a primary and two replicas. The replicas get everything {@link lagMs} milliseconds later. */
export async function startServers(): Promise<Servers> {
  const group = await startReplicationGroup({ replicas: 2, lag: { ms: lagMs } });
  console.log(`a primary and two replicas, ${lagMs} ms behind it\n`);
  return {
    primary: group.primary.url,
    replicas: group.replicas.map(({ server }) => server.url),
    [Symbol.asyncDispose]: () => group.stop(),
  };
}

/** Resolves when every replica may answer reads. Until then the primary answers, whatever the lag is. */
export async function replicasAnswer(tidemark: Tidemark): Promise<void> {
  const allEligible = async (): Promise<boolean> => {
    await tidemark.session().redis.get("nothing");
    return tidemark.topology().every(({ eligible }) => eligible);
  };
  await waitUntil(allEligible, { what: "every replica may answer" });
}
