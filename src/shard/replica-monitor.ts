/** How replicas are looked at for reads that wait for one of them. */

import type { Node } from "../node/node.js";
import type { ReplicaMonitor } from "./catch-up-queue.js";
import type { ShardLimits } from "./shard-options.js";

/** What there is to look at. */
interface Scene {
  readonly replicas: readonly Node[];
  readonly options: ShardLimits;
  askPrimary(now: number, always: boolean): void;
}

const soonestMs = 1;
/** Questions for each lag. */
const looksPerLag = 4;
/** A question is taken to be lost when it has not been answered for so long. */
const lostAfterMs = 1_000;

export function monitorReplicas(scene: Scene): ReplicaMonitor {
  return {
    look(now) {
      // What replicas say proves their age only by samples of the primary that are young enough.
      scene.askPrimary(now, false);
      for (const node of scene.replicas) {
        node.connection.connectIfLazy();
        const isAsked = node.lastReport !== undefined && node.lastReport.at < node.probedAt;
        const dueMs = Math.min(
          Math.max(node.lag.ms / looksPerLag, soonestMs),
          scene.options.probeIntervalMs / 2,
        );
        if (node.connection.ready && now - node.probedAt > (isAsked ? lostAfterMs : dueMs))
          node.probeBefore();
      }
    },

    leastLagMs() {
      let least = Number.POSITIVE_INFINITY;
      for (const { connection, lag, lastReport, denials } of scene.replicas)
        if (connection.ready && denials.fault === undefined && lastReport?.replication.role === "replica")
          least = Math.min(least, lag.ms);
      return least;
    },
  };
}
