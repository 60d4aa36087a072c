/** What ways of spreading reads over lagging replicas give their users, at work side by side on the same servers. */
import { setTimeout as sleep } from "node:timers/promises";
import type { LagProxy } from "../../test/support/lag-proxy.js";
import { startReplicationGroup } from "../../test/support/replication-group.js";
import { figureOf, type Goal, type Section, type SectionQuestion, type Table } from "../section.js";
import { answer, Worker } from "../worker.js";
import type { Outcome, UsersQuestion } from "./users.js";

interface Lag {
  readonly name: string;
  readonly ms: number;
  /** Now and then, for so long, instead. */
  readonly spike?: { readonly ms: number; readonly everyMs: number; readonly forMs: number };
}

const lags: readonly Lag[] = [
  { name: "0.5 ms", ms: 0.5 },
  { name: "5 ms", ms: 5 },
  { name: "50 ms", ms: 50 },
  { name: "500 ms", ms: 500 },
  { name: "5 ms, spikes of 300 ms", ms: 5, spike: { ms: 300, everyMs: 1_500, forMs: 300 } },
];
const writeShares = [0.01, 0.05, 0.2];
const forMs = 3_000;
const replicas = 3;

interface Cell {
  readonly lag: string;
  readonly writeShare: number;
  readonly outcomes: readonly Outcome[];
}

answer(async ({ scale }: SectionQuestion): Promise<Section> => {
  await using group = await startReplicationGroup({ replicas });
  using users = new Worker(new URL("./users.js", import.meta.url));
  const links = group.replicas.map(({ link }) => link);
  const servers = { primary: group.primary.url, replicas: group.replicas.map(({ server }) => server.url) };
  await users.ask(servers satisfies UsersQuestion);
  const cells: Cell[] = [];
  for (const lag of lags) {
    using _ = lagging(links, lag);
    for (const writeShare of writeShares) {
      // Whatever was written under another lag has arrived then, and the lag is known to those who guess it.
      await users.ask({ forMs: Math.min(700, forMs * scale), writeShare } satisfies UsersQuestion);
      const outcomes = await users.ask<Outcome[]>({
        forMs: forMs * scale,
        writeShare,
      } satisfies UsersQuestion);
      cells.push({ lag: lag.name, writeShare, outcomes });
    }
    await sleep(lag.ms);
  }
  return { title: "Routing", tables: [summary(cells), ...cells.map(tableOf)], goals: goalsOf(cells) };
});

function lagging(links: readonly LagProxy[], { ms, spike }: Lag): Disposable {
  for (const link of links) link.delay(ms, ms / 10);
  if (spike === undefined) return { [Symbol.dispose]: () => {} };
  const timer = setInterval(() => {
    for (const link of links) link.delay(spike.ms);
    setTimeout(() => {
      for (const link of links) link.delay(ms, ms / 10);
    }, spike.forMs);
  }, spike.everyMs);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

const how =
  `${replicas} replicas; of each policy 75 users, who do something every 200 ms on average, each time as a new request and all the same; ` +
  "all policies at the same time on the same servers. The oracle asks all replicas for the very key before each read.";

function tableOf({ lag, writeShare, outcomes }: Cell): Table {
  const columns = [
    "",
    "reads",
    "stale",
    "on the primary, %",
    "thrown away, %",
    "reads p50, ms",
    "p99",
    "writes p50, ms",
    "p99",
  ];
  const rows = outcomes.map((one) => [
    one.name,
    one.reads,
    one.stale,
    one.primaryShare * 100,
    one.thrownAwayShare * 100,
    one.readP50,
    one.readP99,
    one.writeP50,
    one.writeP99,
  ]);
  return { title: `Lag ${lag}, ${percent(writeShare)} writes`, how, columns, rows };
}

function summary(cells: readonly Cell[]): Table {
  const rows = cells.map(({ lag, writeShare, outcomes }) => {
    const of = (name: string): Outcome => found(outcomes, name);
    return [
      `${lag}, ${percent(writeShare)} writes`,
      of("Tidemark").primaryShare * 100,
      of("an oracle").primaryShare * 100,
      of("primary for 2 s after a write").primaryShare * 100,
      of("Tidemark").stale,
      of("replicas at random").stale,
      of("primary for 2 s after a write").stale,
      of("WAIT for all on every write").writeP50,
      of("Tidemark").writeP50,
    ];
  });
  const columns = [
    "",
    "Tidemark, % on the primary",
    "oracle",
    "2 s stick",
    "Tidemark, stale",
    "at random",
    "2 s stick",
    "WAIT, writes p50 ms",
    "Tidemark",
  ];
  return { title: "In short", how, columns, rows };
}

function goalsOf(cells: readonly Cell[]): Goal[] {
  const tidemark = cells.map(({ outcomes }) => found(outcomes, "Tidemark"));
  const distances = cells.map(({ outcomes }, i) => {
    const oracle = found(outcomes, "an oracle").primaryShare;
    return ((tidemark[i]?.primaryShare ?? Number.NaN) - oracle) * 100;
  });
  const thrown = tidemark.map(({ thrownAwayShare }) => thrownAwayShare * 100);
  const worst = (values: readonly number[]) => figureOf([Math.max(...values)]);
  return [
    {
      what: "Tidemark's share of reads on the primary, points above the oracle's, worst of all rows",
      limit: 5,
      is: "at most",
      measured: worst(distances),
    },
    {
      what: "thrown-away replica reads, % of all, worst of all rows",
      limit: 5,
      is: "at most",
      measured: worst(thrown),
    },
    {
      what: "stale reads of Tidemark, all rows",
      limit: 0,
      is: "at most",
      measured: figureOf([tidemark.reduce((sum, { stale }) => sum + stale, 0)]),
    },
  ];
}

function found(outcomes: readonly Outcome[], name: string): Outcome {
  const one = outcomes.find((outcome) => outcome.name === name);
  if (one === undefined) throw new Error(`there is no ${name}`);
  return one;
}

function percent(share: number): string {
  return `${share * 100} %`;
}
