/** How often servers are asked for their INFO. */
import type { RedisServer } from "../../test/support/redis-server.js";
import { clock } from "../clock.js";

export interface Asked<Given> {
  /** INFOs in a second, server by server. */
  readonly perSecond: readonly number[];
  /** What `run` gave. */
  readonly given: Given;
}

/** Counts while `run` does. */
export async function countInfos<Given>(
  servers: readonly RedisServer[],
  run: () => Promise<Given>,
): Promise<Asked<Given>> {
  const count = () => Promise.all(servers.map((server) => server.commandCalls("info")));
  const before = await count();
  const startedAt = clock();
  const given = await run();
  const seconds = (clock() - startedAt) / 1_000;
  const after = await count();
  // One of them is that of the first count itself.
  const perSecond = after.map((calls, i) => (calls - (before[i] ?? Number.NaN) - 1) / seconds);
  return { perSecond, given };
}

export function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
