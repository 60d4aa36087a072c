/** A snapshot as one line of JSON. */
import type { ServerRow, Snapshot } from "./snapshot.js";

/** One object on one line. A number that is not known is null. */
export function jsonLine({ at, groups, warnings }: Snapshot): string {
  return JSON.stringify({
    at: at.toISOString(),
    groups: groups.map(({ title, servers }) => ({ title: title ?? null, servers: servers.map(serverOf) })),
    warnings,
  });
}

function serverOf(row: ServerRow): Record<string, unknown> {
  const { address, role, state, reason, lagBytes, lagMs, hasCaughtUp, opsPerSecond, link, clients } = row;
  const known = { role, reason, lagBytes, opsPerSecond, link, clients, memoryBytes: row.memoryBytes };
  return {
    address,
    state,
    ...Object.fromEntries(Object.entries(known).map(([name, value]) => [name, value ?? null])),
    lagMs: lagMs === undefined ? null : Math.round(lagMs),
    hasCaughtUp: lagMs === undefined ? null : hasCaughtUp,
  };
}
