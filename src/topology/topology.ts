/** Which servers there are: the interface of every kind of topology. */
import type { Command, RedisOptions } from "ioredis";
import type { Refusal } from "../connection/connection.js";
import type { Node } from "../node/node.js";
import type { ShardServers } from "../shard/members.js";
import { Shard, type ShardContext } from "../shard/shard.js";
import type { ShardLimits } from "../shard/shard-options.js";
import type { PrimaryOutages } from "./primary-outages.js";

/** The context that every kind of topology is given. */
export interface TopologyContext extends Pick<ShardContext, "counts" | "lineage" | "joined" | "left"> {
  readonly options: ShardLimits;
  readonly outages: Pick<PrimaryOutages, "named" | "unnamed">;
}

export interface Topology {
  /** All shards: one, or several if the data is spread over several primaries, or none before they are known. */
  readonly shards: readonly Shard[];
  /** The shard that holds the keys of `command`. Undefined while that is not known. */
  shardOf(command: Command): Shard | undefined;
  /**
   * Defined only if keys can move between shards. If a server redirects a command with `error`, calls `again` when the command
   * should be sent again. `again` gets a shard only if the shard is for this command alone. Returns false for any other error.
   */
  redirect?(error: Error, again: (asked?: Shard) => void): boolean;
  /**
   * Defined only if keys can move between shards. Asks `server` whether it redirects `script`, because the script itself may have
   * returned the text of a redirection. Resolves with the error that redirects the script. Resolves with undefined if `server` does
   * not redirect the script or does not answer. `isAsked` is set if the script was sent after ASKING.
   */
  confirm?(script: Command, server: RedisOptions | undefined, isAsked: boolean): Promise<Error | undefined>;
  /**
   * If the slot of `command` has just moved: resolves when the old shard has answered all its commands. The old shard may redirect
   * some of them to the new shard, and later commands must not overtake the redirected ones. Undefined if there is nothing to wait
   * for.
   */
  settled?(command: Command): Promise<void> | undefined;
  /** Why there is no shard yet, for people to read. */
  readonly fault: string;
  /** Set only if every server that could name a primary has refused the connection: the refusal of the first one. */
  readonly refusal?: Refusal | undefined;
  /** Starts to look for servers, for the first time or after {@link close}. */
  open(): void;
  /** Ends all connections. */
  close(): void;
}

/** The lack of a primary is reported after this many checks, which come twice a second, because a process may be slow to start. */
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

/**
 * Returns a function for new servers. It passes each server on to `joined`, and calls `ask` when the connection to a present
 * primary closes.
 */
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
