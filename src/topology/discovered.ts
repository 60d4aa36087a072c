/** A primary, and the replicas that it and they themselves name: these come and go without anybody telling us. */
import type { RedisOptions } from "ioredis";
import { addressOf, type Endpoint } from "../address.js";
import type { NodeReport } from "../node/incarnation.js";
import type { Node } from "../node/node.js";
import { parseReplicas, parseUpstream } from "../replication/replication-info.js";
import { Shard } from "../shard/shard.js";
import { AnnouncedAddresses, maxFollowed } from "./announced-addresses.js";
import { singleShard, type Topology, type TopologyContext } from "./topology.js";

/** Connects to the primary given, to the replicas of the present primary, and to theirs. */
export function discoveredTopology(
  primary: RedisOptions,
  { options, lineage, joined, left }: TopologyContext,
): Topology {
  const announced = new AnnouncedAddresses(primary, primary.natMap, options.accept);
  const discovery = new Discovery(announced, options.maxStalenessMs);
  const surroundings = {
    lineage,
    joined,
    left,
    saw: (shard: Shard, node: Node, sighting: NodeReport) => discovery.saw(shard, node, sighting),
  };
  const shard = new Shard(
    { ...options, hasArbiter: false, discovers: true },
    { primary, replicas: [] },
    surroundings,
  );
  return singleShard(shard);
}

class Discovery {
  readonly #announced: AnnouncedAddresses;
  readonly #lingerMs: number;
  /** When each was last named, by its address. */
  readonly #named = new Map<string, { readonly server: RedisOptions; at: number }>();
  /** How each announced address is reached; undefined for one that is not accepted. */
  readonly #reached = new Map<string, RedisOptions | undefined>();

  constructor(announced: AnnouncedAddresses, lingerMs: number) {
    this.#announced = announced;
    this.#lingerMs = lingerMs;
  }

  /** Takes in whom a server has named. */
  saw(shard: Shard, node: Node, { text, replication }: NodeReport): void {
    const now = performance.now();
    let news = false;
    for (const endpoint of parseReplicas(text)) news = this.#note(shard, endpoint, now) || news;
    // A primary that is one no more names the one it follows.
    const upstream =
      node === shard.primary && replication.role === "replica" ? parseUpstream(text) : undefined;
    if (upstream !== undefined) news = this.#note(shard, upstream, now) || news;
    if (node === shard.primary && replication.role === "primary") news = this.#forget(shard, now) || news;
    if (!news) return;
    const replicas = [...this.#named.values()].map(({ server }) => server);
    shard.assign(shard.primary.connection.server, replicas);
  }

  #note(shard: Shard, endpoint: Endpoint, at: number): boolean {
    const server = this.#reach(endpoint);
    if (server === undefined) return false;
    const address = addressOf(server);
    const known = this.#named.get(address);
    if (known === undefined && this.#named.size >= maxFollowed) {
      this.#announced.warnOfMany("replicas", maxFollowed);
      return false;
    }
    if (known !== undefined) known.at = at;
    else this.#named.set(address, { server, at });
    return shard.find(server) === undefined;
  }

  /** An INFO behind each write names the same servers: the app's accept() and natMap are called for a new address only. */
  #reach(endpoint: Endpoint): RedisOptions | undefined {
    const announced = `${endpoint.host}:${endpoint.port}`;
    const known = this.#reached.get(announced);
    if (known !== undefined || this.#reached.has(announced)) return known;
    if (this.#reached.size >= maxFollowed) this.#reached.clear();
    const server = this.#announced.reach(endpoint);
    this.#reached.set(announced, server);
    return server;
  }

  /** One that is not named any more may still have what it is asked for, as long as it can be at all. */
  #forget(shard: Shard, now: number): boolean {
    let news = false;
    for (const node of shard.replicas) {
      const named = this.#named.get(node.connection.address);
      if (named !== undefined && now - named.at < this.#lingerMs) continue;
      this.#named.delete(node.connection.address);
      news = true;
    }
    return news;
  }
}
