/** The ways in which reads are spread over servers that lag, each on connections and keys of its own. */
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { Redis } from "ioredis";
import { type RouteMessage, Tidemark } from "tidemark";

export interface Servers {
  readonly primary: string;
  readonly replicas: readonly string[];
}

/** Where reads went. */
export interface Counts {
  reads: number;
  onPrimary: number;
  /** Answers of replicas that were not used. */
  thrownAway: number;
}

export interface Policy {
  readonly name: string;
  readonly counts: Counts;
  read(user: number): Promise<string | null>;
  write(user: number, value: string): Promise<unknown>;
  close(): Promise<void>;
}

const waitMs = 1_000;
/** A WAIT keeps its connection from all else. */
const waiters = 48;

export async function openPolicies(servers: Servers): Promise<readonly Policy[]> {
  return [
    onPrimary(servers),
    atRandom("replicas at random", servers, 0),
    atRandom("primary for 2 s after a write", servers, 2_000),
    atRandom("primary for 5 s after a write", servers, 5_000),
    withWait(servers),
    await openTidemark(servers),
    oracle(servers),
  ];
}

function noCounts(): Counts {
  return { reads: 0, onPrimary: 0, thrownAway: 0 };
}

function onPrimary({ primary }: Servers): Policy {
  const redis = new Redis(primary);
  const counts = noCounts();
  return {
    name: "all on the primary",
    counts,
    read(user) {
      counts.reads += 1;
      counts.onPrimary += 1;
      return redis.get(`primary:${user}`);
    },
    write: (user, value) => redis.set(`primary:${user}`, value),
    close: async () => redis.disconnect(),
  };
}

function atRandom(name: string, servers: Servers, stickMs: number): Policy {
  const primary = new Redis(servers.primary);
  const replicas = servers.replicas.map((url) => new Redis(url));
  const wroteAt = new Map<number, number>();
  const counts = noCounts();
  return {
    name,
    counts,
    read(user) {
      const sticks = performance.now() - (wroteAt.get(user) ?? Number.NEGATIVE_INFINITY) < stickMs;
      counts.reads += 1;
      if (sticks) counts.onPrimary += 1;
      return (sticks ? primary : oneOf(replicas)).get(`${name}:${user}`);
    },
    async write(user, value) {
      await primary.set(`${name}:${user}`, value);
      wroteAt.set(user, performance.now());
    },
    close: async () => {
      for (const redis of [primary, ...replicas]) redis.disconnect();
    },
  };
}

/** Every write waits until all replicas have it, or for a second. */
function withWait(servers: Servers): Policy {
  const replicas = servers.replicas.map((url) => new Redis(url));
  const writers = Array.from({ length: waiters }, () => new Redis(servers.primary));
  let next = 0;
  const counts = noCounts();
  return {
    name: "WAIT for all on every write",
    counts,
    read(user) {
      counts.reads += 1;
      return oneOf(replicas).get(`wait:${user}`);
    },
    async write(user, value) {
      next += 1;
      const writer = writers[next % waiters] ?? oneOf(writers);
      await Promise.all([writer.set(`wait:${user}`, value), writer.wait(replicas.length, waitMs)]);
    },
    close: async () => {
      for (const redis of [...replicas, ...writers]) redis.disconnect();
    },
  };
}

/** Each operation is a session of its own that is made from what its user brings, as requests are. */
async function openTidemark(servers: Servers): Promise<Policy> {
  const tidemark = new Tidemark(servers);
  await tidemark.ready();
  const tokens = new Map<number, string>();
  const counts = noCounts();
  const onRoute = (message: unknown): void => {
    const { command, role, reason } = message as RouteMessage;
    if (command !== "get") return;
    if (role === "primary") counts.onPrimary += 1;
    if (reason === "check-failed" || reason === "replica-failed") counts.thrownAway += 1;
  };
  subscribe("tidemark:route", onRoute);
  return {
    name: "Tidemark",
    counts,
    read(user) {
      counts.reads += 1;
      return tidemark.session({ token: tokens.get(user) ?? "" }).redis.get(`tidemark:${user}`);
    },
    async write(user, value) {
      const session = tidemark.session({ token: tokens.get(user) ?? "" });
      await session.redis.set(`tidemark:${user}`, value);
      tokens.set(user, session.token());
    },
    close: async () => {
      unsubscribe("tidemark:route", onRoute);
      await tidemark.close();
    },
  };
}

/** Knows what each replica has by asking all of them for the very key, and takes the primary only where none has it. */
function oracle(servers: Servers): Policy {
  const primary = new Redis(servers.primary);
  const replicas = servers.replicas.map((url) => new Redis(url));
  const written = new Map<number, string>();
  const counts = noCounts();
  return {
    name: "an oracle",
    counts,
    async read(user) {
      counts.reads += 1;
      const own = written.get(user) ?? null;
      const answers = await Promise.all(replicas.map((redis) => redis.get(`oracle:${user}`)));
      if (answers.includes(own)) return own;
      counts.onPrimary += 1;
      return await primary.get(`oracle:${user}`);
    },
    async write(user, value) {
      await primary.set(`oracle:${user}`, value);
      written.set(user, value);
    },
    close: async () => {
      for (const redis of [primary, ...replicas]) redis.disconnect();
    },
  };
}

function oneOf<Value>(values: readonly Value[]): Value {
  const value = values[Math.floor(Math.random() * values.length)];
  if (value === undefined) throw new Error("there is none");
  return value;
}
