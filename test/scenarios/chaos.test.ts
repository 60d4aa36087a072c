/** Random failures of servers, with users who check each of their reads. */

import { describe, expect, it } from "vitest";
import { runChaos } from "../support/load/chaos.js";

const seed = Number(process.env.CHAOS_SEED ?? 17);
const seconds = Number(process.env.CHAOS_SECONDS ?? 15);

describe("users whose servers fail at random", () => {
  it(
    "never miss their own writes, and never go back in time within a session",
    async () => {
      const { stale, failedReads, reads, faults } = await runChaos({ seed, seconds });
      expect({ stale, failedReads }, `CHAOS_SEED=${seed}`).toEqual({ stale: [], failedReads: {} });
      expect(reads).toBeGreaterThan(1_000);
      expect(Object.keys(faults).length).toBeGreaterThan(5);
    },
    seconds * 1_000 + 60_000,
  );
});
