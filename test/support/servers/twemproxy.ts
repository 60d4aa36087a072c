/** A real Twemproxy (Debian calls it nutcracker), which spreads commands over servers by their keys. */
import { mkdtemp, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { Watchdog } from "../watchdog.js";
import { Daemon } from "./daemon.js";
import { findProgram, type Program } from "./debian-program.js";
import { freePort } from "./free-port.js";
import type { Address } from "./redis-server.js";

/** The Twemproxy on the PATH, else Debian's, unpacked; undefined where neither can be had. */
export function findTwemproxy(): Promise<Program | undefined> {
  return findProgram("nutcracker", "-V", { packages: ["nutcracker"], libraries: ["libyaml-0-2"] });
}

/** Several pools of servers, each on a port of its own. */
export class Twemproxy implements AsyncDisposable {
  /** Where each pool is reached, in the order given. */
  readonly pools: readonly Address[];
  readonly #daemon: Daemon;
  readonly #statsPort: number;

  /** Resolves once it accepts connections. */
  static async start(
    program: Program,
    pools: readonly (readonly Address[])[],
    { password }: { readonly password?: string } = {},
  ): Promise<Twemproxy> {
    const folder = await mkdtemp(join(Watchdog.ofThisProcess().folder, "twemproxy-"));
    const [statsPort = 0, ...ports] = await freePorts(pools.length + 1);
    const file = join(folder, "twemproxy.yml");
    await writeFile(file, pools.map((servers, i) => section(i, ports[i] ?? 0, servers, password)).join(""));
    const files = ["-c", file, "-o", join(folder, "log"), "-p", join(folder, "pid")];
    const stats = ["-s", String(statsPort), "-a", "127.0.0.1", "-i", "20"];
    const args = [...files, ...stats];
    const daemon = await Daemon.start({ program, args, port: ports.at(-1) ?? 0, folder });
    return new Twemproxy(daemon, ports, statsPort);
  }

  private constructor(daemon: Daemon, ports: readonly number[], statsPort: number) {
    this.#daemon = daemon;
    this.#statsPort = statsPort;
    this.pools = ports.map((port) => ({ host: daemon.host, port }));
  }

  /** How many connections of clients a pool has closed so far because they sent a command that it does not forward. */
  async refusals(pool: number): Promise<number> {
    const socket = connect(this.#statsPort, this.#daemon.host);
    const stats: unknown = JSON.parse(await text(socket));
    const ofPool: unknown = Reflect.get(Object(stats), nameOf(pool));
    return Number(Reflect.get(Object(ofPool), "client_err"));
  }

  stop(): Promise<void> {
    return this.#daemon.stop();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

async function freePorts(count: number): Promise<readonly number[]> {
  const ports: number[] = [];
  for (let i = 0; i < count; i++) ports.push(await freePort());
  return ports;
}

function nameOf(pool: number): string {
  return `pool${pool}`;
}

function section(
  pool: number,
  port: number,
  servers: readonly Address[],
  password: string | undefined,
): string {
  const lines = [
    `${nameOf(pool)}:`,
    `  listen: 127.0.0.1:${port}`,
    "  redis: true",
    "  hash: fnv1a_64",
    "  distribution: ketama",
    '  hash_tag: "{}"',
    "  timeout: 2000",
    ...(password === undefined ? [] : [`  redis_auth: ${password}`]),
    "  servers:",
    ...servers.map(({ host, port: at }, i) => `   - ${host}:${at}:1 server${i}`),
    "",
  ];
  return lines.join("\n");
}
