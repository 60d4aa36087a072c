/** A primary and replicas as they were given, with roles as the servers themselves report them. */
import type { RedisOptions } from "ioredis";
import { Shard } from "../shard/shard.js";
import { type Ground, type Topology, topologyOf } from "./topology.js";

/** Connects to the servers given; the one named as primary is believed until it says that it is a replica. */
export function staticTopology(
  servers: { primary: RedisOptions; replicas: readonly RedisOptions[] },
  { options, lineage, joined, left }: Ground,
): Topology {
  const surroundings = { lineage, joined, left, saw: () => {} };
  const shard = new Shard({ ...options, governed: false, discovers: false }, servers, surroundings);
  return topologyOf(shard);
}
