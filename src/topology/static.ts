/** A primary and replicas as they were given, with roles as the servers themselves report them. */
import type { RedisOptions } from "ioredis";
import type { Lineage } from "../lineage.js";
import { Node, type Observer } from "../node.js";
import { Shard, type ShardOptions } from "../shard.js";
import type { Topology } from "./topology.js";

/** Connects to the servers given; the one named as primary is believed until it says that it is a replica. */
export function staticTopology(
  nodes: { primary: RedisOptions; replicas: readonly RedisOptions[] },
  options: ShardOptions,
  lineage: Lineage,
): Topology {
  const observe: Observer = (node, sighting) => shard.saw(node, sighting);
  const primary = Node.primary(nodes.primary, observe);
  const replicas = nodes.replicas.map((replica) => Node.replica(replica, observe));
  const shard = new Shard(options, lineage, { primary, replicas });
  return {
    shards: [shard],
    shardOf: () => shard,
    close: () => {
      for (const node of [shard.primary, ...shard.replicas]) node.close();
    },
  };
}
