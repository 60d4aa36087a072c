/** Which shard serves which slot, by the greatest epoch that was heard of. */
import type { RedisOptions } from "ioredis";
import type { Shard } from "../shard/shard.js";
import { type SlotOwner, slotCount } from "./slot-owners.js";

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
  isNews({ ranges, epoch }: SlotOwner): boolean {
    return ranges.some(([first]) => epoch >= (this.#epochs[first] ?? 0));
  }

  /** Takes in that `shard` serves what `owner` claims, as was learnt at `at` on the monotonic clock; gives what moved by that. */
  take(shard: Shard, { ranges, epoch }: SlotOwner, at: number): Left {
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
        shard.gainedAt = at;
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
    shard.gainedAt = performance.now();
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
