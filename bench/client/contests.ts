/** The contests that the clients take part in. */
import type { Contest, Entry } from "./contest.js";

export const entries = [
  { name: "ioredis GET", client: "ioredis", what: "read" },
  { name: "ioredis with autopipelining, GET", client: "autopipelining", what: "read" },
  { name: "node-redis GET", client: "node-redis", what: "read" },
  { name: "valkey-glide GET", client: "valkey-glide", what: "read" },
  { name: "session read, position known", client: "tidemark", what: "read" },
  { name: "new session for every read", client: "tidemark", what: "readAnew" },
  { name: "ioredis SET", client: "ioredis", what: "write" },
  { name: "ioredis with autopipelining, SET", client: "autopipelining", what: "write" },
  { name: "node-redis SET", client: "node-redis", what: "write" },
  { name: "valkey-glide SET", client: "valkey-glide", what: "write" },
  { name: "session write", client: "tidemark", what: "write" },
] as const satisfies readonly Entry[];

export type Name = (typeof entries)[number]["name"];

export const known = "session read, position known";
const pairs: readonly (readonly [Name, Name])[] = [
  [known, "ioredis GET"],
  [known, "ioredis with autopipelining, GET"],
  [known, "node-redis GET"],
  [known, "valkey-glide GET"],
  ["new session for every read", "ioredis GET"],
  ["session write", "ioredis SET"],
  ["session write", "ioredis with autopipelining, SET"],
  ["session write", "node-redis SET"],
  ["session write", "valkey-glide SET"],
];

const tolerance = 0.1;
const positionKnown =
  '"Position known": Tidemark already knows that the replica has the position that the session requires.';

export const together: Contest<Name> = {
  title: "64 in flight",
  how: positionKnown,
  entries,
  pairs,
  inFlight: 64,
  turn: { count: 40_000 },
  isPaused: false,
  limits: { least: 8, most: 24, tolerance },
  roundsPerProcess: 2,
};

export const alone: Contest<Name> = {
  title: "1 in flight",
  how: positionKnown,
  entries,
  pairs,
  inFlight: 1,
  turn: { ms: 2_000 },
  isPaused: false,
  limits: { least: 8, most: 15, tolerance },
  roundsPerProcess: 3,
};

const checkedEntries = [
  { name: "ioredis GET", client: "ioredis", what: "read" },
  { name: "ioredis PING and GET", client: "ioredis", what: "readWithPing" },
  { name: "ioredis INFO and GET", client: "ioredis", what: "readWithInfo" },
  { name: "session read, position to be checked", client: "tidemark", what: "readChecked" },
] as const satisfies readonly Entry[];

export type CheckedName = (typeof checkedEntries)[number]["name"];

export const checked: Contest<CheckedName> = {
  title: "Checked reads",
  how:
    "Before each read, another user writes in the same process, and waits until the replica has the write. Only the read is measured. " +
    '"Position to be checked": the session requires that write, so Tidemark sends INFO replication and the read together. ' +
    "The same commands in an ioredis pipeline are therefore what this read is compared with.",
  entries: checkedEntries,
  pairs: [
    ["session read, position to be checked", "ioredis INFO and GET"],
    ["session read, position to be checked", "ioredis PING and GET"],
    ["session read, position to be checked", "ioredis GET"],
  ],
  inFlight: 1,
  turn: { ms: 2_000 },
  isPaused: true,
  limits: { least: 8, most: 15, tolerance },
  roundsPerProcess: 3,
};
