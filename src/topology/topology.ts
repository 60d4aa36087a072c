/** Which servers there are: what every kind of topology answers to the router. */
import type { Command, RedisOptions } from "ioredis";
import type { Refusal } from "../connection.js";
import type { Limits } from "../limits.js";
import type { Lineage } from "../lineage.js";
import type { Node } from "../node.js";
import type { Shard } from "../shard.js";

/** What every kind of topology is built on. */
export interface Ground {
  readonly options: Limits;
  readonly lineage: Lineage;
  /** Told of every server that is connected to for the first time. */
  readonly joined: (node: Node) => void;
  /** Called with a primary that was replaced, or whose connection was dropped because it was silent for too long. */
  readonly left: (node: Node) => void;
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

/** A topology whose one shard is there from the beginning. */
export function topologyOf(shard: Shard): Topology {
  return {
    shards: [shard],
    shardOf: () => shard,
    fault: "",
    open: () => shard.open(),
    close: () => shard.close(),
  };
}

/** Has the ground told of each server, and `ask` called when the connection to one closes that is a primary then. */
export function mindPrimary(
  { joined }: Ground,
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
