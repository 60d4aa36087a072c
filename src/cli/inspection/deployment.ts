/** A deployment looked at from outside: the servers that were given, and those that they announce. */
import { isIPv6 } from "node:net";
import type { RedisOptions } from "ioredis";
import { addressOf, type Endpoint, endpointOf } from "../../address.js";
import { converted, valueIn } from "./answer.js";
import { parseFlatList } from "./info.js";
import type { ActivityOfPrimary, CanaryOfPrimary, LagOfReplica } from "./measurements.js";
import { InspectedServer, type Look, type ServerSource } from "./server.js";
import { defaultSettings, type Settings } from "./settings.js";

/** The servers to inspect. */
export interface InspectionTarget {
  /** The servers that were given: Redis servers, Sentinels or nodes of a cluster. */
  readonly servers: readonly RedisOptions[];
  readonly kind: "servers" | "sentinel" | "cluster";
  /** The name that the Sentinels have for the primary. */
  readonly name?: string;
  /** The options for servers that others announce, with `natMap`. */
  readonly redis: RedisOptions;
}

export interface InspectOptions {
  readonly settings?: Partial<Settings>;
  /** How much is asked of each server. Default `"everything"`. */
  readonly depth?: Look["depth"];
  /** How long each answer may take. Default 5000. */
  readonly timeoutMs?: number;
  /** Ends the questions. What was answered by then counts. */
  readonly signal?: AbortSignal;
}

/** The states that a Tidemark gave the servers. */
export interface ObservedTidemark {
  readonly nodes: readonly {
    readonly address: string;
    readonly role: "primary" | "replica";
    readonly state: string;
    readonly reason: string | undefined;
  }[];
  /** Why no Tidemark was opened. */
  readonly absence?: string;
  /** Why it did not become ready. */
  readonly error?: string;
}

export interface Deployment {
  readonly target: InspectionTarget;
  /** All Redis servers, given and announced. */
  readonly servers: readonly InspectedServer[];
  readonly sentinels: readonly InspectedServer[];
  /** The servers that report to be primaries. */
  readonly primaries: readonly InspectedServer[];
  replicasOf(primary: InspectedServer): readonly InspectedServer[];
  readonly settings: Settings;
  /** Set by the lag sampler. */
  lag?: readonly LagOfReplica[];
  /** Set by the lag sampler. */
  activity?: readonly ActivityOfPrimary[];
  /** Set by the lag sampler if it may write. */
  canaries?: readonly CanaryOfPrimary[];
  /** What a Tidemark on these servers has seen. */
  tidemark?: ObservedTidemark;
  /** Looks at the servers that have been announced since. */
  follow(): Promise<void>;
  /** Closes every connection. */
  close(): void;
}

/** The most servers that are looked at. */
const maxServers = 1_000;

/** Connects to the servers, and asks them and all servers that they announce. One dead server never stops the others. */
export async function inspect(target: InspectionTarget, options: InspectOptions = {}): Promise<Deployment> {
  const inspection = new Inspection(target, options);
  const stop = (): void => inspection.close();
  options.signal?.addEventListener("abort", stop, { once: true });
  await inspection.run();
  options.signal?.removeEventListener("abort", stop);
  return inspection;
}

class Inspection implements Deployment {
  readonly target: InspectionTarget;
  readonly settings: Settings;
  lag?: readonly LagOfReplica[];
  activity?: readonly ActivityOfPrimary[];
  canaries?: readonly CanaryOfPrimary[];
  tidemark?: ObservedTidemark;
  readonly #look: Look;
  #isClosed = false;
  readonly #timeoutMs: number | undefined;
  readonly #servers: InspectedServer[] = [];
  readonly #sentinels: InspectedServer[] = [];

  constructor(target: InspectionTarget, { settings, depth = "everything", timeoutMs }: InspectOptions) {
    this.target = target;
    this.settings = { ...defaultSettings, ...settings };
    this.#timeoutMs = timeoutMs;
    this.#look = { depth, ...(target.name === undefined ? {} : { name: target.name }) };
  }

  get servers(): readonly InspectedServer[] {
    return this.#servers;
  }

  get sentinels(): readonly InspectedServer[] {
    return this.#sentinels;
  }

  get primaries(): readonly InspectedServer[] {
    return this.#servers.filter(({ role }) => role === "primary");
  }

  replicasOf(primary: InspectedServer): readonly InspectedServer[] {
    return this.#servers.filter((server) => server.role === "replica" && this.#follows(server, primary));
  }

