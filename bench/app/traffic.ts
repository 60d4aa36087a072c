/** What servers have carried out, as they report it themselves with MONITOR: no client can be wrong about that. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { createInterface } from "node:readline";
import type { Servers } from "./policies.js";

/** How often commands were carried out, without those inside scripts. */
export interface Commands {
  readonly catalogue: Answered;
  readonly sessions: Answered;
  infos: number;
}

/** Reads, by the server that answered. */
export interface Answered {
  primary: number;
  replicas: number;
}

const reads = new Set(["get", "mget", "hgetall"]);
/** A line of MONITOR: who sent the command, its name, and its first argument. */
const line = /^\+[\d.]+ \[\d+ ([^\]]+)\] "([^"]*)"(?: "([^"]*)")?/;

export class Traffic implements Disposable {
  readonly #monitors: Socket[] = [];
  #commands = none();

  /** Resolves when all servers report. It is not ioredis's monitor, which fails if the first report comes with the reply. */
  static async open({ primary, replicas }: Servers): Promise<Traffic> {
    const traffic = new Traffic();
    await traffic.#listen("primary", primary);
    for (const replica of replicas) await traffic.#listen("replicas", replica);
    return traffic;
  }

  async #listen(role: keyof Answered, url: string): Promise<void> {
    const { hostname, port } = new URL(url);
    const monitor = connect(Number(port), hostname);
    this.#monitors.push(monitor);
    monitor.write("MONITOR\r\n");
    const lines = createInterface(monitor);
    await once(lines, "line");
    lines.on("line", (text) => {
      const [, source, name = "", key = ""] = line.exec(text) ?? [];
      if (source !== "lua") this.#count(role, name.toLowerCase(), key);
    });
  }

  /** Forgets what has been carried out until now. */
  begin(): void {
    this.#commands = none();
  }

  get commands(): Commands {
    return this.#commands;
  }

  #count(role: keyof Answered, command: string, key: string): void {
    if (command === "info") this.#commands.infos += 1;
    if (!reads.has(command)) return;
    if (key.startsWith("catalogue:")) this.#commands.catalogue[role] += 1;
    if (key.startsWith("sess:")) this.#commands.sessions[role] += 1;
  }

  [Symbol.dispose](): void {
    for (const monitor of this.#monitors) monitor.destroy();
  }
}

function none(): Commands {
  return { catalogue: { primary: 0, replicas: 0 }, sessions: { primary: 0, replicas: 0 }, infos: 0 };
}
