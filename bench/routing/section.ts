/** What ways of spreading reads over lagging replicas give their users, at work side by side on the same servers. */
import type { LagProxy } from "../../test/support/proxies/lag-proxy.js";
import { startReplicationGroup } from "../../test/support/servers/replication-group.js";
import {
  type Figure,
  figureOf,
  type Goal,
  type Section,
  type SectionQuestion,
  type Table,
} from "../report/section.js";
import { answer, Worker } from "../report/worker.js";
import type { Outcome, UsersQuestion } from "./users.js";

interface Lag {
  readonly name: string;
  readonly ms: number;
  /** For every fifth stretch of `forMs` instead, on all replicas at once or on one after the other. */
  readonly spike?: { readonly ms: number; readonly forMs: number; readonly apart: boolean };
}

const lags: readonly Lag[] = [
  { name: "0.5 ms", ms: 0.5 },
  { name: "5 ms", ms: 5 },
  { name: "50 ms", ms: 50 },
  { name: "500 ms", ms: 500 },
  { name: "5 ms, spikes of 300 ms", ms: 5, spike: { ms: 300, forMs: 200, apart: false } },
  {
    name: "5 ms, spikes of 300 ms on each replica in turn",
    ms: 5,
    spike: { ms: 300, forMs: 200, apart: true },
  },
];
const writeShares = [0.01, 0.05, 0.2];
const rounds = 3;
const roundMs = 900;
const replicas = 3;
/** How long those who stick to the primary remember what was written before. */
const memoryMs = 5_000;
/** Whatever was written under another lag has arrived then, and the lag is known to those who guess it. */
const settlingMs = 600;

interface Cell {
  readonly lag: string;
  readonly writeShare: number;
  /** Of each round, those of all policies. */
  readonly rounds: readonly (readonly Outcome[])[];
}

answer(async ({ scale }: SectionQuestion): Promise<Section> => {
  await using group = await startReplicationGroup({ replicas });
  using users = new Worker(new URL("./users.js", import.meta.url));
  const links = group.replicas.map(({ link }) => link);
  const servers = { primary: group.primary.url, replicas: group.replicas.map(({ server }) => server.url) };
  await users.ask(servers satisfies UsersQuestion);
  const work = (forMs: number, writeShare: number): Promise<Outcome[]> =>
    users.ask({ forMs: forMs * scale, writeShare } satisfies UsersQuestion);
  const cells: Cell[] = [];
  for (const writeShare of writeShares) {
    await work(memoryMs, writeShare);
    for (const lag of lags) {
      using _ = lagging(links, lag);
      await work(settlingMs, writeShare);
      const outcomes: Outcome[][] = [];
      for (let round = 0; round < rounds; round++) outcomes.push(await work(roundMs, writeShare));
      cells.push({ lag: lag.name, writeShare, rounds: outcomes });
    }
  }
  await users.ask("end" satisfies UsersQuestion);
  return { title: "Routing", tables: [summary(cells), ...cells.map(tableOf)], goals: goalsOf(cells) };
});

