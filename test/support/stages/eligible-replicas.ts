/** Replicas that a Tidemark may read from. */

import type { Tidemark } from "../../../src/index.js";
import { waitUntil } from "../wait-until.js";

/** Resolves when every replica may answer reads; reads keep the questions after their positions going. */
export async function replicasAreEligible(tidemark: Tidemark): Promise<void> {
  await tidemark.ready();
  await waitUntil(
    async () => {
      await tidemark.session({ rollout: true }).redis.get("nothing");
      return tidemark.topology().every(({ eligible }) => eligible);
    },
    { what: "every replica is eligible" },
  );
}
