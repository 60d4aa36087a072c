/** What the middleware costs an app: requests a second, their times, and the CPU of the app, with it and without. */
import { Agent, get } from "node:http";
import { startReplicationGroup } from "../../test/support/replication-group.js";
import { quantile } from "../quantile.js";
import { type Figure, figureOf, type Section, type SectionQuestion, type Table } from "../section.js";
import { answer, Worker } from "../worker.js";
import type { AppQuestion } from "./app.js";

interface Case {
  readonly name: string;
  readonly path: string;
  /** Whether requests bring the token of an earlier write. */
  readonly returning: boolean;
}

const cases: readonly Case[] = [
  { name: "no Redis call", path: "/none", returning: false },
  { name: "no Redis call, user with a token", path: "/none", returning: true },
  { name: "one read", path: "/read", returning: false },
  { name: "one read, user with a token", path: "/read", returning: true },
  { name: "one write, then a read", path: "/write", returning: false },
];
const connections = 32;
const rounds = 7;
const requests = 2_000;

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
    title: "Express with the middleware, to ioredis without",
    how: `Medians of ${rounds} rounds in which both took turns; ${connections} connections, cookies, 2 replicas; without the middleware all goes to the primary.`,
    columns: ["", "requests/s", "ratio", "CPU without, µs", "ratio", "p99, ms", "ratio"],
    rows,
  };
  const what = "requests/s on a route that makes no Redis call, with the middleware to without";
  const goals = none === undefined ? [] : [{ what, limit: 0.97, is: "at least" as const, measured: none }];
  return { title: "HTTP", tables: [table], goals };
});

/** A process that serves, and the connections to it. */
class App implements Disposable {
  readonly #worker = new Worker(new URL("./app.js", import.meta.url));
  readonly #agent = new Agent({ keepAlive: true, maxSockets: connections });
  #port = 0;
  #cookie = "";

  static async start(servers: Exclude<AppQuestion, "cpu">): Promise<App> {
    const app = new App();
    app.#port = await app.#worker.ask<number>(servers satisfies AppQuestion);
    app.#cookie = await app.#request("/write", "");
    return app;
  }

  async serve({ path, returning }: Case, count: number): Promise<Cost> {
    const cookie = returning ? this.#cookie : "";
    const times: number[] = [];
    let left = count;
    const work = async (): Promise<void> => {
      while (left-- > 0) {
        const sentAt = performance.now();
        await this.#request(path, cookie);
        times.push(performance.now() - sentAt);
      }
    };
    const cpuBefore = await this.#worker.ask<number>("cpu" satisfies AppQuestion);
    const startedAt = performance.now();
    await Promise.all(Array.from({ length: connections }, work));
    const ms = performance.now() - startedAt;
    const cpu = (await this.#worker.ask<number>("cpu" satisfies AppQuestion)) - cpuBefore;
    return {
      perSecond: (count * 1_000) / ms,
      cpuUs: cpu / count,
      p50: quantile(times, 0.5),
      p99: quantile(times, 0.99),
    };
  }

  /** Resolves with the cookies that the response sets. */
  #request(path: string, cookie: string): Promise<string> {
    const options = { agent: this.#agent, port: this.#port, host: "127.0.0.1", path };
    return new Promise((resolve, reject) => {
      get({ ...options, headers: cookie === "" ? {} : { cookie } }, (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (part: string) => {
          text += part;
        });
        response.on("end", () => {
          if (text !== "value") reject(new Error(`${path} was answered ${response.statusCode} ${text}`));
          const set = response.headers["set-cookie"] ?? [];
          resolve(set.map((one) => one.split(";", 1)[0]).join("; "));
        });
      }).on("error", reject);
    });
  }

  [Symbol.dispose](): void {
    this.#agent.destroy();
    this.#worker[Symbol.dispose]();
  }
}
