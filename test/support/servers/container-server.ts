/** One real Redis server in a container. */

import { Redis } from "ioredis";
import { GenericContainer, getContainerRuntimeClient, type StartedTestContainer, Wait } from "testcontainers";
import { waitUntil } from "../wait-until.js";
import { type BackendServer, hasty } from "./backend.js";
import { freePort } from "./free-port.js";
import { infoOf } from "./info.js";
import type { InnerNetwork } from "./inner-network.js";
import { LIBRARY_PATH } from "./redis-image.js";
import { takeSnapshot } from "./snapshot.js";

/** In the container only; clients come by a free port of the machine. */
const INNER_PORT = 6379;
/** The network by which clients come. */
const OUTER_NETWORK = "bridge";
const RECONNECT_MS = 20;
/** The settings that may differ at the next start; the rest is in the arguments. */
const CONFIG_FILE = "/tmp/redis.conf";
const FIRST_CONFIG = "dbfilename 0.rdb\n";

/** As those of a server process. */
const containerArgs = [
  ...["--port", String(INNER_PORT), "--bind", "0.0.0.0", "--protected-mode", "no", "--dir", "/tmp"],
  ...["--save", "", "--appendonly", "no", "--rdb-del-sync-files", "yes"],
  ...["--repl-diskless-sync", "no", "--repl-diskless-sync-delay", "0"],
  ...hasty,
];

type Engine = Awaited<ReturnType<typeof getContainerRuntimeClient>>;

interface Parts {
  readonly engine: Engine;
  readonly started: StartedTestContainer;
  readonly network: InnerNetwork;
  /** Where the other servers reach it. */
  readonly innerHost: string;
  /** Where clients reach it. */
  readonly port: number;
}

export class ContainerServer implements BackendServer {
  readonly host: string;
  readonly port: number;
  readonly url: string;
  readonly #parts: Parts;
  readonly #container: ReturnType<Engine["container"]["getById"]>;
  #admin: Redis | undefined;
  #follows: ContainerServer | undefined;
  /** How often it was to forget its data: a file of another name is never there. */
  #emptied = 0;
  #isPaused = false;
  #reachableBy: "everyone" | "clients" | "nobody" = "everyone";

  /** Resolves once the server answers; it gets `innerHost` for its address on `network`. */
  static async start(image: string, network: InnerNetwork, innerHost: string): Promise<ContainerServer> {
    const engine = await getContainerRuntimeClient();
    const port = await freePort();
    const started = await new GenericContainer(image)
      .withEntrypoint(["redis-server"])
      .withCommand([CONFIG_FILE, ...containerArgs])
      .withEnvironment({ LD_LIBRARY_PATH: LIBRARY_PATH })
      .withCopyContentToContainer([{ content: FIRST_CONFIG, target: CONFIG_FILE }])
      // One that the engine chooses changes with every restart.
      .withExposedPorts({ container: INNER_PORT, host: port })
      .withWaitStrategy(Wait.forLogMessage(/Ready to accept connections/))
      .start();
    const server = new ContainerServer({ engine, started, network, innerHost, port });
    try {
      await network.connect(started.getId(), innerHost);
      return server;
    } catch (error) {
      await server.stop();
      throw error;
    }
  }

  private constructor(parts: Parts) {
    const { engine, started, port } = parts;
    this.host = started.getHost();
    this.port = port;
    this.url = `redis://${this.host}:${port}`;
    this.#parts = parts;
    this.#container = engine.container.getById(started.getId());
  }

  admin(): Redis {
    this.#admin ??= this.#connectAdmin();
    return this.#admin;
  }

  info(section: string): Promise<Record<string, string>> {
    return infoOf(this.admin(), section);
  }

  async pause(): Promise<void> {
    await this.#container.pause();
    this.#isPaused = true;
  }

  async resume(): Promise<void> {
    if (this.#isPaused) await this.#container.unpause();
    this.#isPaused = false;
  }

  async kill(): Promise<void> {
    // The engine refuses to end a paused one.
    await this.resume();
    if (!(await this.#isAlive())) return;
    await this.#container.kill();
    await waitUntil(async () => !(await this.#isAlive()), { what: "the container has ended" });
  }

  async restart({ empty = false }: { readonly empty?: boolean } = {}): Promise<void> {
    if (!empty && (await this.#isAlive())) {
      await this.resume();
      await takeSnapshot(this.admin());
    } else this.#emptied += 1;
    await this.kill();
    await this.#parts.started.copyContentToContainer([{ content: this.#config(), target: CONFIG_FILE }]);
    await this.#container.start();
    await waitUntil(async () => (await this.admin().ping()) === "PONG", { what: "the container answers" });
  }

  async disconnect(from: "servers" | "everyone"): Promise<void> {
    const { id } = this.#container;
    if (this.#reachableBy === "everyone") await this.#parts.network.disconnect(id);
    // Last, because the engine publishes the port on another network as long as there is one.
    if (from === "everyone") await this.#outerNetwork().disconnect({ Container: id, Force: true });
    this.#reachableBy = from === "everyone" ? "nobody" : "clients";
  }

  async connect(): Promise<void> {
    const { id } = this.#container;
    if (this.#reachableBy === "nobody") await this.#outerNetwork().connect({ Container: id });
    if (this.#reachableBy !== "everyone") await this.#parts.network.connect(id, this.#parts.innerHost);
    this.#reachableBy = "everyone";
  }

  async replicate(primary: this | undefined): Promise<void> {
    if (primary === undefined) await this.admin().replicaof("NO", "ONE");
    else await this.admin().replicaof(primary.#parts.innerHost, INNER_PORT);
    this.#follows = primary;
  }

  async stop(): Promise<void> {
    this.#admin?.disconnect();
    await this.#container.remove({ force: true, v: true });
  }

  async #isAlive(): Promise<boolean> {
    return (await this.#container.inspect()).State.Running;
  }

  #config(): string {
    const role = this.#follows ? `replicaof ${this.#follows.#parts.innerHost} ${INNER_PORT}\n` : "";
    return `dbfilename ${this.#emptied}.rdb\n${role}`;
  }

  #outerNetwork() {
    return this.#parts.engine.container.dockerode.getNetwork(OUTER_NETWORK);
  }

  #connectAdmin(): Redis {
    const client = new Redis({ host: this.host, port: this.port, retryStrategy: () => RECONNECT_MS });
    // Servers are killed on purpose here; a failed command says so by itself.
    client.on("error", () => {});
    return client;
  }
}
