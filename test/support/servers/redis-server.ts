/** One real Redis server process on a free port: started, frozen, killed and brought back by tests. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Redis, type RedisOptions } from "ioredis";
import { waitUntil } from "../wait-until.js";
import { Watchdog } from "../watchdog.js";
import { freePort } from "./free-port.js";
import { callsOf, infoOf } from "./info.js";
import { findRedisServer, type RedisBinary } from "./redis-binary.js";
import { CONFIG_FILE, defaultArguments, HOST } from "./server-arguments.js";
import { takeSnapshot } from "./snapshot.js";

const LOG_FILE = "redis.log";
const BIND_ATTEMPTS = 5;
const RECONNECT_MS = 20;

export interface Address {
  readonly host: string;
  readonly port: number;
}

export interface RedisServerOptions {
  /** Further arguments of redis-server; they win over the ones given here by default. */
  readonly args?: readonly string[];
  /** The text of a configuration file, which the server may rewrite; arguments win over it at every start. */
  readonly config?: string;
  /** One that `findPort` gives if left out. */
  readonly port?: number;
  /** Asked again if somebody else was faster; any free port if left out. */
  readonly findPort?: () => Promise<number>;
  /** A temporary folder if left out; only that one is removed by `stop()`. */
  readonly dir?: string;
  readonly replicaOf?: Address;
}

export interface RestartOptions {
  /** Come back without data and as a new history, instead of with what was there. */
  readonly empty?: boolean;
  /** Replaces the arguments given at the start. */
  readonly args?: readonly string[];
}

let binary: Promise<RedisBinary> | undefined;

export class RedisServer implements AsyncDisposable {
  readonly host = HOST;
  readonly port: number;
  readonly dir: string;
  readonly #hasConfig: boolean;
  readonly #removesDir: boolean;
  #args: readonly string[];
  #replicaOf: Address | undefined;
  #process: ChildProcess | undefined;
  #admin: Redis | undefined;

  /** Resolves once the server answers; `redis-server` is found, or fetched, on the first call. */
  static async start(options: RedisServerOptions = {}): Promise<RedisServer> {
    const dir = options.dir ?? (await mkdtemp(join(Watchdog.ofThisProcess().folder, "server-")));
    if (options.config !== undefined) await writeFile(join(dir, CONFIG_FILE), options.config);
    const { findPort = freePort } = options;
    for (let attempt = 1; ; attempt += 1) {
      const server = new RedisServer(
        { ...options, dir, port: options.port ?? (await findPort()) },
        !options.dir,
      );
      try {
        await server.#launch();
        return server;
      } catch (error) {
        const portTaken = String(error).includes("Address already in use");
        if (options.port === undefined && portTaken && attempt < BIND_ATTEMPTS) continue;
        await server.stop();
        throw error;
      }
    }
  }

  private constructor(options: RedisServerOptions & { dir: string; port: number }, removesDir: boolean) {
    this.port = options.port;
    this.dir = options.dir;
    this.#hasConfig = options.config !== undefined;
    this.#removesDir = removesDir;
    this.#args = options.args ?? [];
    this.#replicaOf = options.replicaOf;
  }

  get url(): string {
    const password = this.#password;
    return `redis://${password ? `:${encodeURIComponent(password)}@` : ""}${this.host}:${this.port}`;
  }

  /** The process id of Redis itself, or undefined while it is dead. */
  get pid(): number | undefined {
    return this.isAlive ? this.#process?.pid : undefined;
  }

  get isAlive(): boolean {
    // A process ended by a signal has no exit code, so both must be looked at.
    return this.#process?.exitCode === null && this.#process.signalCode === null;
  }

  /** Freezes the process: connections stay open and nothing is answered. */
  pause(): void {
    if (this.pid) process.kill(this.pid, "SIGSTOP");
  }

  resume(): void {
    if (this.pid) process.kill(this.pid, "SIGCONT");
  }

  /** Ends the process without a chance to save or say good-bye; works on a paused one too. */
  async kill(): Promise<void> {
    const child = this.#process;
    if (!child?.pid || !this.isAlive) return;
    child.ref();
    const exited = once(child, "exit");
    // The group, because a snapshot may be under way in a child of Redis.
    process.kill(-child.pid, "SIGKILL");
    await exited;
  }