  close(): void {
    this.#isClosed = true;
    for (const server of [...this.#servers, ...this.#sentinels]) server.close();
  }

  async follow(): Promise<void> {
    await this.#lookAt(this.#newIn([...this.#servers, ...this.#sentinels]));
  }

  async run(): Promise<void> {
    const { kind, servers } = this.target;
    const given = servers.map((options) =>
      this.#server(options, kind === "cluster" ? "cluster" : "given", undefined, kind === "sentinel"),
    );
    const list = kind === "sentinel" ? this.#sentinels : this.#servers;
    list.push(...given);
    await this.#lookAt(given);
  }

  /** Looks at `servers`, then at those that they announce, and so on. */
  async #lookAt(servers: readonly InspectedServer[]): Promise<void> {
    if (servers.length === 0 || this.#isClosed) return;
    await Promise.all(servers.map((server) => server.look(this.#look)));
    for (const server of servers) this.#merge(server);
    await this.#lookAt(this.#newIn(servers));
  }

  /** The servers that `servers` announce and that were not known before. From now on they are. */
  #newIn(servers: readonly InspectedServer[]): readonly InspectedServer[] {
    const found: InspectedServer[] = [];
    for (const server of servers) {
      for (const other of this.#announcements(server)) {
        const list = other.kind === "sentinel" ? this.#sentinels : this.#servers;
        if (list.some((known) => known.isAt(other.address)) || list.length >= maxServers) continue;
        list.push(other);
        found.push(other);
      }
    }
    return found;
  }

  #announcements(server: InspectedServer): readonly InspectedServer[] {
    if (server.kind === "redis") return this.#announcedBy(server);
    return [...this.#otherSentinels(server), ...this.#namedBySentinel(server)];
  }

  /** Removes an announced server that turns out to be a known one under another address. */
  #merge(server: InspectedServer): void {
    if (server.source === "given") return;
    const id = valueIn(server.info)?.get("run_id");
    const list = server.kind === "sentinel" ? this.#sentinels : this.#servers;
    const twin = list.find(
      (other) => other !== server && id !== undefined && valueIn(other.info)?.get("run_id") === id,
    );
    if (twin === undefined) return;
    twin.aliases.add(server.address);
    server.close();
    list.splice(list.indexOf(server), 1);
  }

  #announcedBy(server: InspectedServer): InspectedServer[] {
    if (this.target.kind === "cluster" || valueIn(server.info)?.get("cluster_enabled") === "1")
      return nodesIn(valueIn(server.answer("clusterSlots"))).map((at) => this.#reach(at, "cluster", server));
    const { upstream, announced } = server;
    // A replica may know its primary by an address that only works between servers. There is no need to try it if the primary is
    // known already.
    const isKnown = this.primaries.some((primary) => replidOf(primary) === replidOf(server));
    return [...announced, ...(upstream === undefined || isKnown ? [] : [upstream])].map((at) =>
      this.#reach(at, "announced", server),
    );
  }

  #namedBySentinel(sentinel: InspectedServer): InspectedServer[] {
    const primary = converted(sentinel.answer("sentinelPrimary"), parseFlatList);
    const replicas = valueIn(sentinel.answer("sentinelReplicas"));
    const lists = [valueIn(primary), ...(Array.isArray(replicas) ? replicas.map(parseFlatList) : [])];
    return lists.flatMap((fields) => {
      const at = endpointOf(fields?.get("ip"), fields?.get("port"));
      return at === undefined ? [] : [this.#reach(at, "sentinel", sentinel)];
    });
  }

  #otherSentinels(sentinel: InspectedServer): InspectedServer[] {
    const others = valueIn(sentinel.answer("sentinelOthers"));
    if (!Array.isArray(others)) return [];
    return others.map(parseFlatList).flatMap((fields) => {
      const at = endpointOf(fields?.get("ip"), fields?.get("port"));
      if (at === undefined) return [];
      const { host: _host, port: _port, path: _path, ...shared } = this.target.servers[0] ?? {};
      return [this.#server({ ...shared, ...this.#mapped(at) }, "sentinel", sentinel, true)];
    });
  }

  #reach(at: Endpoint, source: ServerSource, by: InspectedServer): InspectedServer {
    const { path: _path, ...shared } = this.target.redis;
    return this.#server({ ...shared, ...this.#mapped(at) }, source, by, false);
  }

  /** The address at which this machine reaches an announced server. */
  #mapped(at: Endpoint): RedisOptions {
    const { natMap } = this.target.redis;
    const announced = addressOf(at);
    const { host, port } = (typeof natMap === "function" ? natMap(announced) : natMap?.[announced]) ?? at;
    return { host, port, ...(isIPv6(host) ? { family: 6 } : {}) };
  }

  #server(
    options: RedisOptions,
    source: ServerSource,
    by: InspectedServer | undefined,
    isSentinel: boolean,
  ): InspectedServer {
    return new InspectedServer({
      options,
      source,
      ...(by === undefined ? {} : { announcedBy: by.address }),
      kind: isSentinel ? "sentinel" : "redis",
      ...(this.#timeoutMs === undefined ? {} : { timeoutMs: this.#timeoutMs }),
    });
  }

  /**
   * Whether `replica` follows `primary`, also through other replicas. The replication id decides if both report one, because
   * the address may be that of a proxy.
   */
  #follows(replica: InspectedServer, primary: InspectedServer): boolean {
    const seen = new Set<InspectedServer>();
    let at: InspectedServer | undefined = replica;
    while (at !== undefined && !seen.has(at)) {
      if (at === primary || replidOf(at) === replidOf(primary)) return true;
      seen.add(at);
      at = this.#upstreamOf(at);
    }
    return false;
  }

  #upstreamOf({ upstream }: InspectedServer): InspectedServer | undefined {
    if (upstream === undefined) return undefined;
    const address = addressOf(this.#mapped(upstream));
    return this.#servers.find((server) => server.isAt(address));
  }
}

function replidOf(server: InspectedServer): string | InspectedServer {
  const replid = valueIn(server.info)?.get("master_replid");
  return replid === undefined || /^0*$/.test(replid) ? server : replid;
}

/** The nodes in the reply of CLUSTER SLOTS. */
function nodesIn(reply: unknown): Endpoint[] {
  if (!Array.isArray(reply)) return [];
  const ranges: readonly unknown[] = reply;
  const nodes = ranges.flatMap((range): unknown[] => (Array.isArray(range) ? range.slice(2) : []));
  return nodes.flatMap((node) => (Array.isArray(node) ? (endpointOf(node[0], node[1]) ?? []) : []));
}
