/** Rows of `tidemark top` that no server has to produce. */

import { type Terminal, terminalOf } from "../../../src/cli/terminal/terminal.js";
import type { ServerRow, Snapshot } from "../../../src/cli/top/snapshot.js";

/** A replica that serves. */
export function rowWith(fields: Partial<ServerRow>): ServerRow {
  return {
    address: "10.0.0.2:6379",
    role: "replica",
    state: "serving",
    reason: undefined,
    lagBytes: 0,
    lagMs: 0,
    hasCaughtUp: true,
    history: [],
    opsPerSecond: 1_234,
    link: { isUp: true, seconds: 1 },
    clients: 12,
    memoryBytes: 1_300_000,
    ...fields,
  };
}

export const primaryRow = rowWith({
  address: "10.0.0.1:6379",
  role: "primary",
  lagBytes: undefined,
  lagMs: undefined,
  link: undefined,
});

export function snapshotOf(servers: readonly ServerRow[], warnings: readonly string[] = []): Snapshot {
  return { at: new Date(2026, 0, 1, 12, 30, 5), groups: [{ title: undefined, servers }], warnings };
}

/** A terminal with Unicode. It has no colours unless `hasColors`. */
export function terminalWith(width: number, hasColors = false): Terminal {
  return terminalOf({ isTTY: true, columns: width }, { LANG: "C.UTF-8", NO_COLOR: hasColors ? "" : "1" });
}
