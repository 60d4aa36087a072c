/** Which shard of a cluster serves which slot, by the greatest epoch that a node has reported. */
import type { RedisOptions } from "ioredis";
import { type Endpoint, endpointOf } from "../address.js";
import type { Shard } from "../shard/shard.js";

/** Slots that have moved, by the shard that each has left. */
export type MovedSlots = ReadonlyMap<Shard, readonly number[]>;

export class SlotMap {
  readonly #owners: (Shard | undefined)[] = new Array(slotCount).fill(undefined);
  readonly #epochs = new Float64Array(slotCount);
  #shards: readonly Shard[] = [];

  get shards(): readonly Shard[] {
    return this.#shards;
  }

  /**
   * The shard that serves `slot`. Without a slot, or if the slot's shard is unknown, a random shard. The nodes of that shard redirect
   * the command.
   */
  shardOf(slot: number | undefined): Shard | undefined {
    const owner = slot === undefined ? undefined : this.#owners[slot];
    return owner ?? this.#shards[Math.floor(Math.random() * this.#shards.length)];
  }

  /** The shard that a server belongs to. If there are several, the one whose primary the server is. */
  shardAt(server: RedisOptions): Shard | undefined {
    const holders = this.#shards.filter((shard) => shard.find(server) !== undefined);
    return holders.find((shard) => shard.find(server) === shard.primary) ?? holders[0];
  }

  /** Whether, for at least one of its ranges, the claim of an owner is at least as new as what is known. */
  isNewer({ ranges, epoch }: SlotOwner): boolean {
    return ranges.some(([first]) => epoch >= (this.#epochs[first] ?? 0));
  }

  /** Records that `shard` serves the slots of `owner`, learned at `at` on the monotonic clock. Returns the slots that moved. */
  assign(shard: Shard, { ranges, epoch }: SlotOwner, at: number): MovedSlots {
    const moved = new Map<Shard, number[]>();
    if (!this.#shards.includes(shard)) this.#shards = [...this.#shards, shard];
    for (const [first, last] of ranges) {
      for (let slot = first; slot <= last; slot++) {
        const known = this.#epochs[slot] ?? 0;
        if (epoch < known) continue;
        this.#epochs[slot] = epoch;
        // If the epoch is new, the slot may have left the shard and come back.
        const before = this.#owners[slot];
        if (before === shard && epoch === known) continue;
        this.#owners[slot] = shard;
        shard.gainedSlots(at);
        if (before === undefined || before === shard) continue;
        const slots = moved.get(before);
        if (slots === undefined) moved.set(before, [slot]);
        else slots.push(slot);
      }
    }
    return moved;
  }

  /** Records that `shard` has turned out to serve `slot`. Returns the slot if it moved. */
  move(slot: number, shard: Shard): MovedSlots {
    const before = this.#owners[slot];
    if (before === shard) return new Map();
    this.#owners[slot] = shard;
    shard.gainedSlots(performance.now());
    return before === undefined ? new Map() : new Map([[before, [slot]]]);
  }

  /** Removes the shards that no longer serve any slot, and returns them. */
  prune(): readonly Shard[] {
    const serving = new Set(this.#owners);
    const gone = this.#shards.filter((shard) => !serving.has(shard));
    if (gone.length > 0) this.#shards = this.#shards.filter((shard) => serving.has(shard));
    return gone;
  }
}

export const slotCount = 16_384;
/** The most entries of one range of slots. A reply with more is malformed. */
const maxNodes = 1_000;
/** The most lines that are read of `CLUSTER NODES`, which lists all primaries and replicas. */
const maxLines = 20_000;
const epochs = /^\d{1,15}$/;

/** A primary with its replicas, and the slots it serves. */
export interface SlotOwner {
  readonly primary: Endpoint;
  readonly replicas: readonly Endpoint[];
  /** Grows whenever the primary claims slots. If two nodes differ, the one with the greater epoch is right. */
  readonly epoch: number;
  /** The first and the last slot of each range, both included. */
  readonly ranges: readonly (readonly [number, number])[];
}

/** Stands for a node whose host name is unknown. Tidemark cannot connect to it. */
const nameless: unique symbol = Symbol("nameless");

/**
 * Parses the replies of `CLUSTER SLOTS`, which has the addresses for clients, and of `CLUSTER NODES`, which has the epochs. `asked`
 * is the node that sent them. Its host is used where a reply has none, because a node may not know its own address. A replica
 * without a usable host and port is left out, and so are the slots of a primary whose host name is unknown. Returns undefined if
 * the reply of `CLUSTER SLOTS` is malformed in another way, for example if a slot has two owners or a primary has no port.
 */
export function parseSlotOwners(slots: unknown, nodes: unknown, asked: Endpoint): SlotOwner[] | undefined {
  if (!Array.isArray(slots) || slots.length > slotCount) return undefined;
  const known = parseEpochs(nodes);
  const owners = new Map<string, SlotOwner & { readonly ranges: [number, number][] }>();
  let served = 0;
  for (const range of slots) {
    if (!Array.isArray(range) || range.length > maxNodes) return undefined;
    const [first, last, primary, ...others] = range;
    if (!isSlot(first) || !isSlot(last) || first > last) return undefined;
    served += last - first + 1;
    // There are more slots than in a cluster, so a slot has two owners. Without this check a reply could cause endless work.
    if (served > slotCount) return undefined;
    const at = parseNode(primary, asked);
    if (at === undefined) return undefined;
    if (at === nameless) continue;
    const address = `${at.host}:${at.port}`;
    const owner = owners.get(address) ?? {
      primary: at,
      replicas: others
        .map((other) => parseNode(other, asked))
        .filter((replica) => typeof replica === "object"),
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

function parseNode(node: unknown, asked: Endpoint): Endpoint | typeof nameless | undefined {
  if (!Array.isArray(node)) return undefined;
  const [host, port] = node;
  // Redis sends "?" for a host name that it should announce but does not know.
  if (host === "?") return nameless;
  return endpointOf(host === "" || host === null || host === undefined ? asked.host : host, port);
}

function idOf(node: unknown): string {
  const id: unknown = Array.isArray(node) ? node[2] : undefined;
  return typeof id === "string" ? id : "";
}

/** The config epochs by node id. */
function parseEpochs(nodes: unknown): ReadonlyMap<string, number> {
  const lines = typeof nodes === "string" ? nodes.split("\n", maxLines) : [];
  const words = lines.map((line) => line.split(" ", 7));
  return new Map(
    words.flatMap(([id = "", , , , , , epoch = ""]) =>
      epochs.test(epoch) ? [[id, Number(epoch)] as const] : [],
    ),
  );
}
