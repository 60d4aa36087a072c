/** How far a session has read in one shard: who may answer next without taking it back in time. */

import type { Touched } from "../commands/touched-keys.js";
import type { KeptReads } from "../diagnostics/statistics.js";
import { narrowed, type Position } from "../replication/position.js";
import { SmallMap } from "./small-map.js";

/** One connection to a replica, as long as it cannot have gone back in time. */
export interface ReadSource {
  /** Since when it is over, on the monotonic clock; undefined while it is not. */
  readonly endedAt: number | undefined;
}

const nobody: unique symbol = Symbol("nobody");
const several: unique symbol = Symbol("several");

/** One connection to a replica only moves forward; two replicas are in no order, and the primary is ahead of all. */
export class ReadProgress {
  #reader: ReadSource | typeof nobody | typeof several = nobody;
  /** When the last read had left. */
  #sentAt = Number.NEGATIVE_INFINITY;
  #readAt = Number.NEGATIVE_INFINITY;
  #floor: Position | undefined;
  #floorAt = Number.NEGATIVE_INFINITY;
  /** The required positions that the floor stands for. */
  #settled: readonly Position[] = [];
  /** What the latest read that writes sent to the primary was counted for; undefined while there was none. */
  kept: KeptReads | undefined;

  /** Whether `reader` may answer without going back in time: it alone has answered so far, or nobody has. */
  mayReadFrom(reader: ReadSource): boolean {
    return this.#reader === nobody || this.#reader === reader;
  }

  /** Told by the router before a read leaves for a replica: later reads keep to the same connection. */
  readFrom(reader: ReadSource): void {
    if (this.#reader === nobody) this.#reader = reader;
  }

  /** Told by the router that a read has left: what is asked after `at` is asked behind it. */
  readLeft(at: number): void {
    this.#sentAt = at;
  }

  /** The connection that alone has answered so far, and when the last read had left; undefined when there is none. */
  get only(): { readonly reader: ReadSource; readonly sentAt: number } | undefined {
    const reader = this.#reader;
    return typeof reader === "symbol" ? undefined : { reader, sentAt: this.#sentAt };
  }

  /** What was read last; undefined before it has a position. */
  get floor(): Position | undefined {
    return this.#reader === nobody ? this.#floor : undefined;
  }

  /** When the primary was asked for the position that stands for what was read, on the monotonic clock. */
  get floorAt(): number {
    return this.#floorAt;
  }

  /** Told by the router when a read was answered by a connection to a replica. */
  readBy(reader: ReadSource): void {
    if (this.#reader !== reader) this.readAhead(performance.now());
  }

  /**
   * Told by the router when a read was answered by the primary, which is ahead of every replica. A position asked for
   * after `at` stands for it: the time of sending, where both went over one connection, else that of the answer.
   */
  readAhead(at: number): void {
    this.#reader = several;
    this.#readAt = Math.max(this.#readAt, at);
  }

  /** Whether what was read is ahead of any one replica, until `settleReads` finds a position for it. */
  get ahead(): boolean {
    return this.#aheadSince !== undefined;
  }

  /** From when on a position of the primary stands for all that was read; undefined when one reader may go on. */
  get #aheadSince(): number | undefined {
    if (this.#reader === nobody) return undefined;
    return this.#reader === several ? this.#readAt : this.#reader.endedAt;
  }

  /**
   * Takes a position the primary was seen at, by an INFO sent at `at`. When that was after all reads so far, the
   * position stands for them and for all of `required`, the positions the session has at this moment.
   */
  anchor(at: number, position: Position, required: readonly Position[]): boolean {
    const since = this.#aheadSince;
    if (since === undefined || at <= since) return false;
    this.#floor = position;
    this.#floorAt = at;
    this.#settled = required;
    this.#reader = nobody;
    return true;
  }

  /** What a node must cover for a read that touches `touched`, of `required` and of what was read. */
  requirement(required: readonly Position[], touched: Touched): readonly Position[] {
    if (this.#floor === undefined) return narrowed(required, touched);
    if (this.#settled === required) return [this.#floor];
    const unsettled = required.filter((position) => !this.#settled.includes(position));
    return [this.#floor, ...narrowed(unsettled, touched)];
  }
}

/** How far a session has read in each shard, whatever a shard is to the caller. */
export class ReadProgressByShard {
  readonly #byShard = new SmallMap<object, ReadProgress>();

  in(shard: object): ReadProgress {
    const known = this.#byShard.get(shard);
    if (known !== undefined) return known;
    const progress = new ReadProgress();
    this.#byShard.set(shard, progress);
    return progress;
  }

  /** Undefined where nothing was read. */
  find(shard: object): ReadProgress | undefined {
    return this.#byShard.get(shard);
  }

  /** The shards that were read from. */
  get shards(): readonly object[] {
    return this.#byShard.entries.map(([shard]) => shard);
  }
}