  /**
   * Ends the process and starts it again on the same port, in the role it last had. A server that was alive
   * keeps its data and replication position; after `kill()` it has only what was saved or logged on request.
   */
  async restart({ empty = false, args = this.#args }: RestartOptions = {}): Promise<void> {
    const keeps = this.isAlive && !empty && !args.includes("--sentinel");
    if (keeps) {
      this.resume();
      await takeSnapshot(this.admin());
    }
    await this.kill();
    // The last two are the append-only log since and before Redis 7.
    const kept = empty ? ["dump.rdb", "appendonlydir", "appendonly.aof"] : [];
    for (const name of kept) await rm(join(this.dir, name), { recursive: true, force: true });
    this.#args = args;
    await this.#launch();
    // It served this restart only: a later kill() must not bring back data as old as this.
    if (keeps) await rm(join(this.dir, "dump.rdb"), { force: true });
  }

  /** Makes this a replica of `primary`, or a primary if that is undefined; a restart keeps the role. */
  async replicate(primary: Address | undefined): Promise<void> {
    const [host, port] = primary ? [primary.host, primary.port] : ["NO", "ONE"];
    await this.admin().call("REPLICAOF", host, port);
    this.#replicaOf = primary;
  }

  async stop(): Promise<void> {
    this.#admin?.disconnect();
    this.#admin = undefined;
    await this.kill();
    if (this.#removesDir) await rm(this.dir, { recursive: true, force: true, maxRetries: 3 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  /** A plain connection for tests, made on the first call and closed by `stop()`. It reconnects by itself. */
  admin(): Redis {
    this.#admin ??= this.#connect();
    return this.#admin;
  }

  /** The fields of one section of INFO. */
  info(section: string): Promise<Record<string, string>> {
    return infoOf(this.admin(), section);
  }

  /** How often the server ran a command, named as in INFO commandstats: "get", "config|set". */
  commandCalls(name: string): Promise<number> {
    return callsOf(this.admin(), name);
  }

  get #password(): string | undefined {
    const index = this.#args.lastIndexOf("--requirepass");
    return index < 0 ? undefined : this.#args[index + 1];
  }

  #connect(options: RedisOptions = {}): Redis {
    const client = new Redis({
      ...options,
      host: this.host,
      port: this.port,
      ...(this.#password ? { password: this.#password } : {}),
      retryStrategy: () => RECONNECT_MS,
    });
    // Servers are killed on purpose here; a failed command says so by itself.
    client.on("error", () => {});
    return client;
  }

  async #launch(): Promise<void> {
    binary ??= findRedisServer();
    const found = await binary;
    // Its output instead of --logfile, because complaints about arguments come before there is a log.
    const log = openSync(join(this.dir, LOG_FILE), "a");
    const place = { dir: this.dir, port: this.port, hasConfig: this.#hasConfig, replicaOf: this.#replicaOf };
    const child = spawn(found.path, [...defaultArguments(found, place), ...this.#args], {
      cwd: this.dir,
      // Out of reach of Ctrl-C, so that the test run decides in which order the servers end.
      detached: true,
      env: { ...process.env, ...found.env },
      stdio: ["ignore", log, log],
    });
    Watchdog.ofThisProcess().watch(child);
    closeSync(log);
    this.#process = child;
    child.on("error", () => {});
    // A server that nobody stopped must not keep the process alive; the watchdog ends it.
    child.unref();
    await this.#answers(child);
  }

  async #answers(child: ChildProcess): Promise<void> {
    // Fails at once, so that the end of the process is noticed at once.
    const probe = this.#connect({ maxRetriesPerRequest: 0 });
    try {
      await waitUntil(async () => !this.isAlive || (await isProcess(probe, child.pid)), {
        what: `the Redis server on port ${this.port} answers`,
      });
    } finally {
      probe.disconnect();
    }
    if (this.isAlive) return;
    const log = await readFile(join(this.dir, LOG_FILE), "utf8").catch(() => "");
    throw new Error(`redis-server ended at its start: ${log.trim().split("\n").slice(-5).join(" | ")}`);
  }
}

/** Asks for the process id, because with a port taken twice the answer may come from someone else's server. */
async function isProcess(client: Redis, pid: number | undefined): Promise<boolean> {
  return (await client.info("server")).includes(`process_id:${pid}\r\n`);
}
