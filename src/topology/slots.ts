/** Who serves which slots of a Redis Cluster, as one of its nodes says. */
import type { Endpoint } from "../address.js";

export const slotCount = 16_384;

/** A primary with its replicas, and the slots it serves. */
export interface SlotOwner {
  readonly primary: Endpoint;
  readonly replicas: readonly Endpoint[];
  /** Grows whenever the primary claims slots: of two nodes that differ, the one with the greater is right. */
  readonly epoch: number;
  /** First and last, both included. */
  readonly ranges: readonly (readonly [number, number])[];
}

/**
 * Reads the replies of `CLUSTER SLOTS`, which has the addresses that clients are to use, and of `CLUSTER NODES`, which
 * has the epochs. `asked` is where they came from: a node need not know its own address. Undefined for anything else.
 */
export function slotOwnersIn(slots: unknown, nodes: unknown, asked: Endpoint): SlotOwner[] | undefined {
  if (!Array.isArray(slots)) return undefined;
  const epochs = epochsIn(nodes);
  const owners = new Map<string, SlotOwner & { readonly ranges: [number, number][] }>();
  for (const range of slots) {
    if (!Array.isArray(range)) return undefined;
    const [first, last, primary, ...others] = range;
    const at = endpointOf(primary, asked);
    if (at === undefined) continue;
    const known = owners.get(`${at.host}:${at.port}`);
    const owner = known ?? {
      primary: at,
      replicas: others.flatMap((other) => endpointOf(other, asked) ?? []),
      epoch: epochs.get(textOf(primary[2])) ?? 0,
      ranges: [],
    };
    owner.ranges.push([Number(first), Number(last)]);
    owners.set(`${at.host}:${at.port}`, owner);
  }
  return [...owners.values()];
}

function endpointOf(node: unknown, asked: Endpoint): Endpoint | undefined {
  if (!Array.isArray(node)) return undefined;
  const host = textOf(node[0]);
  // Redis writes "?" for a host name that was asked for and is not known.
  if (host === "?") return undefined;
  return { host: host === "" ? asked.host : host, port: Number(node[1]) };
}

/** The config epochs, by the ids of the nodes. */
function epochsIn(nodes: unknown): ReadonlyMap<string, number> {
  const lines = typeof nodes === "string" ? nodes.split("\n") : [];
  return new Map(lines.map((line) => line.split(" ")).map((words) => [words[0] ?? "", Number(words[6])]));
}

function textOf(value: unknown): string {
  return value === null || value === undefined ? "" : String(value);
}
