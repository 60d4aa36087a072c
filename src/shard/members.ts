/** The servers of one shard and their roles: which one is the primary, and which ones join and leave. */
import type { RedisOptions } from "ioredis";
import { addressOf } from "../address.js";
import { MarkerKey } from "../node/marker-key.js";
import { Node, type Observer } from "../node/node.js";
import { askZone } from "../node/own-commands.js";
import type { ShardOptions } from "./shard-options.js";

/** The servers that a shard begins with. */
export interface ShardServers {
  readonly primary: RedisOptions;
  readonly replicas: readonly RedisOptions[];
}

/** Who says that a server is the primary: the options, the server itself, the Sentinels or the nodes of the cluster. */
export type NamedBy = "options" | "itself" | "sentinels" | "cluster";

/** Receives the events of the servers of a shard. */
export interface MembersObserver
  extends Pick<Observer, "asks" | "learntNothing" | "saw" | "waits" | "dropped"> {
  /** Called with a server that was the primary until now. */
  readonly left: (node: Node) => void;
  /** Called with every server that Tidemark connects to for the first time. */
  readonly joined: (node: Node) => void;
}

export class ShardMembers {
  readonly options: ShardOptions;
  #primary: Node;
  /** All servers but the primary. */
  #others: readonly Node[];
  #replicas: readonly Node[] = [];
  /** When the primary became the primary for this process, on the monotonic clock. */
  primarySince = performance.now();
  primaryNamedBy: NamedBy = "options";
  /** Primaries that were replaced. Each stays until it has answered everything that it was sent before. */
  readonly #leaving = new Set<Node>();
  /** Whether replicas answer only connections that have sent READONLY. */
  readonly #inCluster: boolean;
  readonly #observer: MembersObserver;
  /** The observer of the nodes. It also sorts the servers again when one of them turns out to be a proxy. */
  readonly #nodeObserver: Observer;
  readonly #marker: MarkerKey | undefined;

  constructor(servers: ShardServers, options: ShardOptions, inCluster: boolean, observer: MembersObserver) {
    this.options = options;
    this.#inCluster = inCluster;
    this.#observer = observer;
    this.#nodeObserver = { ...observer, discovers: options.discovers, judged: () => this.#sort() };
    // In a cluster the marker's key belongs to a slot, which may move to another shard.
    this.#marker = inCluster ? undefined : new MarkerKey();
    this.#primary = this.#join(
      Node.primary(servers.primary, options.primaryTimeoutMs, this.#nodeObserver, this.#marker),
    );
    this.#others = servers.replicas.map((replica) => this.#replica(replica));
    this.#sort();
  }

  get primary(): Node {
    return this.#primary;
  }

  /** The replicas that can prove their positions. None while the primary is a proxy, because a proxy has no position. */
  get replicas(): readonly Node[] {
    return this.#replicas;
  }

  /** The servers given as replicas of a primary that is a proxy. The positions of these servers cannot be proven. */
  get unprovenServers(): readonly Node[] {
    return this.#primary.isProxy ? this.#others : [];
  }

  /** All servers, the primary first. */
  get all(): readonly Node[] {
    return [this.#primary, ...this.#others];
  }

  /** The server at an address, if it belongs to this shard. */
  find(server: RedisOptions): Node | undefined {
    const address = addressOf(server);
    return this.all.find(({ connection }) => connection.address === address);
  }

  /**
   * Whether the former primary has answered all commands. Until then the new primary is sent none, because later commands must not
   * overtake a command that the former primary refuses. A former primary that hangs delays the new one for as long as the
   * connection to a replica may leave commands unanswered.
   */
  get isHandedOver(): boolean {
    return this.#leaving.size === 0;
  }

  /** Makes one of the replicas the primary, because `source` says so, and the primary a replica. */
  promote(node: Node, source: NamedBy): void {
    if (node === this.#primary) return;
    this.primaryNamedBy = source;
    const old = this.#primary;
    this.#others = [...this.#others.filter((one) => one !== node), old];
    this.#primary = node;
    this.primarySince = performance.now();
    this.#leaving.delete(node);
    node.connection.waitsForConnection = true;
    old.connection.yields();
    this.#leave(old);
    // Commands that wait for the old primary have to wait for the new one.
    old.connection.failWaiting();
    this.#observer.left(old);
    this.#sort();
    if (node.connection.ready) node.probeBefore();
  }

  /** Connects to servers that are new, keeps those that were there before, and leaves those that are not named any more. */
  assign(primary: RedisOptions, replicas: readonly RedisOptions[], source: NamedBy): void {
    const named = new Map([primary, ...replicas].map((server) => [addressOf(server), server]));
    const known = new Map(this.all.map((node) => [node.connection.address, node]));
    const nodes = [...named].map(([address, server]) => known.get(address) ?? this.#replica(server));
    const leaving = this.all.filter(({ connection }) => !named.has(connection.address));
    const [heir] = nodes;
    if (heir !== undefined) this.promote(heir, source);
    this.#others = nodes.filter((node) => node !== this.#primary);
    this.#sort();
    for (const node of leaving) node.connection.retire();
  }

  #leave(old: Node): void {
    if (old.connection.inFlight === 0) return;
    this.#leaving.add(old);
    const over = (): void => {
      this.#leaving.delete(old);
    };
    old.drained().then(over, over);
  }

  #sort(): void {
    this.#replicas = this.#primary.isProxy ? [] : this.#others;
    if (this.#inCluster) this.#setClusterModes();
  }

  /** A connection to a primary must not be READONLY: the server would go on answering after it was made a replica. */
  #setClusterModes(): void {
    this.#primary.clusterMode.set("readwrite", this.#primary.connection);
    for (const replica of this.#others) replica.clusterMode.set("readonly", replica.connection);
  }

  #replica(server: RedisOptions): Node {
    return this.#join(Node.replica(server, this.options.primaryTimeoutMs, this.#nodeObserver, this.#marker));
  }

  #join(node: Node): Node {
    const { weights, zones, zone } = this.options;
    const { address, redis } = node.connection;
    node.weight = weights[address] ?? 1;
    node.zone = zones[address];
    const setZone = (reported: string): void => {
      node.zone = reported;
    };
    if (zone !== undefined && node.zone === undefined)
      redis.on("ready", () => node.isProxy || askZone(node.connection, setZone));
    this.#observer.joined(node);
    return node;
  }
}
