/** What consistency costs a client, against clients without it on the same servers, which take turns. */
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
import type { ClientName } from "./clients.js";
import type { ContestantQuestion, Cost, What } from "./contestant.js";
import { key, type Servers, value } from "./operations.js";

interface Entry {
  readonly name: string;
  readonly client: ClientName;
  readonly what: What;
}

const entries = [
  { name: "ioredis GET", client: "ioredis", what: "read" },
  { name: "ioredis with autopipelining, GET", client: "autopipelining", what: "read" },
  { name: "node-redis GET", client: "node-redis", what: "read" },
  { name: "valkey-glide GET", client: "valkey-glide", what: "read" },
  { name: "session read, position known", client: "tidemark", what: "read" },
  { name: "new session for every read", client: "tidemark", what: "readAnew" },
  { name: "session read, position to be checked", client: "tidemark", what: "readChecked" },
  { name: "ioredis SET", client: "ioredis", what: "write" },
  { name: "ioredis with autopipelining, SET", client: "autopipelining", what: "write" },
  { name: "node-redis SET", client: "node-redis", what: "write" },
  { name: "valkey-glide SET", client: "valkey-glide", what: "write" },
  { name: "session write", client: "tidemark", what: "write" },
] as const satisfies readonly Entry[];

type Name = (typeof entries)[number]["name"];

const inFlights = [1, 16, 64, 256];
const rounds = 7;
const clients = ["ioredis", "autopipelining", "node-redis", "valkey-glide", "tidemark"] as const;
/** How long each takes its turn, about. */
const turnMs = 100;
/** Room for all that is allocated while that is counted, so that nothing is collected. */
const roomy = ["--expose-gc", "--min-semi-space-size=64", "--max-semi-space-size=64"];
const counted = 2_000;

/** All costs of all rounds, by the number in flight and the entry. */
type Costs = Map<number, Map<Name, Cost[]>>;

answer(async ({ scale }: SectionQuestion): Promise<Section> => {
  await using group = await startReplicationGroup({ replicas: 1 });
  const servers: Servers = {
    primary: group.primary.url,
    replicas: group.replicas.map(({ server }) => server.url),
  };
  await group.primary.admin().set(key, value);
  await group.caughtUp();
  const costs: Costs = new Map();
  for (const inFlight of inFlights) costs.set(inFlight, await takeTurns(servers, inFlight, scale));
  const allocated = await allocations(servers);
  return { title: "Client", tables: tablesOf(costs, allocated), goals: goalsOf(costs) };
});

async function takeTurns(servers: Servers, inFlight: number, scale: number): Promise<Map<Name, Cost[]>> {
  using contestants = await Contestants.start(servers);
  const costs = new Map<Name, Cost[]>();
  const counts = new Map<Name, number>();
  for (const { name, client, what } of entries) {
    // Twice, as the first warms it up.
    await contestants.run(client, what, inFlight, Math.max(inFlight, 2_000 * scale));
    const { us } = await contestants.run(client, what, inFlight, Math.max(inFlight, 2_000 * scale));
    counts.set(name, Math.max(inFlight, Math.ceil((turnMs * 1_000 * scale) / us)));
    costs.set(name, []);
  }
  for (let round = 0; round < rounds; round++) {
    for (const { name, client, what } of entries)
      costs.get(name)?.push(await contestants.run(client, what, inFlight, counts.get(name) ?? 1));
  }
  return costs;
}

async function allocations(servers: Servers): Promise<Map<Name, Figure>> {
  using contestants = await Contestants.start(servers, roomy);
  const figures = new Map<Name, Figure>();
  for (const { name, client, what } of entries) {
    const values: number[] = [];
    for (let round = 0; round <= rounds; round++) {
      const { allocated = Number.NaN } = await contestants.run(client, what, 64, counted);
      if (round > 0) values.push(allocated);
    }
    figures.set(name, figureOf(values));
  }
  return figures;
}

/** One process for each client. */
class Contestants implements Disposable {
  readonly #workers: ReadonlyMap<ClientName, Worker>;

  private constructor(workers: ReadonlyMap<ClientName, Worker>) {
    this.#workers = workers;
  }

