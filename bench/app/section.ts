/**
 * What ways of spreading reads over lagging replicas give an ordinary app, whose session store and rate limiter write for each
 * request before and behind the reads of its page.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Redis } from "ioredis";
import { startReplicationGroup } from "../../test/support/servers/replication-group.js";
import { quantile } from "../report/quantile.js";
import {
  type Figure,
  figureOf,
  type Goal,
  type Section,
  type SectionQuestion,
  type Table,
} from "../report/section.js";
import { answer, Worker } from "../report/worker.js";
import { Crowd, type Served } from "./crowd.js";
import { policies, type Servers } from "./policies.js";
import type { ServerQuestion, Usage } from "./server.js";
import { type Answered, type Commands, Traffic } from "./traffic.js";

const lagsMs = [5, 50, 500];
const rounds = 3;
const replicas = 3;
const users = 12;
const products = 20;
/** Each app has its turn; nothing counts in the first part of it. */
const turn = { leadMs: 200, forMs: 1_000 };
const writeCatalogueEveryMs = 25;
const names = Object.keys(policies);

/** What one app did in its turn. */
interface Outcome {
  readonly served: Served;
  readonly commands: Commands;
  readonly usage: Usage;
}

interface Cell {
  readonly lagMs: number;
  /** By policy, those of each round. */
  readonly outcomes: ReadonlyMap<string, readonly Outcome[]>;
}

answer(async ({ scale }: SectionQuestion): Promise<Section> => {
  await using group = await startReplicationGroup({ replicas });
  const servers = { primary: group.primary.url, replicas: group.replicas.map(({ server }) => server.url) };
  using _catalogue = await keepCatalogue(group.primary.admin());
  await group.caughtUp();
  using traffic = await Traffic.open(servers);
  using apps = await Apps.start(servers);
  for (const name of names) await apps.take(name, traffic, scale);
  const cells: Cell[] = [];
  for (const lagMs of lagsMs) {
    for (const { link } of group.replicas) link.delay(lagMs, lagMs / 10);
    const outcomes = new Map<string, Outcome[]>(names.map((name) => [name, []]));
    for (let round = 0; round < rounds; round++) {
      for (const name of names) outcomes.get(name)?.push(await apps.take(name, traffic, scale));
    }
    cells.push({ lagMs, outcomes });
  }
  return { title: "An ordinary app", tables: cells.map(tableOf), goals: goalsOf(cells) };
});

