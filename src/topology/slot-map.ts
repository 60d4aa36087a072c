/** Which shard serves which slot, by the greatest epoch that was heard of. */

import type { RedisOptions } from "ioredis";
import { type Endpoint, endpointOf } from "../address.js";
import type { Shard } from "../shard/shard.js";

/** Slots that have moved, by the shard that each has left. */
export type Left = ReadonlyMap<Shard, readonly number[]>;

export class SlotMap {
  readonly #owners: (Shard | undefined)[] = new Array(slotCount).fill(undefined);
  readonly #epochs = new Float64Array(slotCount);
  #shards: readonly Shard[] = [];

  get shards(): readonly Shard[] {
    return this.#shards;
  }

  /** Any when there is no slot, or nobody is known to serve it: the node that is asked knows better. */
  shardOf(slot: number | undefined): Shard | undefined {
    const owner = slot === undefined ? undefined : this.#owners[slot];
    return owner ?? this.#shards[Math.floor(Math.random() * this.#shards.length)];
  }

  /** The shard that a server is of; as its primary, if it is that of one. */
  shardAt(server: RedisOptions): Shard | undefined {
    const holders = this.#shards.filter((shard) => shard.find(server) !== undefined);
    return holders.find((shard) => shard.find(server) === shard.primary) ?? holders[0];
  }

  /** Whether nothing newer is known of the slots that are claimed. */
  isNewer({ ranges, epoch }: SlotOwner): boolean {
    return ranges.some(([first]) => epoch >= (this.#epochs[first] ?? 0));
  }

  /** Takes in that `shard` serves what `owner` claims, as was learnt at `at` on the monotonic clock; gives what moved by that. */
  assign(shard: Shard, { ranges, epoch }: SlotOwner, at: number): Left {
    const left = new Map<Shard, number[]>();
    if (!this.#shards.includes(shard)) this.#shards = [...this.#shards, shard];
    for (const [first, last] of ranges) {
      for (let slot = first; slot <= last; slot++) {
        const known = this.#epochs[slot] ?? 0;
        if (epoch < known) continue;
        this.#epochs[slot] = epoch;
        // With a new epoch it may have been away and have come back.
        const before = this.#owners[slot];
        if (before === shard && epoch === known) continue;
        this.#owners[slot] = shard;
        shard.slotsGainedAt = at;
        if (before === undefined || before === shard) continue;
        const slots = left.get(before);
        if (slots === undefined) left.set(before, [slot]);
        else slots.push(slot);
      }
    }
    return left;
  }

  /** Takes in that `shard` has turned out to serve `slot`; gives what moved by that. */
  move(slot: number, shard: Shard): Left {
    const before = this.#owners[slot];
    if (before === shard) return new Map();
    this.#owners[slot] = shard;
    shard.slotsGainedAt = performance.now();
    return before === undefined ? new Map() : new Map([[before, [slot]]]);
  }

  /** Forgets the shards that serve nothing any more, and gives them back. */
  prune(): readonly Shard[] {
    const serving = new Set(this.#owners);
    const gone = this.#shards.filter((shard) => !serving.has(shard));
    if (gone.length > 0) this.#shards = this.#shards.filter((shard) => serving.has(shard));
    return gone;
  }
}

export const slotCount = 16_384;
/** More nodes than this in one reply are no cluster. */
const maxNodes = 1_000;
/** `CLUSTER NODES` lists all replicas, too. */
const maxLines = 20_000;
const epochs = /^\d{1,15}$/;

/** A primary with its replicas, and the slots it serves. */
export interface SlotOwner {
  readonly primary: Endpoint;
  readonly replicas: readonly Endpoint[];
  /** Grows whenever the primary claims slots: of two nodes that differ, the one with the greater is right. */
  readonly epoch: number;
  /** First and last, both included. */
  readonly ranges: readonly (readonly [number, number])[];
}

/** Stands for a node whose host name is not known, and which cannot be connected to. */
const nameless: unique symbol = Symbol("nameless");

/**
 * Reads the replies of `CLUSTER SLOTS`, which has the addresses that clients are to use, and of `CLUSTER NODES`, which
 * has the epochs. `asked` is where they came from: a node need not know its own address. A replica without a usable host
 * and port is left out. Undefined for anything else that is no such reply as a whole: each slot has at most one owner, and
 * every primary has a host and a port.
 */
export function parseSlotOwners(slots: unknown, nodes: unknown, asked: Endpoint): SlotOwner[] | undefined {
  if (!Array.isArray(slots) || slots.length > slotCount) return undefined;
  const known = epochsIn(nodes);
  const owners = new Map<string, SlotOwner & { readonly ranges: [number, number][] }>();
  let served = 0;
  for (const range of slots) {
    if (!Array.isArray(range) || range.length > maxNodes) return undefined;
    const [first, last, primary, ...others] = range;
    if (!isSlot(first) || !isSlot(last) || first > last) return undefined;
    served += last - first + 1;
    // Two owners of one slot, and no end to the work if it goes on like this.
    if (served > slotCount) return undefined;
    const at = nodeIn(primary, asked);
    if (at === undefined) return undefined;
    if (at === nameless) continue;
    const address = `${at.host}:${at.port}`;
    const owner = owners.get(address) ?? {
      primary: at,
      replicas: others.map((other) => nodeIn(other, asked)).filter((replica) => typeof replica === "object"),
      epoch: known.get(idOf(primary)) ?? 0,
      ranges: [],
    };
    owner.ranges.push([first, last]);
    owners.set(address, owner);
  }
  return [...owners.values()];
}

function isSlot(slot: unknown): slot is number {
  return typeof slot === "number" && Number.isInteger(slot) && slot >= 0 && slot < slotCount;
}

function nodeIn(node: unknown, asked: Endpoint): Endpoint | typeof nameless | undefined {
  if (!Array.isArray(node)) return undefined;
  const [host, port] = node;
  // Redis writes "?" for a host name that was asked for and is not known.
  if (host === "?") return nameless;
  return endpointOf(host === "" || host === null || host === undefined ? asked.host : host, port);
}

function idOf(node: unknown): string {
  const id: unknown = Array.isArray(node) ? node[2] : undefined;
  return typeof id === "string" ? id : "";
}

/** The config epochs, by the ids of the nodes. */
function epochsIn(nodes: unknown): ReadonlyMap<string, number> {
  const lines = typeof nodes === "string" ? nodes.split("\n", maxLines) : [];
  const words = lines.map((line) => line.split(" ", 7));
  return new Map(
    words.flatMap(([id = "", , , , , , epoch = ""]) =>
      epochs.test(epoch) ? [[id, Number(epoch)] as const] : [],
    ),
  );
}
