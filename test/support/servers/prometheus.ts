/** A real Prometheus that scrapes apps on this machine and evaluates rules. */
import { execFile } from "node:child_process";
import { mkdtemp, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { Watchdog } from "../watchdog.js";
import { Daemon } from "./daemon.js";
import { findProgram, type Program } from "./debian-program.js";
import { freePort } from "./free-port.js";

const run = promisify(execFile);

/** The Prometheus on the PATH, else Debian's, unpacked; undefined where neither can be had. */
export function findPrometheus(): Promise<Program | undefined> {
  return findProgram("prometheus", "--version", { packages: ["prometheus"], libraries: [] });
}

/** Runs the promtool that comes with this Prometheus, and resolves with its output. */
export async function promtool(prometheus: Program, ...args: readonly string[]): Promise<string> {
  const path = join(dirname(prometheus.path), "promtool");
  const { stdout } = await run(path, args, { env: { ...process.env, ...prometheus.env } });
  return stdout;
}

export interface PrometheusOptions {
  /** The ports of each job's processes, which answer `/metrics`. */
  readonly jobs: Readonly<Record<string, readonly number[]>>;
  /** The text of a file of rules. */
  readonly rules: string;
  /** How often each process is scraped. */
  readonly scrapeMs: number;
}

/** One series of the result of a query. */
export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export class Prometheus implements AsyncDisposable {
  readonly #daemon: Daemon;

  /** Resolves once it answers. */
  static async start(program: Program, { jobs, rules, scrapeMs }: PrometheusOptions): Promise<Prometheus> {
    const folder = await mkdtemp(join(Watchdog.ofThisProcess().folder, "prometheus-"));
    const port = await freePort();
    const [config, ruleFile] = [join(folder, "prometheus.yml"), join(folder, "rules.yml")];
    await writeFile(ruleFile, rules);
    await writeFile(config, configuration(jobs, ruleFile, scrapeMs));
    const storage = `--storage.tsdb.path=${join(folder, "data")}`;
    const args = [`--config.file=${config}`, storage, `--web.listen-address=127.0.0.1:${port}`];
    return new Prometheus(await Daemon.start({ program, args, port, folder }));
  }

  private constructor(daemon: Daemon) {
    this.#daemon = daemon;
  }

  /** The result of a query at a time, which is now if left out. Rejects if the query is wrong. */
  async query(expression: string, at = Date.now()): Promise<readonly Sample[]> {
    const { host, port } = this.#daemon;
    const parameters = new URLSearchParams({ query: expression, time: String(at / 1_000) });
    const response = await fetch(`http://${host}:${port}/api/v1/query?${parameters}`);
    const reply: Reply = JSON.parse(await response.text());
    if (reply.status !== "success") throw new Error(`${expression}: ${reply.error}`);
    return reply.data.result.map(({ metric, value }) => ({ labels: metric, value: Number(value[1]) }));
  }

  stop(): Promise<void> {
    return this.#daemon.stop();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

type Reply =
  | { readonly status: "error"; readonly error: string }
  | { readonly status: "success"; readonly data: { readonly result: readonly Series[] } };

interface Series {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: readonly [at: number, value: string];
}

function configuration(jobs: PrometheusOptions["jobs"], ruleFile: string, scrapeMs: number): string {
  return JSON.stringify({
    global: { scrape_interval: `${scrapeMs}ms`, evaluation_interval: `${scrapeMs}ms` },
    rule_files: [ruleFile],
    scrape_configs: Object.entries(jobs).map(([name, ports]) => ({
      job_name: name,
      static_configs: [{ targets: ports.map((port) => `127.0.0.1:${port}`) }],
    })),
  });
}
