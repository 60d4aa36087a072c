/** Which servers there are: what every kind of topology answers to the router. */
import type { Command } from "ioredis";
import type { Shard } from "../shard.js";

export interface Topology {
  /** All shards; one unless the data is spread over several primaries. */
  readonly shards: readonly Shard[];
  /** The shard that holds what `command` touches. */
  shardOf(command: Command): Shard;
  /** Ends all connections. */
  close(): void;
}
