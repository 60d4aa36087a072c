/** Rounds in which all clients take turns, each in a process of its own, in a new order in each round. */
import { seeded } from "../../test/support/load/seeded.js";
import { intervalOf, type RoundLimits, takeRounds } from "../report/rounds.js";
import type { Figure, Table } from "../report/section.js";
import { Worker } from "../report/worker.js";
import type { Cost } from "./burst.js";
import type { ClientName } from "./clients.js";
import type { ContestantQuestion, Turn } from "./contestant.js";
import type { Servers, What } from "./operations.js";
import { shuffled } from "./shuffled.js";

export interface Entry {
  readonly name: string;
  readonly client: ClientName;
  readonly what: What;
}

export interface Contest<Name extends string> {
  readonly title: string;
  /** Facts that are not true of all contests. The tables state them. */
  readonly how: string;
  readonly entries: readonly (Entry & { readonly name: Name })[];
  /** Ours and theirs. There are as many rounds as these ratios need. */
  readonly pairs: readonly (readonly [Name, Name])[];
  readonly inFlight: number;
  /** How long a turn is: a number of operations or, of operations that wait for one another, milliseconds. */
  readonly turn: { readonly count: number } | { readonly ms: number };
  /** Whether another user writes before every `inFlight` operations. */
  readonly isPaused: boolean;
  readonly limits: RoundLimits;
  /** After so many rounds the processes are replaced by new ones. */
  readonly roundsPerProcess: number;
}

/** The costs of each entry, round by round. */
export interface Outcome<Name extends string> {
  readonly costs: ReadonlyMap<Name, readonly Cost[]>;
  readonly processes: number;
  readonly scale: number;
}

/** Operations of each kind before a process is measured. V8 then knows all of the code. Less work elsewhere does not shorten this. */
const warmUps = 40_000;
const warmUpParts = 20;
const warmUpInFlight = 64;
/** How long each entry is tried with the contest's number in flight, after that. */
const trialMs = 500;
const seed = 1;

export async function hold<Name extends string>(
  contest: Contest<Name>,
  servers: Servers,
  scale: number,
): Promise<Outcome<Name>> {
  const { entries, pairs, limits, roundsPerProcess } = contest;
  const costs = new Map<Name, Cost[]>(entries.map(({ name }) => [name, []]));
  const random = seeded(seed);
  const started: Contestants<Name>[] = [];
  const takeRound = async (round: number): Promise<void> => {
    if ((round - 1) % roundsPerProcess === 0) {
      started.at(-1)?.[Symbol.dispose]();
      const contestants = await Contestants.start(contest, servers, scale);
      started.push(contestants);
      await contestants.warmUp(random);
    }
    for (const { name } of shuffled(entries, random)) {
      const cost = await started.at(-1)?.run(name);
      if (cost !== undefined) costs.get(name)?.push(cost);
    }
  };
  const ratios = () =>
    pairs.flatMap(([ours, theirs]) => [
      ratiosOf(costs, ours, theirs, throughput),
      ratiosOf(costs, ours, theirs, cpu),
    ]);
  try {
    const scaled = { ...limits, most: Math.max(limits.least, Math.ceil(limits.most * scale)) };
    await takeRounds(scaled, takeRound, ratios);
    return { costs, processes: started.length, scale };
  } finally {
    started.at(-1)?.[Symbol.dispose]();
  }
}

/** One process for each client of a contest. */
class Contestants<Name extends string> implements Disposable {
  readonly #contest: Contest<Name>;
  readonly #scale: number;
  readonly #workers: ReadonlyMap<ClientName, Worker>;
  /** How many operations a turn of each entry has. */
  readonly #counts = new Map<Name, number>();

  private constructor(contest: Contest<Name>, workers: ReadonlyMap<ClientName, Worker>, scale: number) {
    this.#contest = contest;
    this.#workers = workers;
    this.#scale = scale;
  }

  static async start<Name extends string>(
    contest: Contest<Name>,
    servers: Servers,
    scale: number,
  ): Promise<Contestants<Name>> {
    const clients = new Set(contest.entries.map(({ client }) => client));
    return new Contestants(contest, await startClients(clients, servers), scale);
  }

  async warmUp(random: () => number): Promise<void> {
    const { entries, isPaused, inFlight, turn } = this.#contest;
    const count = warmUps / warmUpParts;
    for (let part = 0; part < warmUpParts; part++)
      for (const entry of shuffled(entries, random))
        await this.#take(entry, { what: entry.what, inFlight: warmUpInFlight, count, isPaused });
    for (const entry of entries) {
      const { name, what } = entry;
      if ("count" in turn) {
        this.#counts.set(name, Math.ceil(turn.count * this.#scale));
        continue;
      }
      const trial = { what, inFlight, isPaused };
      const few = await this.#timed(entry, { ...trial, count: 50 * inFlight });
      const many = await this.#timed(entry, { ...trial, count: countIn(trialMs, few) });
      this.#counts.set(name, countIn(turn.ms * this.#scale, many));
    }
  }

