/** The servers of one shard, each in its role: which is the primary, and who comes and goes. */
import type { RedisOptions } from "ioredis";
import { addressOf } from "../address.js";
import { MarkerKey } from "../node/marker-key.js";
import { Node, type Observer } from "../node/node.js";
import { askZone } from "../node/own-commands.js";
import type { ShardLimits } from "./shard-options.js";

/** Who is told what becomes of the servers of a shard. */
export interface MembersObserver extends Omit<Observer, "judged"> {
  /** Called with a server that was the primary until now. */
  readonly left: (node: Node) => void;
  /** Told of every server that is connected to for the first time. */
  readonly joined: (node: Node) => void;
  /** Whether replicas answer only connections that have said READONLY. */
  readonly inCluster: boolean;
  readonly limits: ShardLimits;
}

export class ShardMembers {
  #primary: Node;
  /** All servers but the primary. */
  #others: readonly Node[];
  /** Those whose word counts, because the primary is no proxy. */
  #replicas: readonly Node[] = [];
  /** Since when the primary is taken for it, on the monotonic clock. */
  primarySince = performance.now();
  /** Primaries that were replaced, each until it has answered everything that it was sent before. */
  readonly #leaving = new Set<Node>();
  readonly #observer: MembersObserver;
  /** The same, for nodes: told first when the primary is recognized as a proxy. */
  readonly #nodeObserver: Observer;
  readonly #marker: MarkerKey | undefined;

  constructor(primary: RedisOptions, replicas: readonly RedisOptions[], observer: MembersObserver) {
    this.#observer = observer;
    this.#nodeObserver = {
      saw: (node, sighting) => observer.saw(node, sighting),
      waits: (node) => observer.waits(node),
      dropped: (node) => observer.dropped(node),
      discovers: observer.discovers,
      judged: () => this.#sort(),
    };
    const { inCluster, limits } = observer;
    // In a cluster a key belongs to a slot, which may move away from its shard.
    this.#marker = inCluster ? undefined : new MarkerKey();
    const { primaryTimeoutMs } = limits;
    this.#primary = this.#join(Node.primary(primary, primaryTimeoutMs, this.#nodeObserver, this.#marker));
    this.#others = replicas.map((replica) => this.#replica(replica));
    this.#sort();
  }

  get primary(): Node {
    return this.#primary;
  }

  /** Those that may prove what they have; none while the primary is a proxy, which has no position to compare theirs with. */
  get replicas(): readonly Node[] {
    return this.#replicas;
  }

  /** Those named beside a primary that is a proxy: nothing can be proven of them. */
  get pools(): readonly Node[] {
    return this.#primary.isProxy ? this.#others : [];
  }

  get all(): readonly Node[] {
    return [this.#primary, ...this.#others];
  }

  /** The server at an address, if it is one of these. */
  find(server: RedisOptions): Node | undefined {
    const address = addressOf(server);
    return this.all.find(({ connection }) => connection.address === address);
  }

  /**
   * Whether the primary before this one has answered all commands. Only then is this one sent any: a command that the other
   * one refuses must not be overtaken by commands that were given later. A server that hangs delays this for as long as
   * an impatient connection leaves commands unanswered.
   */
  get isHandedOver(): boolean {
    return this.#leaving.size === 0;
  }

  /** Makes one of the replicas the primary, and the primary a replica. */
  promote(node: Node): void {
    if (node === this.#primary) return;
    const old = this.#primary;
    this.#others = [...this.#others.filter((one) => one !== node), old];
    this.#primary = node;
    this.primarySince = performance.now();
    this.#leaving.delete(node);
    node.connection.waitsForConnection = true;
    old.connection.yields();
    this.#leave(old);
    // Whatever waits for it has to wait for the new one.
    old.connection.failWaiting();
    this.#observer.left(old);
    this.#sort();
    if (node.connection.ready) node.probeBefore();
  }

  /** Connects to who is new, goes on with who was there before, and leaves who is not named any more. */
  assign(primary: RedisOptions, replicas: readonly RedisOptions[]): void {
    const named = new Map([primary, ...replicas].map((server) => [addressOf(server), server]));
    const known = new Map(this.all.map((node) => [node.connection.address, node]));
    const nodes = [...named].map(([address, server]) => {
      return known.get(address) ?? this.#replica(server);
    });
    const leaving = this.all.filter(({ connection }) => !named.has(connection.address));
    const [heir] = nodes;
    if (heir !== undefined) this.promote(heir);
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
    this.#greet();
  }

  /** A primary must not be READONLY: made a replica, it would go on answering. */
  #greet(): void {
    if (!this.#observer.inCluster) return;
    this.#primary.greeting.take("readwrite", this.#primary.connection);
    for (const replica of this.#others) replica.greeting.take("readonly", replica.connection);
  }

  #replica(server: RedisOptions): Node {
    const { primaryTimeoutMs } = this.#observer.limits;
    return this.#join(Node.replica(server, primaryTimeoutMs, this.#nodeObserver, this.#marker));
  }

  #join(node: Node): Node {
    const { joined, limits } = this.#observer;
    const { address, redis } = node.connection;
    node.weight = limits.weights[address] ?? 1;
    node.zone = limits.zones[address];
    const tell = (zone: string): void => {
      node.zone = zone;
    };
    if (limits.zone !== undefined && node.zone === undefined)
      redis.on("ready", () => node.isProxy || askZone(node.connection, tell));
    joined(node);
    return node;
  }
}
