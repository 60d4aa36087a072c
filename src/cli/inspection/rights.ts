/** The commands that Tidemark itself sends, as far as they can be tried without changing anything. */

export interface Right {
  /** The name of the command, as ACL rules have it. */
  readonly name: string;
  readonly command: readonly string[];
  /** What Tidemark cannot do without it. */
  readonly lack: string;
}

/** `MULTI` and `DISCARD` belong together. */
export const rightsAsked: readonly Right[] = [
  {
    name: "info",
    command: ["INFO", "replication"],
    lack: "Without INFO Tidemark cannot tell which data a server has",
  },
  {
    name: "client|tracking",
    command: ["CLIENT", "TRACKING", "OFF"],
    lack: "Without CLIENT TRACKING a replica's position counts for only a fifth of probeIntervalMs",
  },
  {
    name: "time",
    command: ["TIME"],
    lack: "Without TIME Tidemark cannot compare the clocks of the servers",
  },
  {
    name: "multi",
    command: ["MULTI"],
    lack: 'Without MULTI a position cannot be proven with a read (verify: "always")',
  },
  {
    name: "discard",
    command: ["DISCARD"],
    lack: "Without DISCARD a transaction that was begun cannot be ended",
  },
];

/** Tried only where INFO is forbidden, because only there Tidemark needs it. */
export const markerRight: Right = {
  name: "marker",
  command: ["GET", "tidemark:doctor:absent"],
  lack: "Where INFO is forbidden, Tidemark needs keys that begin with tidemark:",
};
