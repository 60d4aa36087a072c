/** How replicas are looked at for reads that wait for one of them. */

import type { Node } from "../node/node.js";
import type { Lookout } from "./catch-up-queue.js";
import type { Limits } from "./shard-options.js";

/** What there is to look at. */
interface Scene {
  readonly replicas: readonly Node[];
  readonly options: Limits;
  askPrimary(now: number, always: boolean): void;
}

const soonestMs = 1;
/** Questions for each lag. */
const looksPerLag = 4;
/** A question is taken to be lost when it has not been answered for so long. */
const lostAfterMs = 1_000;

export function lookoutOver(scene: Scene): Lookout {
  return {
    look(now) {
      // What replicas say proves their age only by samples of the primary that are young enough.
      scene.askPrimary(now, false);
      for (const node of scene.replicas) {
        node.connection.begin();
        const isAsked = node.seen !== undefined && node.seen.at < node.askedAt;
        const dueMs = Math.min(
          Math.max(node.lag.ms / looksPerLag, soonestMs),
          scene.options.probeIntervalMs / 2,
        );
        if (node.connection.ready && now - node.askedAt > (isAsked ? lostAfterMs : dueMs)) node.probe();
      }
    },

    leastLagMs() {
      let least = Number.POSITIVE_INFINITY;
      for (const { connection, lag, seen, denials } of scene.replicas)
        if (connection.ready && denials.fault === undefined && seen?.replication.role === "replica")
          least = Math.min(least, lag.ms);
      return least;
    },
  };
}
