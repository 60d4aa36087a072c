/** Finds replicas in the INFO of a primary and of its replicas. Replicas may join and leave at any time. */
import type { RedisOptions } from "ioredis";
import { addressOf, type Endpoint } from "../address.js";
import type { NodeReport } from "../node/incarnation.js";
import type { Node } from "../node/node.js";
import { parseReplicas, parseUpstream } from "../replication/replication-info.js";
import { Shard } from "../shard/shard.js";
import { AnnouncedAddresses, maxFollowed } from "./announced-addresses.js";
import { singleShard, type Topology, type TopologyContext } from "./topology.js";

/** Connects to the given primary, to the replicas of the present primary, and to the replicas of these replicas. */
export function discoveredTopology(primary: RedisOptions, context: TopologyContext): Topology {
  const { accept, maxStalenessMs } = context.options;
  const announced = new AnnouncedAddresses(primary, primary.natMap, accept);
  const discovery = new Discovery(announced, maxStalenessMs);
  const options = { ...context.options, hasArbiter: false, discovers: true };
  const saw = discovery.saw.bind(discovery);
  return singleShard(new Shard(options, { primary, replicas: [] }, { ...context, saw }));
}

class Discovery {
  readonly #announced: AnnouncedAddresses;
  readonly #lingerMs: number;
  /** By address: each server that a report has named, and when a report last named it. */
  readonly #named = new Map<string, { readonly server: RedisOptions; at: number }>();
  /** By announced address: the options to connect to it. Undefined for an address that is not accepted. */
  readonly #reached = new Map<string, RedisOptions | undefined>();

  constructor(announced: AnnouncedAddresses, lingerMs: number) {
    this.#announced = announced;
    this.#lingerMs = lingerMs;
  }

  /** Records the servers that a report names. */
  saw(shard: Shard, node: Node, { text, replication }: NodeReport): void {
    const now = performance.now();
    let isChanged = false;
    for (const endpoint of parseReplicas(text)) isChanged = this.#note(shard, endpoint, now) || isChanged;
    // A former primary names the primary that it follows.
    const upstream =
      node === shard.primary && replication.role === "replica" ? parseUpstream(text) : undefined;
    if (upstream !== undefined) isChanged = this.#note(shard, upstream, now) || isChanged;
    if (node === shard.primary && replication.role === "primary")
      isChanged = this.#forget(shard, now) || isChanged;
    if (!isChanged) return;
    const replicas = [...this.#named.values()].map(({ server }) => server);
    shard.assign(shard.primary.connection.server, replicas, shard.primaryNamedBy);
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

  /** Almost every INFO names the same servers, so the app's accept() and natMap are called only for a new address. */
  #reach(endpoint: Endpoint): RedisOptions | undefined {
    const announced = `${endpoint.host}:${endpoint.port}`;
    const known = this.#reached.get(announced);
    if (known !== undefined || this.#reached.has(announced)) return known;
    if (this.#reached.size >= maxFollowed) this.#reached.clear();
    const server = this.#announced.reach(endpoint);
    this.#reached.set(announced, server);
    return server;
  }

  /**
   * Forgets the replicas that no report has named for `maxStalenessMs`. Until then a replica may still be fresh enough for reads.
   */
  #forget(shard: Shard, now: number): boolean {
    let isChanged = false;
    for (const node of shard.replicas) {
      const named = this.#named.get(node.connection.address);
      if (named !== undefined && now - named.at < this.#lingerMs) continue;
      this.#named.delete(node.connection.address);
      isChanged = true;
    }
    return isChanged;
  }
}