/** Writes the whole catalogue, and from then on changes some of it all the time. */
async function keepCatalogue(redis: Redis): Promise<Disposable> {
  const numbers = Array.from({ length: products }, (_, number) => number);
  await redis.set("catalogue:banner", "Sale");
  await redis.hset("catalogue:menu", { home: "/", sale: "/sale", help: "/help" });
  await Promise.all(
    numbers.flatMap((number) => [
      redis.set(`catalogue:price:${number}`, "10.00"),
      redis.set(`catalogue:stock:${number}`, "100"),
      redis.hset(`catalogue:product:${number}`, { name: `Product ${number}`, text: "a text ".repeat(20) }),
    ]),
  );
  const timer = setInterval(() => {
    const number = Math.floor(Math.random() * products);
    void redis.set(`catalogue:stock:${number}`, String(Math.floor(Math.random() * 100)));
    void redis.hset(`catalogue:product:${number}`, "changed", Date.now());
  }, writeCatalogueEveryMs);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

interface App {
  readonly process: Worker;
  readonly crowd: Crowd;
}

/** An app for each policy, with users of its own. */
class Apps implements Disposable {
  readonly #apps = new Map<string, App>();

  static async start(servers: Servers): Promise<Apps> {
    const apps = new Apps();
    const starts = names.map(async (policy) => {
      const process = new Worker(new URL("./server.js", import.meta.url));
      const port = await process.ask<number>({ ...servers, policy, products } satisfies ServerQuestion);
      apps.#apps.set(policy, { process, crowd: await Crowd.open(port, users, products) });
    });
    await Promise.all(starts);
    return apps;
  }

  /** One turn of the app, alone with the servers. */
  async take(name: string, traffic: Traffic, scale: number): Promise<Outcome> {
    const app = this.#apps.get(name);
    if (app === undefined) throw new Error(`there is no app ${name}`);
    let isOver = false;
    const browsing = app.crowd.browse(() => isOver);
    await sleep(turn.leadMs * scale);
    await app.process.ask("usage" satisfies ServerQuestion);
    traffic.begin();
    app.crowd.begin();
    await sleep(turn.forMs * scale);
    const [{ served }, { commands }] = [app.crowd, traffic];
    const outcome = { served: structuredClone(served), commands: structuredClone(commands) };
    const usage = await app.process.ask<Usage>("usage" satisfies ServerQuestion);
    isOver = true;
    await browsing;
    return { ...outcome, usage };
  }

  [Symbol.dispose](): void {
    for (const { process, crowd } of this.#apps.values()) {
      crowd[Symbol.dispose]();
      process[Symbol.dispose]();
    }
  }
}

const how =
  `There are ${replicas} replicas, and an Express app for each policy. The apps take turns. Each app has ${users} users, with 20 to ` +
  "200 ms between a response and the user's next request. Each request is counted by rate-limit-redis, reads and touches a rolling " +
  "session of connect-redis, and reads five times from a catalogue. Every fifth request also changes the session. Other clients " +
  `change the catalogue ${2_000 / writeCatalogueEveryMs} times a second. The servers themselves report which of them answered, so ` +
  "answers that Tidemark discarded are included. The oracle reads a key from the primary only if the user has written the key and " +
  "no replica has applied the write yet. Before each read of such a key it asks all replicas for their offsets, and these INFOs " +
  'are included. "Held" is the time from when the app ends a response until the response is sent. Each cell is the median of ' +
  `${rounds} rounds, with minimum and maximum in brackets. Stale reads are totals over all rounds.`;

function tableOf({ lagMs, outcomes }: Cell): Table {
  const columns = [
    "",
    "requests",
    "answered 503",
    "stale",
    "page reads on the primary, %",
    "session reads on the primary, %",
    "INFOs a request",
    "Set-Cookie lines",
    "bytes",
    "CPU, ms",
    "held p50, ms",
    "p99",
    "response p50, ms",
    "p99",
  ];
  const rows = [...outcomes].map(([name, rounds]) => {
    const figure = (value: (outcome: Outcome) => number): Figure => figureOf(rounds.map(value));
    return [
      name,
      sumOf(rounds, ({ requests }) => requests),
      sumOf(rounds, ({ refused }) => refused),
      sumOf(rounds, ({ stale }) => stale),
      figure(({ commands }) => percentOnPrimary(commands.catalogue)),
      figure(({ commands }) => percentOnPrimary(commands.sessions)),
      figure(({ commands, served }) => commands.infos / served.requests),
      figure(({ served }) => served.setCookieLines / served.requests),
      figure(({ served }) => served.setCookieBytes / served.requests),
      figure(({ usage, served }) => usage.cpuMs / served.requests),
      figure(({ usage }) => quantile(usage.heldMs, 0.5)),
      figure(({ usage }) => quantile(usage.heldMs, 0.99)),
      figure(({ served }) => quantile(served.responseMs, 0.5)),
      figure(({ served }) => quantile(served.responseMs, 0.99)),
    ];
  });
  return { title: `Lag ${lagMs} ms`, how, columns, rows };
}

function goalsOf(cells: readonly Cell[]): Goal[] {
  const ours = cells.map(({ outcomes }) => outcomes.get("Tidemark") ?? []);
  const shares = ours.map((rounds) =>
    figureOf(rounds.map(({ commands }) => percentOnPrimary(commands.catalogue))),
  );
  const stale = ours.map((rounds) => sumOf(rounds, ({ stale }) => stale));
  return [
    {
      what: "an ordinary app's page reads on the primary with Tidemark, %, worst of all lags",
      limit: 5,
      is: "at most",
      measured: shares.reduce((most, one) => (one.median > most.median ? one : most)),
    },
    {
      what: "stale sessions of an ordinary app with Tidemark, all lags",
      limit: 0,
      is: "at most",
      measured: figureOf([stale.reduce((sum, one) => sum + one, 0)]),
    },
  ];
}

function sumOf(rounds: readonly Outcome[], value: (served: Served) => number): number {
  return rounds.reduce((sum, { served }) => sum + value(served), 0);
}

function percentOnPrimary({ primary, replicas }: Answered): number {
  return (100 * primary) / (primary + replicas);
}
