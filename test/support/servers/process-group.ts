/** A primary and its replicas as processes of this machine, whose cables are proxies. */

import type { Redis } from "ioredis";
import { LagProxy } from "../proxies/lag-proxy.js";
import { TcpProxy } from "../proxies/tcp-proxy.js";
import { type BackendServer, hasty, type ServerGroup } from "./backend.js";
import type { RedisServer } from "./redis-server.js";
import { startReplicationGroup } from "./replication-group.js";

/** Resolves when every replica is connected and in sync. */
export async function startProcesses({ replicas }: { readonly replicas: number }): Promise<ServerGroup> {
  const group = await startReplicationGroup({ replicas, args: hasty });
  const servers: ProcessServer[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all([...servers.map((server) => server.unplug()), group.stop()]);
  };
  const plugIn = async (server: RedisServer, link: LagProxy): Promise<ProcessServer> => {
    const front = await TcpProxy.start({ targetPort: server.port });
    const plugged = new ProcessServer(server, { link, front }, servers);
    servers.push(plugged);
    return plugged;
  };
  try {
    // It follows nobody yet.
    const primary = await plugIn(group.primary, await LagProxy.start({ targetPort: 0 }));
    const others = await Promise.all(group.replicas.map(({ server, link }) => plugIn(server, link)));
    for (const other of others) other.follows = primary;
    return { primary, replicas: others, stop, [Symbol.asyncDispose]: stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

interface Cables {
  /** Between the server and the one it follows. */
  readonly link: LagProxy;
  /** Between the server and its clients. */
  readonly front: TcpProxy;
}

class ProcessServer implements BackendServer {
  readonly host: string;
  readonly port: number;
  readonly url: string;
  /** Where the data comes from that the link brings. */
  follows: ProcessServer | undefined;
  /** Whether it is off the network of the servers. */
  isOff = false;
  readonly #server: RedisServer;
  readonly #cables: Cables;
  readonly #group: readonly ProcessServer[];

  constructor(server: RedisServer, cables: Cables, group: readonly ProcessServer[]) {
    ({ host: this.host, port: this.port } = cables.front);
    this.url = `redis://${this.host}:${this.port}`;
    this.#server = server;
    this.#cables = cables;
    this.#group = group;
  }

  admin(): Redis {
    return this.#server.admin();
  }

  info(section: string): Promise<Record<string, string>> {
    return this.#server.info(section);
  }

  async pause(): Promise<void> {
    this.#server.pause();
  }

  async resume(): Promise<void> {
    this.#server.resume();
  }

  kill(): Promise<void> {
    return this.#server.kill();
  }

  restart(options?: { readonly empty?: boolean }): Promise<void> {
    return this.#server.restart(options);
  }

  async disconnect(from: "servers" | "everyone"): Promise<void> {
    this.isOff = true;
    for (const server of this.#group) server.#plug();
    if (from === "everyone") this.#cables.front.cut();
  }

  async connect(): Promise<void> {
    this.isOff = false;
    for (const server of this.#group) server.#plug();
    this.#cables.front.mend();
  }

  async replicate(primary: this | undefined): Promise<void> {
    const { link } = this.#cables;
    this.follows = primary;
    if (primary !== undefined) {
      link.retarget(primary.#server.port);
      // The link's address stays the same, so Redis sees no reason to start over.
      link.cut();
      link.mend();
    }
    this.#plug();
    await this.#server.replicate(primary && link);
  }

  /** Ends its cables; the server itself ends with its group. */
  async unplug(): Promise<void> {
    await Promise.all([this.#cables.link.stop(), this.#cables.front.stop()]);
  }

  /** A server off the network neither follows nor is followed. */
  #plug(): void {
    if (this.isOff || this.follows?.isOff) this.#cables.link.stall();
    else this.#cables.link.unstall();
  }
}
