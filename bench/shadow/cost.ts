/** Measures what the mode "shadow" costs the app and the servers. */
import { seeded } from "../../test/support/load/seeded.js";
import { infoOf } from "../../test/support/servers/info.js";
import { startReplicationGroup } from "../../test/support/servers/replication-group.js";
import { shuffled } from "../client/shuffled.js";
import { intervalOf } from "../report/rounds.js";
import type { Figure, Goal, Table } from "../report/section.js";
import { Worker } from "../report/worker.js";
import type { CostAnswer, CostTurn } from "./cost-app.js";

const clients = ["ioredis", "off", "shadow", "live"] as const;
type Client = (typeof clients)[number];
const names: Readonly<Record<Client, string>> = {
  ioredis: "plain ioredis",
  off: 'mode "off"',
  shadow: 'mode "shadow", sample 0.01',
  live: 'mode "live"',
};
const pairs: readonly (readonly [Client, Client])[] = [
  ["shadow", "off"],
  ["off", "ioredis"],
  ["live", "off"],
];
const count = 10_000;
const processes = 4;
const warmUpRounds = 6;
const roundsPerProcess = 12;

/** What one turn took. `added` is how many commands came on top of each one of the app. */
interface Cost {
  readonly cpuUs: number;
  readonly added: number;
}

export async function measureCost(scale: number): Promise<{ tables: Table[]; goals: Goal[] }> {
  await using group = await startReplicationGroup({ replicas: 2 });
  const servers = [group.primary, ...group.replicas.map(({ server }) => server)];
  const commands = async (): Promise<number> => {
    const each = await Promise.all(servers.map((server) => infoOf(server.admin(), "commandstats")));
    return each.reduce((sum, stats, i) => sum + callsIn(stats, i > 0), 0);
  };
  const random = seeded(1);
  const costs = new Map<Client, Cost[]>(clients.map((client) => [client, []]));
  const rounds = Math.ceil(roundsPerProcess * scale);
  for (let started = 0; started < processes; started += 1) {
    using worker = new Worker(new URL("./cost-app.js", import.meta.url));
    const replicas = group.replicas.map(({ server }) => server.url);
    await worker.ask({ primary: group.primary.url, replicas });
    for (let round = -warmUpRounds; round < rounds; round += 1) {
      for (const client of shuffled(clients, random)) {
        await group.caughtUp();
        const before = await commands();
        const { cpuUs } = await worker.ask<CostAnswer>({ client, count } satisfies CostTurn);
        const after = await commands();
        // The look at the statistics counts once on each server.
        const added = (after - before - servers.length) / count - 1;
        if (round >= 0) costs.get(client)?.push({ cpuUs, added });
      }
    }
  }
  return { tables: [ratioTable(costs), costTable(costs)], goals: goalsOf(costs) };
}

/** What the primary sends to its replicas. The app and Tidemark send none of it to a replica. */
const replicated = new Set(["set", "ping", "replconf", "select", "psync"]);

function callsIn(stats: Readonly<Record<string, string>>, isReplica: boolean): number {
  let calls = 0;
  for (const [name, value] of Object.entries(stats)) {
    const command = name.replace("cmdstat_", "").split("|")[0] ?? "";
    // A replica acknowledges what it has applied to the primary once a second.
    if (command === "replconf" || (isReplica && replicated.has(command))) continue;
    calls += Number(/calls=(\d+)/.exec(value)?.[1] ?? 0);
  }
  return calls;
}

type Costs = ReadonlyMap<Client, readonly Cost[]>;

function ratioOf(costs: Costs, ours: Client, theirs: Client): Figure {
  const their = costs.get(theirs) ?? [];
  return intervalOf(
    (costs.get(ours) ?? []).map(({ cpuUs }, round) => cpuUs / (their[round]?.cpuUs ?? Number.NaN)),
  );
}

/** Of all rounds together, in %, because a turn has few observed users. */
function addedOf(costs: Costs, client: Client): number {
  const turns = costs.get(client) ?? [];
  return (100 * turns.reduce((sum, { added }) => sum + added, 0)) / turns.length;
}

function how(costs: Costs): string {
  return (
    "90 % of the commands are reads, and 64 are in flight. Each command has a request of its own, which brings the token of its user. A user gives 20 commands, and two reads in five are of the key that the user writes. There are two replicas without " +
    `lag. In each round all rows take turns of ${count} commands in a random order, in one process. There were ${costs.get("off")?.length} rounds in ${processes} ` +
    "processes. The brackets hold the 95 % interval of the median."
  );
}

function ratioTable(costs: Costs): Table {
  return {
    title: "Cost, as ratios",
    how: `The CPU of the app's process for one command of the first row, divided by that of the other. ${how(costs)}`,
    columns: ["", "CPU"],
    rows: pairs.map(([ours, theirs]) => [
      `${names[ours]}, to ${names[theirs]}`,
      ratioOf(costs, ours, theirs),
    ]),
  };
}

function costTable(costs: Costs): Table {
  return {
    title: "Cost",
    how:
      "From the same turns. The last column is how many commands the servers carried out in addition to the commands of the app, in % of the latter, in all rounds " +
      "together. Replication does not count.",
    columns: ["", "CPU, µs", "commands added, %"],
    rows: clients.map((client) => [
      names[client],
      intervalOf((costs.get(client) ?? []).map(({ cpuUs }) => cpuUs)),
      addedOf(costs, client),
    ]),
  };
}

function goalsOf(costs: Costs): Goal[] {
  const added = addedOf(costs, "shadow");
  return [
    {
      what: `CPU of the app, ${names.shadow}, to ${names.off}`,
      limit: 1.01,
      is: "at most",
      measured: ratioOf(costs, "shadow", "off"),
    },
    {
      what: `commands that ${names.shadow} adds, %`,
      limit: 0.5,
      is: "at most",
      measured: { median: added, least: added, most: added },
    },
  ];
}
