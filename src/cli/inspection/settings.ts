/** The options of the app's Tidemark that checks compare with the servers. */

/** Times in milliseconds. */
export interface Settings {
  readonly maxStalenessMs: number;
  readonly tokenTtlMs: number;
  readonly waitMs: number;
  readonly maxClockSkewMs: number;
  readonly probeIntervalMs: number;
  /** How many processes of the app connect to the servers. */
  readonly processes: number;
  /** How long after a write users read. */
  readonly thinkMs: readonly number[];
}

/** The defaults of a Tidemark, and one process. */
export const defaultSettings: Settings = {
  maxStalenessMs: 10_000,
  tokenTtlMs: 60_000,
  waitMs: 0,
  maxClockSkewMs: 1_000,
  probeIntervalMs: 250,
  processes: 1,
  thinkMs: [10, 50, 200, 1_000, 5_000],
};
