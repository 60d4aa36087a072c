/** A real HAProxy on a free port that spreads connections over several servers: one endpoint for many replicas. */

import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { fetchFromDebian, hasDebianTools, libraryPath } from "./debian-packages.js";
import { freePort } from "./free-port.js";
import type { Address } from "./redis-server.js";
import { waitUntil } from "./wait-until.js";
import { Watchdog } from "./watchdog.js";

const run = promisify(execFile);

const CACHE_FOLDER = fileURLToPath(new URL("../../.cache/haproxy", import.meta.url));
const debianPackages = { packages: ["haproxy"], libraries: ["liblua5.3-0", "libopentracing-c-wrapper0"] };

interface Program {
  readonly path: string;
  readonly env: Readonly<Record<string, string>>;
}

/** The HAProxy on the PATH, else Debian's, unpacked; undefined where neither can be had. */
export async function findHaproxy(): Promise<Program | undefined> {
  const installed = await probe("haproxy", {});
  if (installed) return installed;
  const cached = await unpacked(CACHE_FOLDER);
  if (cached) return cached;
  if (!(await hasDebianTools())) return undefined;
  return fetchFromDebian(debianPackages, CACHE_FOLDER, unpacked).catch(() => undefined);
}

async function probe(path: string, env: Record<string, string>): Promise<Program | undefined> {
  const version = run(path, ["-v"], { env: { ...process.env, ...env } });
  return version.then(
    () => ({ path, env }),
    () => undefined,
  );
}

async function unpacked(folder: string): Promise<Program | undefined> {
  return probe(join(folder, "usr/sbin/haproxy"), await libraryPath(folder));
}

export class Haproxy implements AsyncDisposable {
  readonly host = "127.0.0.1";
  readonly port: number;
  readonly #process: ChildProcess;
  readonly #folder: string;

  /** Resolves once it accepts connections, which it then hands to one server after the other. */
  static async start(program: Program, servers: readonly Address[]): Promise<Haproxy> {
    const folder = await mkdtemp(join(Watchdog.ofThisProcess().folder, "haproxy-"));
    const port = await freePort();
    const file = join(folder, "haproxy.cfg");
    await writeFile(file, configuration(port, servers));
    const child = spawn(program.path, ["-f", file, "-db"], {
      detached: true,
      env: { ...process.env, ...program.env },
      stdio: "ignore",
    });
    Watchdog.ofThisProcess().watch(child);
    child.unref();
    const haproxy = new Haproxy(port, child, folder);
    await waitUntil(() => haproxy.#accepts(), { what: `HAProxy listens on port ${port}` });
    return haproxy;
  }

  private constructor(port: number, child: ChildProcess, folder: string) {
    this.port = port;
    this.#process = child;
    this.#folder = folder;
  }

  async stop(): Promise<void> {
    const child = this.#process;
    if (child.pid !== undefined && child.exitCode === null && child.signalCode === null) {
      child.ref();
      const exited = once(child, "exit");
      process.kill(-child.pid, "SIGKILL");
      await exited;
    }
    await rm(this.#folder, { recursive: true, force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #accepts(): Promise<boolean> {
    const socket = connect(this.port, this.host);
    try {
      await once(socket, "connect");
      return true;
    } finally {
      socket.destroy();
    }
  }
}

function configuration(port: number, servers: readonly Address[]): string {
  const lines = servers.map(({ host, port: at }, i) => `  server replica${i} ${host}:${at} check inter 100`);
  return [
    "defaults",
    "  mode tcp",
    "  timeout connect 1s",
    "  timeout client 1m",
    "  timeout server 1m",
    "listen replicas",
    `  bind 127.0.0.1:${port}`,
    "  balance roundrobin",
    // Whoever was connected to a server that is gone has to connect anew, to another.
    "  default-server on-marked-down shutdown-sessions",
    ...lines,
    "",
  ].join("\n");
}
