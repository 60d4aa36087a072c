/** How often servers are asked for their INFO. */
import { setTimeout as pause } from "node:timers/promises";
import type { RedisServer } from "../../test/support/servers/redis-server.js";
import { clock } from "../report/clock.js";
import type { Worker } from "../report/worker.js";
import type { Load, Work } from "./app.js";

/** What asking begins with is not counted. */
const leadMs = 60;

/** INFOs in a second, server by server. */
export async function countInfos(servers: readonly RedisServer[], forMs: number): Promise<number[]> {
  const count = () => Promise.all(servers.map((server) => server.commandCalls("info")));
  const before = await count();
  const startedAt = clock();
  await pause(forMs);
  const after = await count();
  const seconds = (clock() - startedAt) / 1_000;
  // One of them is that of the first count itself.
  return after.map((calls, i) => (calls - (before[i] ?? Number.NaN) - 1) / seconds);
}

/** The same while each of `apps` works, and what came of that. */
export async function countInfosUnder(
  load: Load,
  apps: readonly Worker[],
  servers: readonly RedisServer[],
): Promise<{ perSecond: readonly number[]; works: readonly Work[] }> {
  const question: Load = { ...load, forMs: leadMs + load.forMs };
  const working = Promise.all(apps.map((app) => app.ask<Work>(question)));
  await pause(leadMs);
  const perSecond = await countInfos(servers, load.forMs);
  return { perSecond, works: await working };
}

export function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