  async run(name: Name): Promise<Cost> {
    const { entries, inFlight, isPaused } = this.#contest;
    const entry = entries.find((one) => one.name === name);
    const count = this.#counts.get(name);
    if (entry === undefined || count === undefined) throw new Error(`${name} is not warm`);
    return await this.#take(entry, { what: entry.what, inFlight, count, isPaused });
  }

  /** How many operations there were in a millisecond, the writes of another user included. */
  async #timed(entry: Entry, turn: Turn): Promise<number> {
    const startedAt = performance.now();
    await this.#take(entry, turn);
    return turn.count / (performance.now() - startedAt);
  }

  async #take({ client }: Entry, turn: Turn): Promise<Cost> {
    const worker = this.#workers.get(client);
    if (worker === undefined) throw new Error(`there is no ${client}`);
    return await worker.ask<Cost>(turn satisfies ContestantQuestion);
  }

  [Symbol.dispose](): void {
    for (const worker of this.#workers.values()) worker[Symbol.dispose]();
  }
}

/** A process for each client, which has connected. */
export async function startClients(
  clients: Iterable<ClientName>,
  servers: Servers,
  flags: readonly string[] = [],
): Promise<Map<ClientName, Worker>> {
  const file = new URL("./contestant.js", import.meta.url);
  const workers = new Map(Array.from(clients, (client) => [client, new Worker(file, flags)] as const));
  const asked = [...workers].map(([client, worker]) =>
    worker.ask({ client, servers } satisfies ContestantQuestion),
  );
  await Promise.all(asked);
  return workers;
}

function countIn(ms: number, perMs: number): number {
  return Math.max(1, Math.ceil(ms * perMs));
}

/** How many times as many operations `ours` did in a second. */
export function throughput(ours: Cost, theirs: Cost): number {
  return theirs.us / ours.us;
}

/** How many times as much CPU an operation of `ours` took. */
export function cpu(ours: Cost, theirs: Cost): number {
  return ours.cpuUs / theirs.cpuUs;
}

/** How many times as long an operation of `ours` took in the middle of all. */
function p50(ours: Cost, theirs: Cost): number {
  return ours.p50 / theirs.p50;
}

/** The ratio of ours to theirs in each round. */
function ratiosOf<Name extends string>(
  costs: Outcome<Name>["costs"],
  ours: Name,
  theirs: Name,
  ratio: (ours: Cost, theirs: Cost) => number,
): number[] {
  const their = costs.get(theirs) ?? [];
  return (costs.get(ours) ?? []).flatMap((our, round) => {
    const cost = their[round];
    return cost === undefined ? [] : [ratio(our, cost)];
  });
}

export function ratioOf<Name extends string>(
  { costs }: Outcome<Name>,
  ours: Name,
  theirs: Name,
  ratio: (ours: Cost, theirs: Cost) => number,
): Figure {
  return intervalOf(ratiosOf(costs, ours, theirs, ratio));
}

const rules =
  "Each cell is the median of all rounds. The brackets hold its 95 % interval. In each round all rows take turns on the same servers, " +
  "in a random order. Each client has a process of its own. There is one replica.";

/** The ratios of each pair, and the costs of each entry. */
export function tablesOf<Name extends string>(contest: Contest<Name>, outcome: Outcome<Name>): Table[] {
  const { title, entries, pairs, turn } = contest;
  const [some] = outcome.costs.values();
  const { scale } = outcome;
  const length =
    "count" in turn
      ? `has ${Math.ceil(turn.count * scale)} operations`
      : `takes about ${(turn.ms * scale) / 1_000} seconds`;
  const count = some?.length ?? 0;
  const rounds = `There were ${count} rounds, in ${outcome.processes} processes of each client. A turn ${length}.`;
  const ratios = pairs.map(([ours, theirs]) => [
    `${ours}, to ${theirs}`,
    ratioOf(outcome, ours, theirs, throughput),
    ratioOf(outcome, ours, theirs, cpu),
    ratioOf(outcome, ours, theirs, p50),
  ]);
  const rows = entries.map(({ name }): (string | Figure)[] => {
    const of = (what: (cost: Cost) => number): Figure =>
      intervalOf((outcome.costs.get(name) ?? []).map(what));
    const perSecond = of(({ us }) => 1e6 / us);
    return [name, perSecond, of(({ cpuUs }) => cpuUs), of(({ p50 }) => p50), of(({ p99 }) => p99)];
  });
  return [
    {
      title: `${title}, as ratios`,
      how:
        `Each row compares two clients in the same round. The first column is how many operations per second the first client did, divided by ` +
        `those of the other. The other columns are the CPU and the median time of one operation of the first client, divided by those of the other. ${rules} ${rounds} ${contest.how}`.trim(),
      columns: ["", "operations/s", "CPU", "p50"],
      rows: ratios,
    },
    {
      title,
      how: `${rules} ${rounds} CPU is that of the client's process for one operation. ${contest.how}`.trim(),
      columns: ["", "operations/s", "CPU in µs", "p50 in µs", "p99 in µs"],
      rows,
    },
  ];
}
