/** The nodes that one cluster node knows, as it lists them in CLUSTER NODES. */

import type { RedisServer } from "./redis-server.js";

export interface ListedNode {
  readonly id: string;
  /** As announced. */
  readonly port: number;
  /** "myself", "master", "slave", "fail?", "fail", "handshake", "noaddr" ... */
  readonly flags: ReadonlySet<string>;
  /** The id of its primary, if it is a replica. */
  readonly primary: string | undefined;
  readonly epoch: number;
  /** Whether the connection to it is up. */
  readonly isConnected: boolean;
  /** As ranges, first and last; those that come or go are not in it. */
  readonly slots: readonly (readonly [number, number])[];
}

export async function listOf(server: RedisServer): Promise<ListedNode[]> {
  const text = String(await server.admin().call("CLUSTER", "NODES"));
  return text.trim().split("\n").map(readLine);
}

/** The node's own entry in its list. */
export async function selfOf(server: RedisServer): Promise<ListedNode> {
  const self = (await listOf(server)).find(({ flags }) => flags.has("myself"));
  if (self === undefined) throw new Error(`the node at ${server.port} does not list itself`);
  return self;
}

/** The ports of all nodes of which the node tells clients; no replica is among them before it has an offset. */
export async function toldBy(server: RedisServer): Promise<Set<number>> {
  const ranges: unknown = await server.admin().call("CLUSTER", "SLOTS");
  const nodes = Array.isArray(ranges) ? ranges.flatMap((range: unknown[]) => range.slice(2)) : [];
  return new Set(nodes.map((node) => Number(Array.isArray(node) ? node[1] : undefined)));
}

/**
 * Which nodes a node takes to be of one shard, as lists of ids; undefined where it does not say, in Redis 6. It hears of
 * that later than of who follows whom, and one that has written down the two at odds does not start again.
 */
export async function shardsOf(server: RedisServer): Promise<readonly (readonly string[])[] | undefined> {
  const shards: unknown = await server
    .admin()
    .call("CLUSTER", "SHARDS")
    .catch(() => undefined);
  if (!Array.isArray(shards)) return undefined;
  return shards.map((shard: unknown[]) => {
    const nodes = shard[shard.indexOf("nodes") + 1];
    return (Array.isArray(nodes) ? nodes : []).map((node: unknown[]) => String(node[node.indexOf("id") + 1]));
  });
}

export function owns({ slots }: ListedNode, slot: number): boolean {
  return slots.some(([first, last]) => first <= slot && slot <= last);
}

function readLine(line: string): ListedNode {
  const [id = "", address = "", flags = "", primary = "-", , , epoch = "0", link = "", ...slots] =
    line.split(" ");
  return {
    id,
    port: Number(/:(\d+)@/.exec(address)?.[1]),
    flags: new Set(flags.split(",")),
    primary: primary === "-" ? undefined : primary,
    epoch: Number(epoch),
    isConnected: link === "connected",
    slots: slots.filter((range) => !range.startsWith("[")).map(readRange),
  };
}

function readRange(range: string): [number, number] {
  const [first = "", last = first] = range.split("-");
  return [Number(first), Number(last)];
}
