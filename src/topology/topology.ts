/** Which servers there are: the interface of every kind of topology. */
import type { Command, RedisOptions } from "ioredis";
import type { Refusal } from "../connection/connection.js";
import type { Node } from "../node/node.js";
import type { ShardServers } from "../shard/members.js";
import { Shard, type ShardContext } from "../shard/shard.js";
import type { ShardLimits } from "../shard/shard-options.js";
import type { PrimaryOutages } from "./primary-outages.js";

/** What every kind of topology is given. */
export interface TopologyContext extends Pick<ShardContext, "lineage" | "joined" | "left"> {
  readonly options: ShardLimits;
  readonly outages: Pick<PrimaryOutages, "named" | "unnamed">;
}

export interface Topology {
  /** All shards: one, or several if the data is spread over several primaries, or none before they are known. */
  readonly shards: readonly Shard[];
  /** The shard that holds the keys of `command`. Undefined while that is not known. */
  shardOf(command: Command): Shard | undefined;
  /**
   * If shards exchange data: handles an error that redirects a command, and calls `again` when the command should be sent again.
   * `again` gets a shard if only this command should go to that shard. Returns false for any other error.
   */
  redirect?(error: Error, again: (asked?: Shard) => void): boolean;
  /**
   * If shards exchange data: asks `server` whether it redirects `script`, because the script may have returned such an error
   * itself. Resolves with the redirection of the server, or with undefined if there is none or if the server does not answer.
   * `isAsked` is for a script that was sent behind ASKING.
   */
  confirm?(script: Command, server: RedisOptions | undefined, isAsked: boolean): Promise<Error | undefined>;
  /**
   * Resolves when the shard that the slot of `command` has just left has answered all its commands. That shard may redirect
   * some of them to the new shard, and later commands must not overtake these. Undefined if there is nothing to wait for.
   */
  settled?(command: Command): Promise<void> | undefined;
  /** Why there is no shard yet, for people to read. */
  readonly fault: string;
  /** The error with which all servers that could name a primary have refused the connection. Undefined if one has not. */
  readonly refusal?: Refusal | undefined;
  /** Starts to look for servers, for the first time or after {@link close}. */
  open(): void;
  /** Ends all connections. */
  close(): void;
}

/** After this many checks, twice a second, the lack of a primary is reported. A process may be slow to start. */
const patientChecks = 3;

/** Reports that no server names a primary, once the servers have had time to name one. */
export class Patience {
  #checks = 0;
  readonly #servers: "Sentinels" | "cluster nodes";
  readonly #outages: TopologyContext["outages"];

  constructor(servers: "Sentinels" | "cluster nodes", outages: TopologyContext["outages"]) {
    this.#servers = servers;
    this.#outages = outages;
  }

  /** Starts over, because the servers are asked for the first time. */
  begin(): void {
    this.#checks = 0;
  }

  /** Reports whether a primary is named. Call it twice a second. */
  check(topology: Pick<Topology, "shards" | "fault">): void {
    this.#checks += 1;
    if (topology.shards.length > 0) this.#outages.named();
    else if (this.#checks >= patientChecks) this.#outages.unnamed(this.#servers, topology.fault);
  }
}

/** A topology with one shard, which is known from the start. */
export function singleShard(shard: Shard): Topology {
  return {
    shards: [shard],
    shardOf: () => shard,
    fault: "",
    open: () => shard.open(),
    close: () => shard.close(),
  };
}

/** Passes each server on to `joined`, and calls `ask` when the connection to a server closes that is a primary then. */
export function onPrimaryClosed(
  { joined }: TopologyContext,
  topology: Pick<Topology, "shards">,
  ask: () => void,
): (node: Node) => void {
  return (node) => {
    joined(node);
    node.connection.redis.on("close", () => {
      if (topology.shards.some(({ primary }) => primary === node)) ask();
    });
  };
}

/** Connects to the given servers. The one given as the primary counts as the primary until it reports that it is a replica. */
export function staticTopology(servers: ShardServers, context: TopologyContext): Topology {
  const options = { ...context.options, hasArbiter: false, discovers: false };
  return singleShard(new Shard(options, servers, context));
}
