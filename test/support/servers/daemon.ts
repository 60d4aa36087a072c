/** A process that listens on a port for as long as a test needs it. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { rm } from "node:fs/promises";
import { connect } from "node:net";
import { waitUntil } from "../wait-until.js";
import { Watchdog } from "../watchdog.js";
import type { Program } from "./debian-program.js";

const HOST = "127.0.0.1";

export interface DaemonOptions {
  readonly program: Program;
  readonly args: readonly string[];
  /** It accepts connections there once it has started. */
  readonly port: number;
  /** Removed when it stops. */
  readonly folder: string;
}

export class Daemon implements AsyncDisposable {
  readonly host = HOST;
  readonly port: number;
  readonly #process: ChildProcess;
  readonly #folder: string;

  static async start({ program, args, port, folder }: DaemonOptions): Promise<Daemon> {
    const child = spawn(program.path, args, {
      detached: true,
      env: { ...process.env, ...program.env },
      stdio: "ignore",
    });
    Watchdog.ofThisProcess().watch(child);
    child.unref();
    await waitUntil(() => accepts(port), { what: `${program.path} listens on port ${port}` });
    return new Daemon(child, port, folder);
  }

  private constructor(child: ChildProcess, port: number, folder: string) {
    this.#process = child;
    this.port = port;
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
}

async function accepts(port: number): Promise<boolean> {
  const socket = connect(port, HOST);
  try {
    await once(socket, "connect");
    return true;
  } finally {
    socket.destroy();
  }
}
