/** Replicas that get nothing until they are let go. */

import type { ReplicationGroup } from "./replication-group.js";

/** Holds the replicas of these numbers back, or all of them. */
export function holdReplicas(group: ReplicationGroup, ...which: number[]): void {
  for (const [index, { link }] of group.replicas.entries()) {
    if (which.length === 0 || which.includes(index)) link.hold();
  }
}

/** Lets all go, and resolves when they have caught up. */
export async function releaseReplicas(group: ReplicationGroup): Promise<void> {
  await Promise.all(group.replicas.map(({ link }) => link.release()));
  await group.caughtUp();
}
