/** Tracks how far a session has read in one shard, to decide which server may answer next without showing older data. */

import type { Touched } from "../commands/touched-keys.js";
import type { KeptReads } from "../diagnostics/statistics.js";
import { narrowed, type Position } from "../replication/position.js";

/** One connection to a replica, as long as the data behind it cannot have gone back in time. */
export interface ReadSource {
  /** When the connection ended, on the monotonic clock. Undefined while it lasts. */
  readonly endedAt: number | undefined;
}

const nowhere: readonly Position[] = [];
const nobody: unique symbol = Symbol("nobody");
const several: unique symbol = Symbol("several");

/**
 * Data read over one connection to a replica only gets newer. Two replicas are in no order. The primary is ahead of all replicas.
 */
export class ReadProgress {
  #reader: ReadSource | typeof nobody | typeof several = nobody;
  /** When the last read was sent. */
  #sentAt = Number.NEGATIVE_INFINITY;
  #readAt = Number.NEGATIVE_INFINITY;
  #anchor: Position | undefined;
  #anchoredAt = Number.NEGATIVE_INFINITY;
  /** The required positions that the anchor stands for. */
  #settled = nowhere;
  /** The count that includes the latest read which writes sent to the primary. Undefined while there was no such read. */
  kept: KeptReads | undefined;

  /** Whether `reader` may answer without going back in time: either only `reader` has answered so far, or no connection has. */
  mayReadFrom(reader: ReadSource): boolean {
    return this.#reader === nobody || this.#reader === reader;
  }

  /** The router calls this before it sends a read to a replica. Later reads keep to the same connection. */
  readFrom(reader: ReadSource): void {
    if (this.#reader === nobody) this.#reader = reader;
  }

  /** The router calls this when it has sent a read. A question sent after `at` is answered after that read. */
  readLeft(at: number): void {
    this.#sentAt = at;
  }

  /**
   * The only connection that has answered so far, and when the last read was sent. Undefined when there is no such connection.
   */
  get only(): { readonly reader: ReadSource; readonly sentAt: number } | undefined {
    const reader = this.#reader;
    return typeof reader === "symbol" ? undefined : { reader, sentAt: this.#sentAt };
  }

  /** The position of the latest read. Undefined until the position is known. */
  get anchored(): Position | undefined {
    return this.#reader === nobody ? this.#anchor : undefined;
  }

  /** When Tidemark asked the primary for the position that stands for all reads so far, on the monotonic clock. */
  get anchoredAt(): number {
    return this.#anchoredAt;
  }

  /** The router calls this when a connection to a replica has answered a read. */
  readBy(reader: ReadSource): void {
    if (this.#reader !== reader) this.readAhead(performance.now());
  }

  /**
   * The router calls this when the primary, which is ahead of every replica, has answered a read. A position that is requested
   * after `at` includes that read. `at` is the time of sending if both use one connection. Otherwise `at` is the time of the
   * answer.
   */
  readAhead(at: number): void {
    this.#reader = several;
    this.#readAt = Math.max(this.#readAt, at);
  }

  /** Whether the session has read data that no single replica is known to have. `settleReads` ends this by finding a position. */
  get ahead(): boolean {
    return this.#aheadSince !== undefined;
  }

  /** From this time on, a position of the primary stands for all reads so far. Undefined when one connection may go on. */
  get #aheadSince(): number | undefined {
    if (this.#reader === nobody) return undefined;
    return this.#reader === several ? this.#readAt : this.#reader.endedAt;
  }

  /**
   * Takes a position of the primary, from an INFO sent at `at`. If that was after all reads so far, the position stands for the
   * reads. The position then also stands for all of `required`, the positions that the session has at this moment.
   */
  anchor(at: number, position: Position, required: readonly Position[]): boolean {
    const since = this.#aheadSince;
    if (since === undefined || at <= since) return false;
    this.#anchor = position;
    this.#anchoredAt = at;
    this.#settled = required;
    this.#reader = nobody;
    return true;
  }

  /** The positions that a node must cover for a read of `touched`: those of `required`, and those of earlier reads. */
  requirement(required: readonly Position[], touched: Touched): readonly Position[] {
    if (this.#anchor === undefined) return narrowed(required, touched);
    if (this.#settled === required) return [this.#anchor];
    const unsettled = required.filter((position) => !this.#settled.includes(position));
    return [this.#anchor, ...narrowed(unsettled, touched)];
  }
}
