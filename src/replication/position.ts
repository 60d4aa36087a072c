/** Defines a position in a primary's replication stream, and combines and compares positions. */
import { WrittenKeys } from "./written-keys.js";

/**
 * A point in the stream of one history.
 *
 * `replid` names the history by the first 16 hex digits of Redis's `master_replid` (64 random bits). `offset` counts the bytes of
 * that history and is at most `Number.MAX_SAFE_INTEGER`.
 */
export interface Position {
  readonly replid: string;
  readonly offset: number;
  /** Set if the position is not the position of a write. Only a position without this mark can prove that a write was lost. */
  readonly read?: true | undefined;
  /** The keys of the latest writes up to the position. Undefined if any key may have been written. */
  readonly keys?: WrittenKeys | undefined;
}

/** A class, because V8 may place literals among old objects, where they keep everything alive that they were stored with. */
class KnownPosition implements Position {
  readonly replid: string;
  readonly offset: number;
  readonly read: true | undefined;
  readonly keys: WrittenKeys | undefined;

  constructor(replid: string, offset: number, read: true | undefined, keys: WrittenKeys | undefined) {
    this.replid = replid;
    this.offset = offset;
    this.read = read;
    this.keys = keys;
  }
}

/** Keys by their hashes. Undefined for any key. */
interface Hashed {
  readonly hashes: readonly number[] | undefined;
}

/** The part of `positions` that a read of the keys `read` requires. */
export function narrowed(positions: readonly Position[], read: Hashed): readonly Position[] {
  if (!positions.some(({ keys }) => keys !== undefined)) return positions;
  const { hashes } = read;
  if (hashes === undefined) return positions;
  return positions.flatMap((position) => requiredOf(position, hashes) ?? []);
}

/** Undefined if the read requires nothing of this position. */
function requiredOf(position: Position, hashes: readonly number[]): Position | undefined {
  const { replid, offset, keys } = position;
  if (keys === undefined) return position;
  const required = keys.requiredBy(hashes);
  if (required === offset) return position;
  return required === 0 ? undefined : new KnownPosition(replid, required, undefined, undefined);
}

/** Adds `position` to `positions`, and keeps at most `maxKeys` keys in each. Returns the same list if `position` adds nothing. */
export function withPosition(
  positions: readonly Position[],
  position: Position,
  maxKeys: number,
): readonly Position[] {
  const [first] = positions;
  if (first === undefined) return [position];
  // Most sessions write in one history.
  if (positions.length === 1) {
    if (includes(first, position)) return positions;
    return isOneWith(first, position) ? [union(first, position, maxKeys)] : [first, position];
  }
  if (positions.some((one) => includes(one, position))) return positions;
  const others: Position[] = [];
  let together = position;
  for (const one of positions) {
    if (isOneWith(one, together)) together = union(one, together, maxKeys);
    else others.push(one);
  }
  return [...others, together];
}

/**
 * Whether `position` makes `other` superfluous. A position that is marked as read does not replace the position of a write,
 * because only the position of the newest write shows whether writes were lost.
 */
function includes(position: Position, other: Position): boolean {
  return (position.read === undefined || other.read === true) && requiresAsMuch(position, other);
}

/** Whether a node that has what `position` requires also has what `other` requires, whichever keys are read. */
export function requiresAsMuch(position: Position, other: Position): boolean {
  if (position.replid !== other.replid || position.offset < other.offset) return false;
  return position.keys === undefined || position.keys.includes(keysOf(other));
}

/** Whether one position can replace both so that a loss of writes is still noticed. */
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

/**
 * A position with these keys. The keys are left out if their floor is not below `offset`, because every read then requires the
 * whole position.
 */
export function positionAt(replid: string, offset: number, read?: true, keys?: WrittenKeys): Position {
  const kept = keys === undefined || keys.floor >= offset ? undefined : keys;
  return new KnownPosition(replid, offset, read, kept);
}

/** The keys of a position. If they are unknown, no write is listed, and the floor is the offset of the position. */
function keysOf({ keys, offset }: Position): WrittenKeys {
  return keys ?? new WrittenKeys(offset, [], []);
}
