/** Which servers there are: what every kind of topology answers to the router. */

import type { Command, RedisOptions } from "ioredis";
import type { Refusal } from "../connection/connection.js";
import type { Node } from "../node/node.js";
import type { Lineage } from "../replication/lineage.js";
import { Shard } from "../shard/shard.js";
import type { ShardLimits } from "../shard/shard-options.js";

/** What every kind of topology is built on. */
export interface TopologyContext {
  readonly options: ShardLimits;
  readonly lineage: Lineage;
  /** Told of every server that is connected to for the first time. */
  readonly joined: (node: Node) => void;
  /** Called with a primary that was replaced, or whose connection was dropped because it was silent for too long. */
  readonly left: (node: Node) => void;
  readonly naming: Naming;
}

/** Told whether servers that could name the primary have done so. */
interface Naming {
  /** Called again and again while none of them has named one, with the cause of each. */
  unnamed(servers: "Sentinels" | "cluster nodes", fault: string): void;
  /** Called again and again while a primary is named. */
  named(): void;
}

export interface Topology {
  /** All shards; one unless the data is spread over several primaries, none before they are known. */
  readonly shards: readonly Shard[];
  /** The shard that holds what `command` touches; undefined when that is not known yet. */
  shardOf(command: Command): Shard | undefined;
  /**
   * Where shards exchange data: takes in an error that sends a command elsewhere, and calls `again` when it is to be sent
   * again; with a shard, when that shard is to be asked for this once. False for any other error.
   */
  redirect?(error: Error, again: (asked?: Shard) => void): boolean;
  /**
   * Where shards exchange data: asks `server` whether it redirects `script`, because the script may have returned such an error
   * itself. Resolves with the server's own redirection; with undefined when there is none, or when the server does not say.
   * `isAsked` is for a script that was sent behind ASKING.
   */
  confirm?(script: Command, server: RedisOptions | undefined, isAsked: boolean): Promise<Error | undefined>;
  /**
   * Resolves when the shard that `command`'s slot has just left has answered all commands that it was sent: it may send some of
   * them after the slot, and they must not be overtaken. Undefined when there is nothing to wait for.
   */
  settled?(command: Command): Promise<void> | undefined;
  /** Why there is no shard yet, for people. */
  readonly fault: string;
  /** What all servers that could tell have refused the connection with, and when; undefined when one has not. */
  readonly refusal?: Refusal | undefined;
  /** Looks for servers again, after it was closed or has not looked so far. */
  open(): void;
  /** Ends all connections. */
  close(): void;
}

/** They were asked so often, twice a second, before it is said that they name no primary: a process may be slow to start. */
const patientLooks = 3;

/** Has it said that nobody names a primary, once everybody had time to. */
export class Patience {
  #looks = 0;
  readonly #servers: Parameters<Naming["unnamed"]>[0];
  readonly #naming: Naming;

  constructor(servers: Parameters<Naming["unnamed"]>[0], naming: Naming) {
    this.#servers = servers;
    this.#naming = naming;
  }

  /** Starts over, because they are asked for the first time. */
  begin(): void {
    this.#looks = 0;
  }

  /** Takes in whether a primary is named; to be called twice a second. */
  look(topology: Pick<Topology, "shards" | "fault">): void {
    this.#looks += 1;
    if (topology.shards.length > 0) this.#naming.named();
    else if (this.#looks >= patientLooks) this.#naming.unnamed(this.#servers, topology.fault);
  }
}

/** A topology whose one shard is there from the beginning. */
export function singleShard(shard: Shard): Topology {
  return {
    shards: [shard],
    shardOf: () => shard,
    fault: "",
    open: () => shard.open(),
    close: () => shard.close(),
  };
}

/** Has the ground told of each server, and `ask` called when the connection to one closes that is a primary then. */
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

/** Connects to the servers given; the one named as primary is believed until it says that it is a replica. */
export function staticTopology(
  servers: { primary: RedisOptions; replicas: readonly RedisOptions[] },
  { options, lineage, joined, left }: TopologyContext,
): Topology {
  const surroundings = { lineage, joined, left, saw: () => {} };
  const shard = new Shard({ ...options, hasArbiter: false, discovers: false }, servers, surroundings);
  return singleShard(shard);
}
