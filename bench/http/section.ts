/** What the middleware costs an app: requests a second, their times, and the CPU of the app, with it and without. */
import { startReplicationGroup } from "../../test/support/servers/replication-group.js";
import { quantile } from "../report/quantile.js";
import { type Figure, figureOf, type Section, type SectionQuestion, type Table } from "../report/section.js";
import { answer, Worker } from "../report/worker.js";
import type { AppQuestion } from "./app.js";
import { KeepAlive } from "./keep-alive.js";

interface Case {
  readonly name: string;
  readonly path: string;
  /** Whether requests bring the token of an earlier write. */
  readonly returning: boolean;
}

const noCall: Case = { name: "no Redis call", path: "/none", returning: false };
const cases: readonly Case[] = [
  noCall,
  { name: "no Redis call, user with a token", path: "/none", returning: true },
  { name: "one read", path: "/read", returning: false },
  { name: "one read, user with a token", path: "/read", returning: true },
  { name: "one write, then a read", path: "/write", returning: false },
];
const connections = 32;
const rounds = 7;
const requests = 1_500;
/** Before all that: V8 is to know both apps. */
const warmUps = 8_000;

interface Cost {
  readonly perSecond: number;
  readonly cpuUs: number;
  readonly p50: number;
  readonly p99: number;
}

answer(async ({ scale }: SectionQuestion): Promise<Section> => {
  await using group = await startReplicationGroup({ replicas: 2 });
  const primary = group.primary.url;
  const replicas = group.replicas.map(({ server }) => server.url);
  await group.primary.admin().set("key", "value");
  await group.caughtUp();
  using without = await App.start({ middleware: false, primary, replicas });
  using withIt = await App.start({ middleware: true, primary, replicas });
  const count = Math.ceil(requests * scale);
  for (const app of [without, withIt]) await app.serve(noCall, Math.ceil(warmUps * scale));
  const rows: (string | Figure)[][] = [];
  let none: Figure | undefined;
  for (const one of cases) {
    const [theirs, ours]: [Cost[], Cost[]] = [[], []];
    for (let round = -1; round < rounds; round++) {
      const [their, our] = [await without.serve(one, count), await withIt.serve(one, count)];
      // The first warms up.
      if (round < 0) continue;
      theirs.push(their);
      ours.push(our);
    }
    const ratio = (what: keyof Cost): Figure =>
      figureOf(ours.map((cost, round) => cost[what] / (theirs[round]?.[what] ?? Number.NaN)));
    const throughput = ratio("perSecond");
    none ??= throughput;
    const p99 = figureOf(ours.map((cost) => cost.p99));
    const cpu = [figureOf(theirs.map(({ cpuUs }) => cpuUs)), ratio("cpuUs")];
    rows.push([
      one.name,
      figureOf(ours.map(({ perSecond }) => perSecond)),
      throughput,
      ...cpu,
      p99,
      ratio("p99"),
    ]);
  }
  const table: Table = {
    title: "Express with the middleware, compared with ioredis without it",
    how:
      `Each cell is the median of ${rounds} rounds, with minimum and maximum in brackets. In each round the two apps take turns. ` +
      `There are ${connections} connections, which use cookies, and 2 replicas. Without the middleware, all commands go to the ` +
      "primary. Each ratio is that of the app with the middleware to the app without it.",
    columns: ["", "requests/s", "ratio", "CPU without, µs", "ratio", "p99, ms", "ratio"],
    rows,
  };
  const what = "requests/s on a route that makes no Redis call, with the middleware, to those without it";
  const goals = none === undefined ? [] : [{ what, limit: 0.97, is: "at least" as const, measured: none }];
  return { title: "HTTP", tables: [table], goals };
});

/** A process that serves, and the connections to it. */
class App implements Disposable {
  readonly #worker: Worker;
  readonly #connections: readonly KeepAlive[];
  #cookie = "";

  private constructor(worker: Worker, open: readonly KeepAlive[]) {
    this.#worker = worker;
    this.#connections = open;
  }

  static async start(servers: Exclude<AppQuestion, "cpu">): Promise<App> {
    const worker = new Worker(new URL("./app.js", import.meta.url));
    const port = await worker.ask<number>(servers satisfies AppQuestion);
    const open = Array.from({ length: connections }, () => KeepAlive.open(port));
    const app = new App(worker, await Promise.all(open));
    for (const one of app.#connections.slice(0, 1)) app.#cookie = await cookiesOf(one, "/write", "");
    return app;
  }

  async serve({ path, returning }: Case, count: number): Promise<Cost> {
    const cookie = returning ? this.#cookie : "";
    const times: number[] = [];
    let left = count;
    const work = async (connection: KeepAlive): Promise<void> => {
      while (left-- > 0) {
        const sentAt = performance.now();
        await cookiesOf(connection, path, cookie);
        times.push(performance.now() - sentAt);
      }
    };
    const cpuBefore = await this.#worker.ask<number>("cpu" satisfies AppQuestion);
    const startedAt = performance.now();
    await Promise.all(this.#connections.map(work));
    const ms = performance.now() - startedAt;
    const cpu = (await this.#worker.ask<number>("cpu" satisfies AppQuestion)) - cpuBefore;
    return {
      perSecond: (count * 1_000) / ms,
      cpuUs: cpu / count,
      p50: quantile(times, 0.5),
      p99: quantile(times, 0.99),
    };
  }

  [Symbol.dispose](): void {
    for (const connection of this.#connections) connection[Symbol.dispose]();
    this.#worker[Symbol.dispose]();
  }
}

/** What the answer has the user bring next time. */
async function cookiesOf(connection: KeepAlive, path: string, cookie: string): Promise<string> {
  const { head, body } = await connection.ask(path, cookie);
  if (body !== "value") throw new Error(`${path} was answered ${head} ${body}`);
  return Array.from(head.matchAll(/^Set-Cookie: ([^;\r]*)/gim), ([, pair]) => pair).join("; ");
}
