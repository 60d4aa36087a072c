/** A point in a primary's replication stream. */
import { WrittenKeys } from "./written-keys.js";

/**
 * A point in the stream of one history.
 *
 * `replid` names the history by the first 16 hex digits of Redis's `master_replid` (64 random bits);
 * `offset` counts the bytes of that history, at most `Number.MAX_SAFE_INTEGER`.
 */
export interface Position {
  readonly replid: string;
  readonly offset: number;
  /** Set when something was read there, nothing written: without it nothing is proven to be lost. */
  readonly read?: true;
  /** Which keys were written up to there; without it any may have been. */
  readonly keys?: WrittenKeys | undefined;
}

/** Keys by their hashes; undefined for any key. */
interface Hashed {
  readonly hashes: readonly number[] | undefined;
}

/** What a read of the keys `read` requires of `positions`. */
export function narrowed(positions: readonly Position[], read: Hashed): readonly Position[] {
  if (!positions.some(({ keys }) => keys !== undefined)) return positions;
  const { hashes } = read;
  if (hashes === undefined) return positions;
  return positions.flatMap((position) => requiredOf(position, hashes) ?? []);
}

/** Undefined for nothing. */
function requiredOf(position: Position, hashes: readonly number[]): Position | undefined {
  const { replid, offset, keys } = position;
  if (keys === undefined) return position;
  const required = keys.requiredBy(hashes);
  if (required === offset) return position;
  return required === 0 ? undefined : { replid, offset: required };
}

/** `positions` and `position`, which are required together, with at most `maxKeys` keys of each; the same list if that is no more. */
export function withPosition(
  positions: readonly Position[],
  position: Position,
  maxKeys: number,
): readonly Position[] {
  if (positions.length === 0) return [position];
  if (positions.some((one) => includes(one, position))) return positions;
  const others: Position[] = [];
  let together = position;
  for (const one of positions) {
    if (isOneWith(one, together)) together = union(one, together, maxKeys);
    else others.push(one);
  }
  return [...others, together];
}

/** Whether what requires `position` need not require `other` too. Of writes the newest tells what is lost. */
function includes(position: Position, other: Position): boolean {
  return (position.read === undefined || other.read === true) && requiresAsMuch(position, other);
}

/** Whether every read that `other` requires something of is required as much by `position`. */
export function requiresAsMuch(position: Position, other: Position): boolean {
  if (position.replid !== other.replid || position.offset < other.offset) return false;
  return position.keys === undefined || position.keys.includes(keysOf(other));
}

/** Whether one position can stand for two, so that a loss of writes is still seen. */
function isOneWith(one: Position, other: Position): boolean {
  if (one.replid !== other.replid) return false;
  if (one.read === other.read) return true;
  return one.read ? one.offset <= other.offset : other.offset <= one.offset;
}

function union(one: Position, other: Position, maxKeys: number): Position {
  const { replid } = one;
  const offset = Math.max(one.offset, other.offset);
  const keys = keysOf(one).and(keysOf(other), maxKeys);
  const read = one.read === undefined || other.read === undefined ? undefined : true;
  return positionAt(replid, offset, read, keys);
}

/** A position with these keys, or with none where nothing is listed that is above the floor. */
export function positionAt(
  replid: string,
  offset: number,
  read: true | undefined,
  keys: WrittenKeys | undefined,
): Position {
  const kept = keys === undefined || keys.floor >= offset ? undefined : keys;
  if (read === undefined) return kept === undefined ? { replid, offset } : { replid, offset, keys: kept };
  return kept === undefined ? { replid, offset, read } : { replid, offset, read, keys: kept };
}

/** Where none are known, every write counts as unlisted. */
function keysOf({ keys, offset }: Position): WrittenKeys {
  return keys ?? new WrittenKeys(offset, [], []);
}