function lagging(links: readonly LagProxy[], { ms, spike }: Lag): Disposable {
  const lagBy = (lagOf: (index: number) => number): void => {
    for (const [index, link] of links.entries()) link.delay(lagOf(index), lagOf(index) / 10);
  };
  lagBy(() => ms);
  if (spike === undefined) return { [Symbol.dispose]: () => {} };
  let stretch = 0;
  const timer = setInterval(() => {
    stretch += 1;
    lagBy((index) => (stretch % 5 === (spike.apart ? index : 0) ? spike.ms : ms));
  }, spike.forMs);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

const how =
  `There are ${replicas} replicas, and 75 users for each policy. Each user makes a request every 200 ms on average. All policies ` +
  "run at the same time on the same servers, with the same requests. The oracle asks all replicas for the key of each read, and " +
  "reads from the primary only if none of them has the user's latest value. A discarded answer is one that a replica gave and " +
  `Tidemark did not use. Each cell is the median of ${rounds} rounds, with minimum and maximum in brackets. Counts of reads and of ` +
  "stale reads are totals over all rounds.";

function tableOf({ lag, writeShare, rounds }: Cell): Table {
  const columns = [
    "",
    "reads",
    "stale",
    "on the primary, %",
    "discarded answers, %",
    "reads p50, ms",
    "p99",
    "writes p50, ms",
    "p99",
  ];
  const names = rounds[0]?.map(({ name }) => name) ?? [];
  const rows = names.map((name) => {
    const { sum, figure, time } = of(rounds, name);
    return [
      name,
      sum((one) => one.reads),
      sum((one) => one.stale),
      figure((one) => one.primaryShare * 100),
      figure((one) => one.thrownAwayShare * 100),
      time((one) => one.readP50),
      time((one) => one.readP99),
      time((one) => one.writeP50),
      time((one) => one.writeP99),
    ];
  });
  return { title: `Lag ${lag}, ${percent(writeShare)} writes`, how, columns, rows };
}

function summary(cells: readonly Cell[]): Table {
  const rows = cells.map(({ lag, writeShare, rounds }) => {
    const share = (name: string): Figure => of(rounds, name).figure((one) => one.primaryShare * 100);
    const stale = (name: string): number => of(rounds, name).sum((one) => one.stale);
    const writeMs = (name: string): Figure => of(rounds, name).time((one) => one.writeP50);
    return [
      `${lag}, ${percent(writeShare)} writes`,
      share("Tidemark"),
      share("an oracle"),
      figureOf(rounds.map(distance)),
      share("primary for 2 s after a write"),
      stale("Tidemark"),
      stale("replicas at random"),
      stale("primary for 2 s after a write"),
      writeMs("WAIT for all on every write"),
      writeMs("Tidemark"),
    ];
  });
  const columns = [
    "",
    "on the primary, %: Tidemark",
    "on the primary, %: oracle",
    "difference, points",
    "on the primary, %: 2 s after a write",
    "stale: Tidemark",
    "stale: at random",
    "stale: 2 s after a write",
    "writes p50, ms: WAIT",
    "writes p50, ms: Tidemark",
  ];
  return { title: "In short", how, columns, rows };
}

function goalsOf(cells: readonly Cell[]): Goal[] {
  const worst = (value: (outcomes: readonly Outcome[]) => number): Figure => {
    const figures = cells.map((cell) => figureOf(cell.rounds.map(value)));
    return figures.reduce((most, one) => (one.median > most.median ? one : most));
  };
  const stale = cells.map((cell) => of(cell.rounds, "Tidemark").sum((one) => one.stale));
  return [
    {
      what: "Tidemark's % of reads on the primary minus the oracle's, in points, worst of all rows",
      limit: 5,
      is: "at most",
      measured: worst(distance),
    },
    {
      what: "answers of replicas that Tidemark discarded, % of its reads, worst of all rows",
      limit: 5,
      is: "at most",
      measured: worst((outcomes) => found(outcomes, "Tidemark").thrownAwayShare * 100),
    },
    {
      what: "stale reads of Tidemark, all rows",
      limit: 0,
      is: "at most",
      measured: figureOf([stale.reduce((sum, one) => sum + one, 0)]),
    },
  ];
}

/** By how many points more Tidemark reads from the primary than it would have to. */
function distance(outcomes: readonly Outcome[]): number {
  return (found(outcomes, "Tidemark").primaryShare - found(outcomes, "an oracle").primaryShare) * 100;
}

type Value = (outcome: Outcome) => number;

/** What the rounds say of the policy of that name. */
function of(rounds: readonly (readonly Outcome[])[], name: string) {
  const outcomes = rounds.map((round) => found(round, name));
  return {
    sum: (value: Value): number => outcomes.reduce((sum, one) => sum + value(one), 0),
    figure: (value: Value): Figure => figureOf(outcomes.map(value)),
    // A round may have had no write at all.
    time: (value: Value): Figure => figureOf(outcomes.map(value).filter((ms) => ms > 0)),
  };
}

function found(outcomes: readonly Outcome[], name: string): Outcome {
  const one = outcomes.find((outcome) => outcome.name === name);
  if (one === undefined) throw new Error(`there is no ${name}`);
  return one;
}

function percent(share: number): string {
  return `${share * 100} %`;
}
