/** What one cluster node knows of all of them, as it lists them in CLUSTER NODES. */

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