  static async start(servers: Servers, flags: readonly string[] = []): Promise<Contestants> {
    const file = new URL("./contestant.js", import.meta.url);
    const workers = new Map(clients.map((client) => [client, new Worker(file, flags)] as const));
    const asked = [...workers].map(([client, worker]) =>
      worker.ask({ client, servers } satisfies ContestantQuestion),
    );
    await Promise.all(asked);
    return new Contestants(workers);
  }

  async run(client: ClientName, what: What, inFlight: number, count: number): Promise<Cost> {
    const worker = this.#workers.get(client);
    if (worker === undefined) throw new Error(`there is no ${client}`);
    return await worker.ask<Cost>({ what, inFlight, count } satisfies ContestantQuestion);
  }

  [Symbol.dispose](): void {
    for (const worker of this.#workers.values()) worker[Symbol.dispose]();
  }
}

function tablesOf(costs: Costs, allocated: ReadonlyMap<Name, Figure>): Table[] {
  const how =
    `Each cell is the median of ${rounds} rounds, with minimum and maximum in brackets. In each round all clients take turns ` +
    "on the same servers, each in a process of its own. There is one replica. CPU and bytes are for one operation, and bytes are " +
    'measured with 64 in flight. "Position known": Tidemark already knows that the replica has the position that the session ' +
    'requires. "Position to be checked": Tidemark checks the position together with the read.';
  const each = [...costs].map(([inFlight, byName]): Table => {
    const columns = ["", "operations/s", "CPU in µs", "p50 in µs", "p99 in µs", "bytes allocated"];
    const rows = entries.map(({ name }) => {
      const of = (what: (cost: Cost) => number): Figure => figureOf((byName.get(name) ?? []).map(what));
      const perSecond = of(({ us }) => 1e6 / us);
      const bytes = allocated.get(name) ?? "-";
      return [name, perSecond, of(({ cpuUs }) => cpuUs), of(({ p50 }) => p50), of(({ p99 }) => p99), bytes];
    });
    return { title: `${inFlight} in flight`, how, columns, rows };
  });
  return [ratiosOf(costs), ...each];
}

function ratiosOf(costs: Costs): Table {
  const pairs: readonly (readonly [Name, Name])[] = [
    ["session read, position known", "ioredis GET"],
    ["session read, position known", "ioredis with autopipelining, GET"],
    ["session read, position known", "node-redis GET"],
    ["session read, position known", "valkey-glide GET"],
    ["new session for every read", "ioredis GET"],
    ["session read, position to be checked", "ioredis GET"],
    ["session write", "ioredis SET"],
    ["session write", "ioredis with autopipelining, SET"],
    ["session write", "node-redis SET"],
    ["session write", "valkey-glide SET"],
  ];
  const rows = pairs.map(([ours, theirs]) => [
    `${ours}, to ${theirs}`,
    ...inFlights.map((inFlight) => throughput(costs, inFlight, ours, theirs)),
  ]);
  const how =
    "Each row compares two clients. A cell shows how many operations per second the first client did, divided by those of the other. " +
    "The columns are numbers of commands in flight. " +
    `Each cell is the median of ${rounds} rounds, with minimum and maximum in brackets.`;
  return { title: "Throughput, as ratios", how, columns: ["", ...inFlights.map(String)], rows };
}

function goalsOf(costs: Costs): Goal[] {
  const goal = (limit: number, inFlight: number, ours: Name, theirs: Name): Goal => {
    const measured = throughput(costs, inFlight, ours, theirs);
    return { what: `${ours}, ${inFlight} in flight, to ${theirs}`, is: "at least", limit, measured };
  };
  const known = "session read, position known";
  return [
    goal(2.5, 64, known, "ioredis GET"),
    goal(1.3, 64, known, "ioredis with autopipelining, GET"),
    goal(3, 64, known, "node-redis GET"),
    goal(2.2, 64, known, "valkey-glide GET"),
    goal(0.97, 1, known, "ioredis GET"),
    goal(2.2, 64, "session write", "ioredis SET"),
    goal(0.75, 1, "session write", "ioredis SET"),
    goal(2, 64, "new session for every read", "ioredis GET"),
  ];
}

/** In each round how many times as much `ours` did as `theirs`. */
function throughput(costs: Costs, inFlight: number, ours: Name, theirs: Name): Figure {
  const of = (name: Name): readonly Cost[] => costs.get(inFlight)?.get(name) ?? [];
  return figureOf(of(ours).map(({ us }, round) => (of(theirs)[round]?.us ?? Number.NaN) / us));
}
