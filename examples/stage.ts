/** What the examples run on, and how they tell what came of it. */
import type { Tidemark } from "tidemark";
import { startReplicationGroup } from "../test/support/servers/replication-group.js";
import { waitUntil } from "../test/support/wait-until.js";

export const lagMs = 250;

/** URLs of running servers, which end with what is disposed of. */
export interface Servers extends AsyncDisposable {
  readonly primary: string;
  readonly replicas: readonly string[];
}

/** Starts a primary and two replicas that get everything {@link lagMs} later. */
export async function startServers(): Promise<Servers> {
  const group = await startReplicationGroup({ replicas: 2, lag: { ms: lagMs } });
  console.log(`a primary and two replicas, ${lagMs} ms behind it\n`);
  return {
    primary: group.primary.url,
    replicas: group.replicas.map(({ server }) => server.url),
    [Symbol.asyncDispose]: () => group.stop(),
  };
}

/** Resolves when every replica may answer reads, so that what follows is about lag and not about the start. */
export async function replicasAnswer(tidemark: Tidemark): Promise<void> {
  const allEligible = async (): Promise<boolean> => {
    await tidemark.session().redis.get("nothing");
    return tidemark.topology().every(({ eligible }) => eligible);
  };
  await waitUntil(allEligible, { what: "every replica may answer" });
}

/** Tells what was seen. Where something had to be seen and it is not that, the process ends with 1. */
export function tell(what: string, seen: unknown, ...due: [expected?: unknown]): void {
  const isSo = due.length === 0 || JSON.stringify(seen) === JSON.stringify(due[0]);
  const mark = due.length === 0 ? " " : isSo ? "✓" : "✗";
  console.log(`${mark} ${what}: ${JSON.stringify(seen)}`);
  if (!isSo) process.exitCode = 1;
}
